"""Where a face looks, for those who learn it: labelled on synthetic heads, of people by geometry from a teacher's mesh.

An eyeball turns about a centre that lies beside the middle of its two corners: `DEPTH_MM` behind it, `LIFT_MM` over it
and `OUT_MM` to the face's outer side. The iris' middle, `RADIUS_MM` from the centre, is where the line of sight leaves
the ball. Seen from afar, with a scale of s px a millimetre,

    iris = corners' middle + s · (R · c + r · g)   →   g = ((iris − middle) / s − R · c) / r

in x and y, where R turns a face that looks into the camera to the head's pose, c = (∓OUT, −LIFT, DEPTH) is the centre
from the corners' middle, and g the unit vector of the line of sight: x to the image's right, y down. Then
yaw = asin(g_x / cos pitch) and pitch = asin(−g_y). Both eyes are averaged, weighted by how well each shows.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtface.datasets.labelled import FaceLabel
from rtface.geometry.face_model import rotation_matrix

RADIUS_MM, DEPTH_MM, LIFT_MM, OUT_MM = 11.0, 4.0, 1.7, 1.55
"""The first of an adult's eyeball; the others by 600 portraits of people who look into the camera (US Congress, UK
Parliament): with these the median angle is 2.6 degrees there."""

OUTER_CORNERS_MM = 88.0
"""Between the outer corners, as `MEAN_FACE_MM` has it."""

YAW_LIMIT = 45.0
"""Of the head, degrees: beyond it one eye is hidden by the nose, and a teacher guesses its iris."""

# Middle of the iris, and the eye's corners: the subject's right eye, then the left.
_IRISES, _OUTER, _INNER = [468, 473], [33, 263], [133, 362]
_UPPER, _LOWER = [159, 386], [145, 374]
_CENTRES_MM = np.array(((-OUT_MM, -LIFT_MM, DEPTH_MM), (OUT_MM, -LIFT_MM, DEPTH_MM)))


def sight_of(face: FaceLabel) -> NDArray[np.float32] | None:
    """Yaw and pitch (2,), degrees, of a face with a mesh: its label, or by geometry; None where neither tells."""
    if face.gaze is not None:
        return np.asarray(face.gaze, np.float32)
    if face.mesh478 is None or face.pose is None or abs(float(face.pose[0])) > YAW_LIMIT:
        return None
    return by_geometry(face.mesh478, face.pose)


def by_geometry(mesh478: NDArray[np.floating], pose: NDArray[np.floating]) -> NDArray[np.float32] | None:
    """Yaw and pitch (2,), degrees, by a mesh (478, 2) in px and the head's yaw, pitch and roll; None where it has no
    size."""
    mesh, (head_yaw, head_pitch, roll) = np.asarray(mesh478, np.float64), (float(angle) for angle in pose)
    turn = rotation_matrix(head_yaw, head_pitch, roll)
    across = mesh[_OUTER[1]] - mesh[_OUTER[0]]
    scale = math.hypot(*across) / (OUTER_CORNERS_MM * max(math.hypot(turn[0, 0], turn[1, 0]), 0.3))
    if not scale > 0.0:
        return None
    middle = (mesh[_OUTER] + mesh[_INNER]) / 2.0
    sight = ((mesh[_IRISES] - middle) / scale - _CENTRES_MM @ turn[:2].T) / RADIUS_MM
    weights = _weights(mesh, head_yaw)
    x, y = (weights @ sight / weights.sum()).tolist()
    pitch = math.asin(min(max(-y, -0.95), 0.95))
    yaw = math.asin(min(max(x / math.cos(pitch), -0.95), 0.95))
    return np.degrees(np.array((yaw, pitch), np.float32))


def _weights(mesh: NDArray[np.float64], head_yaw: float) -> NDArray[np.float64]:
    """How well each eye shows: how open it is, and less the one that turns away."""
    high = np.linalg.norm(mesh[_UPPER] - mesh[_LOWER], axis=1)
    wide = np.linalg.norm(mesh[_OUTER] - mesh[_INNER], axis=1)
    away = math.sin(math.radians(head_yaw))
    # A nose to the image's right hides the eye that is on that side: the subject's left.
    near = np.clip((1.0 + away, 1.0 - away), 0.05, None)
    weights: NDArray[np.float64] = near * np.clip(high / np.maximum(wide, 1e-6), 0.02, 0.4)
    return weights

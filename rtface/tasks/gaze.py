"""The line of sight from irises, eye corners and head pose, by geometry.

An eyeball turns about a centre that lies beside the middle of its two corners: `DEPTH_MM` behind it, `LIFT_MM` over it
and `OUT_MM` to the face's outer side. The iris' middle, `RADIUS_MM` from the centre, is where the line of sight leaves
the ball. Seen from afar, with a scale of s px a millimetre,

    iris = corners' middle + s · (R · c + r · g)   →   g = ((iris − middle) / s − R · c) / r

in x and y, where R turns a face that looks into the camera to the head's pose, c = (∓OUT, −LIFT, DEPTH) is the centre
from the corners' middle, and g the unit vector of the line of sight: x to the image's right, y down. Then
yaw = asin(g_x / cos pitch) and pitch = asin(−g_y). Both eyes are averaged, weighted by how well each shows. Like
the pose, the angles are those beside the ray from the camera to the face: 0, 0 looks into the camera wherever in the
picture the face is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.face_model import rotation_matrix
from rtface.types import Gaze, HeadPose

RADIUS_MM, DEPTH_MM, LIFT_MM, OUT_MM = 11.0, 4.0, 1.7, 1.55
"""The first of an adult's eyeball; the others by 600 portraits of people who look into the camera (US Congress, UK
Parliament): with these the median angle is 2.6 degrees there."""

OUTER_CORNERS_MM = 88.0
"""Between the outer corners, as `MEAN_FACE_MM` has it."""

CAMERA_DEG, SOFT_DEG = 12.0, 3.0
"""Half of the looks that are so far off are at the camera; how soft that border is."""

# Middle of the iris, and the eye's corners: the subject's right eye, then the left.
_IRISES, _OUTER, _INNER = [468, 473], [33, 263], [133, 362]
_UPPER, _LOWER = [159, 386], [145, 374]
_CENTRES_MM = np.array(((-OUT_MM, -LIFT_MM, DEPTH_MM), (OUT_MM, -LIFT_MM, DEPTH_MM)))


def gazes(meshes: NDArray[np.floating], poses: Sequence[HeadPose]) -> list[Gaze]:
    """Of each face: its mesh (N, 478, 2) in px of the frame, and its head's pose."""
    return [_gaze(np.asarray(mesh, np.float64), pose) for mesh, pose in zip(meshes, poses, strict=True)]


def _gaze(mesh: NDArray[np.float64], pose: HeadPose) -> Gaze:
    turn = rotation_matrix(pose.yaw, pose.pitch, pose.roll)
    across = mesh[_OUTER[1]] - mesh[_OUTER[0]]
    scale = math.hypot(*across) / (OUTER_CORNERS_MM * max(math.hypot(turn[0, 0], turn[1, 0]), 0.3))
    if not scale > 0.0:
        return Gaze(pose.yaw, pose.pitch, on_camera(pose.yaw, pose.pitch))
    middle = (mesh[_OUTER] + mesh[_INNER]) / 2.0
    sight = ((mesh[_IRISES] - middle) / scale - _CENTRES_MM @ turn[:2].T) / RADIUS_MM
    weights = _weights(mesh, pose)
    x, y = (weights @ sight / weights.sum()).tolist()
    pitch = math.asin(min(max(-y, -0.95), 0.95))
    yaw = math.asin(min(max(x / math.cos(pitch), -0.95), 0.95))
    yaw, pitch = math.degrees(yaw), math.degrees(pitch)
    return Gaze(yaw, pitch, on_camera(yaw, pitch))


def on_camera(yaw: float, pitch: float) -> float:
    """0..1, how likely a line of sight (degrees) meets the camera."""
    return 1.0 / (1.0 + math.exp(min((math.hypot(yaw, pitch) - CAMERA_DEG) / SOFT_DEG, 50.0)))


def _weights(mesh: NDArray[np.float64], pose: HeadPose) -> NDArray[np.float64]:
    """How well each eye shows: how open it is, and less the one that turns away."""
    high = np.linalg.norm(mesh[_UPPER] - mesh[_LOWER], axis=1)
    wide = np.linalg.norm(mesh[_OUTER] - mesh[_INNER], axis=1)
    away = math.sin(math.radians(pose.yaw))
    # A nose to the image's right hides the eye that is on that side: the subject's left.
    near = np.clip((1.0 + away, 1.0 - away), 0.05, None)
    weights: NDArray[np.float64] = near * np.clip(high / np.maximum(wide, 1e-6), 0.02, 0.4)
    return weights

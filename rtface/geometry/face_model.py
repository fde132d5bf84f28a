"""The mean of many faces in three dimensions: 68 points in iBUG order, and what a face's points say with it.

Fitted to the 1,359 hand-labelled faces of Helen and LFPW (train) that have a head pose: the mean shape whose
projections under those poses leave the smallest differences, made symmetric (``benchmarks/face_model.py``).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: (68, 3) mm: x to the image's right, y down, z away from the camera, of a face that looks into the camera; the
#: origin is the middle between the eyes. Set to a distance of 88 mm between the eyes' outer corners, the mean of
#: adults.
MEAN_FACE_MM: Floats = np.array(
    (
        (-71.4, 7.6, 50.8),
        (-70.7, 25.5, 45.2),
        (-68.4, 43.4, 41.0),
        (-64.7, 61.0, 36.5),
        (-57.7, 77.0, 28.0),
        (-46.6, 90.4, 16.1),
        (-32.8, 101.2, 2.6),
        (-17.5, 109.7, -10.2),
        (0.0, 112.0, -14.6),
        (17.5, 109.7, -10.2),
        (32.8, 101.2, 2.6),
        (46.6, 90.4, 16.1),
        (57.7, 77.0, 28.0),
        (64.7, 61.0, 36.5),
        (68.4, 43.4, 41.0),
        (70.7, 25.5, 45.2),
        (71.4, 7.6, 50.8),
        (-58.7, -11.5, 12.3),
        (-49.7, -20.2, 4.1),
        (-37.3, -23.4, -3.6),
        (-24.5, -22.5, -10.4),
        (-12.2, -18.6, -15.9),
        (12.2, -18.6, -15.9),
        (24.5, -22.5, -10.4),
        (37.3, -23.4, -3.6),
        (49.7, -20.2, 4.1),
        (58.7, -11.5, 12.3),
        (0.0, -3.8, -18.0),
        (0.0, 7.6, -26.2),
        (0.0, 18.7, -35.3),
        (0.0, 30.3, -44.2),
        (-14.3, 40.3, -26.1),
        (-7.4, 42.3, -29.6),
        (0.0, 44.3, -31.9),
        (7.4, 42.3, -29.6),
        (14.3, 40.3, -26.1),
        (-44.0, 0.6, 4.2),
        (-36.4, -4.4, 0.8),
        (-26.9, -4.5, -0.8),
        (-19.2, 1.5, -1.8),
        (-27.8, 3.4, -2.1),
        (-37.0, 3.4, -0.3),
        (19.2, 1.5, -1.8),
        (26.9, -4.5, -0.8),
        (36.4, -4.4, 0.8),
        (44.0, 0.6, 4.2),
        (37.0, 3.4, -0.3),
        (27.8, 3.4, -2.1),
        (-27.8, 65.3, -7.5),
        (-17.7, 59.7, -20.4),
        (-7.3, 56.7, -27.7),
        (0.0, 58.3, -29.2),
        (7.3, 56.7, -27.7),
        (17.7, 59.7, -20.4),
        (27.8, 65.3, -7.5),
        (18.1, 73.8, -18.5),
        (7.9, 77.1, -25.8),
        (0.0, 77.7, -27.2),
        (-7.9, 77.1, -25.8),
        (-18.1, 73.8, -18.5),
        (-23.6, 65.7, -9.5),
        (-7.4, 63.1, -26.4),
        (0.0, 63.6, -28.0),
        (7.4, 63.1, -26.4),
        (23.6, 65.7, -9.5),
        (7.5, 67.9, -25.0),
        (0.0, 68.6, -26.5),
        (-7.5, 67.9, -25.0),
    ),
    np.float64,
)
MEAN_FACE_MM.setflags(write=False)
_MIDDLE = MEAN_FACE_MM.mean(axis=0)
_CENTRED = MEAN_FACE_MM - _MIDDLE
_SPREAD = _CENTRED.T @ _CENTRED


class FacePlacement(NamedTuple):
    """How the mean face lies on a picture: px a mm, and where its origin, between the eyes, is (px)."""

    px_per_mm: float
    x_px: float
    y_px: float


def rotation_matrix(yaw: float, pitch: float, roll: float) -> Floats:
    """(3, 3) from a face that looks into the camera to one with this head pose; degrees as ``rtface.HeadPose``.

    The head pitches first, then yaws, then rolls. Axes as `MEAN_FACE_MM`.
    """
    (cy, sy), (cp, sp), (cr, sr) = (_cos_sin(angle) for angle in (yaw, pitch, roll))
    # Rz · Ry · Rx written out: a live output does this for every frame.
    return np.array(
        (
            (cr * cy, -sr * cp + cr * sy * sp, -sr * sp - cr * sy * cp),
            (sr * cy, cr * cp + sr * sy * sp, cr * sp - sr * sy * cp),
            (sy, -cy * sp, cy * cp),
        )
    )


def place_face(points: NDArray[np.floating], rotation: Floats) -> FacePlacement:
    """How the mean face, turned by `rotation`, lies nearest to (68, 2) points in px, by least squares."""
    seen = np.asarray(points, np.float64)
    across, down = rotation[0], rotation[1]
    together = _CENTRED.T @ seen  # (3, 2)
    spread = float(across @ _SPREAD @ across + down @ _SPREAD @ down)
    scale = float(across @ together[:, 0] + down @ together[:, 1]) / spread
    middle_x, middle_y = (seen.sum(axis=0) / len(seen)).tolist()
    x, y = middle_x - scale * float(across @ _MIDDLE), middle_y - scale * float(down @ _MIDDLE)
    return FacePlacement(max(scale, 1e-6), x, y)


def frontal_points(points: NDArray[np.floating], rotation: Floats, placed: FacePlacement | None = None) -> Floats:
    """(68, 2) mm: the points as they would be seen from the front, the origin between the eyes.

    The turn of the head is taken out with the mean face's depths, so what is left differs by expression and by person.
    Good up to 30 or 40 degrees; beyond, points that the head hides are guesses. `placed` is what `place_face` says,
    where it is known already.
    """
    scale, x, y = placed or place_face(points, rotation)
    (a, b), (c, d) = rotation[:2, :2].tolist()
    area = a * d - b * c
    inverse = ((d / area, -c / area), (-b / area, a / area))  # transposed: points are rows
    out, up = rotation[0, 2], rotation[1, 2]
    depth = (out * inverse[0][0] + up * inverse[1][0], out * inverse[0][1] + up * inverse[1][1])
    at = np.array((x, y))
    flat: Floats = (np.asarray(points, np.float64) - at) @ (np.array(inverse) / scale) - MEAN_FACE_MM[:, 2:] * depth
    return flat


def _cos_sin(degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)

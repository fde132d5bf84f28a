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
    about_x = np.array(((1, 0, 0), (0, cp, sp), (0, -sp, cp)))
    about_y = np.array(((cy, 0, -sy), (0, 1, 0), (sy, 0, cy)))
    about_z = np.array(((cr, -sr, 0), (sr, cr, 0), (0, 0, 1)))
    matrix: Floats = about_z @ about_y @ about_x
    return matrix


def place_face(points: NDArray[np.floating], rotation: Floats) -> FacePlacement:
    """How the mean face, turned by `rotation`, lies nearest to (68, 2) points in px, by least squares."""
    model = MEAN_FACE_MM @ rotation[:2].T
    seen = np.asarray(points, np.float64)
    model_middle, seen_middle = model.mean(axis=0), seen.mean(axis=0)
    centred = model - model_middle
    scale = float((centred * (seen - seen_middle)).sum() / (centred**2).sum())
    x, y = seen_middle - scale * model_middle
    return FacePlacement(max(scale, 1e-6), float(x), float(y))


def frontal_points(points: NDArray[np.floating], rotation: Floats, placed: FacePlacement | None = None) -> Floats:
    """(68, 2) mm: the points as they would be seen from the front, the origin between the eyes.

    The turn of the head is taken out with the mean face's depths, so what is left differs by expression and by person.
    Good up to 30 or 40 degrees; beyond, points that the head hides are guesses. `placed` is what `place_face` says,
    where it is known already.
    """
    placed = placed or place_face(points, rotation)
    seen = (np.asarray(points, np.float64) - (placed.x_px, placed.y_px)) / placed.px_per_mm
    flat: Floats = (seen - MEAN_FACE_MM[:, 2:] * rotation[:2, 2]) @ np.linalg.inv(rotation[:2, :2]).T
    return flat


def _cos_sin(degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)

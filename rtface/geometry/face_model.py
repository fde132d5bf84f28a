"""The mean of many faces in three dimensions: 68 points in iBUG order, and what a face's points say with it.

Fitted to the 1,359 hand-labelled faces of Helen and LFPW (train) that have a head pose: the mean shape whose
projections under those poses leave the smallest differences, made symmetric (``benchmarks/face_model.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
#: (4, 68): what (68, 2) points are multiplied with for what `place_face` takes: their products with the centred face's
#: x, y and z, and their middle.
FACE_SUMS: Floats = np.concatenate((_CENTRED.T, np.full((1, len(MEAN_FACE_MM)), 1.0 / len(MEAN_FACE_MM))))
_MIDDLE_X, _MIDDLE_Y, _MIDDLE_Z = _MIDDLE.tolist()
(_XX, _XY, _XZ), (_, _YY, _YZ), (_, _, _ZZ) = (_CENTRED.T @ _CENTRED).tolist()
_XX_YY_ZZ: float = _XX + _YY + _ZZ

#: The rows of a rotation matrix. Of numbers as small as these plain Python is several times as fast as NumPy.
Rows = Sequence[Sequence[float]]


class FacePlacement(NamedTuple):
    """How the mean face lies on a picture: px a mm, and where its origin, between the eyes, is (px)."""

    px_per_mm: float
    x_px: float
    y_px: float


def rotation_rows(yaw: float, pitch: float, roll: float) -> Rows:
    """`rotation_matrix` as rows of plain numbers."""
    (cy, sy), (cp, sp), (cr, sr) = _cos_sin(yaw), _cos_sin(pitch), _cos_sin(roll)
    # Rz · Ry · Rx written out: a live output does this for every frame.
    return (
        (cr * cy, -sr * cp + cr * sy * sp, -sr * sp - cr * sy * cp),
        (sr * cy, cr * cp + sr * sy * sp, cr * sp - sr * sy * cp),
        (sy, -cy * sp, cy * cp),
    )


def rotation_matrix(yaw: float, pitch: float, roll: float) -> Floats:
    """(3, 3) from a face that looks into the camera to one with this head pose; degrees as ``rtface.HeadPose``.

    The head pitches first, then yaws, then rolls. Axes as `MEAN_FACE_MM`.
    """
    return np.array(rotation_rows(yaw, pitch, roll))


def rotation_quaternion(yaw: float, pitch: float, roll: float) -> tuple[float, float, float, float]:
    """`rotation_matrix` as a quaternion x, y, z, w; of the two that are the same turn the one with w of 0 or more."""
    (cy, sy), (cp, sp), (cr, sr) = _cos_sin(yaw / 2.0), _cos_sin(pitch / 2.0), _cos_sin(roll / 2.0)
    x, y, z = -sp * cy * cr + cp * sy * sr, -cp * sy * cr - sp * cy * sr, cp * cy * sr - sp * sy * cr
    w = cp * cy * cr + sp * sy * sr
    return (x, y, z, w) if w >= 0.0 else (-x, -y, -z, -w)


def place_face(sums: Rows, rotation: Rows) -> FacePlacement:
    """How the mean face, turned by `rotation`, lies nearest to points in px, by least squares.

    Args:
        sums: ``FACE_SUMS @ points``.
        rotation: Of the head.
    """
    (a, b, c), (d, e, f), _ = rotation
    (along_x, down_x), (along_y, down_y), (along_z, down_z), (middle_x, middle_y) = sums
    together = a * along_x + b * along_y + c * along_z + d * down_x + e * down_y + f * down_z
    scale = together / _shadow(rotation)
    across = a * _MIDDLE_X + b * _MIDDLE_Y + c * _MIDDLE_Z
    down = d * _MIDDLE_X + e * _MIDDLE_Y + f * _MIDDLE_Z
    return FacePlacement(max(scale, 1e-6), middle_x - scale * across, middle_y - scale * down)


def misfit_px(points: Floats, rotation: Rows, placed: FacePlacement) -> float:
    """Root mean square distance of (68, 2) points from the mean face in x and y, laid as `place_face` says."""
    (a, b, c), (d, e, f), _ = rotation
    scale, x, y = placed
    middle_x = x + scale * (a * _MIDDLE_X + b * _MIDDLE_Y + c * _MIDDLE_Z)
    middle_y = y + scale * (d * _MIDDLE_X + e * _MIDDLE_Y + f * _MIDDLE_Z)
    count = len(MEAN_FACE_MM)
    spread = float(np.vdot(points, points)) - count * (middle_x * middle_x + middle_y * middle_y)
    return math.sqrt(max(spread - scale * scale * _shadow(rotation), 0.0) / (2.0 * count))


def _shadow(rotation: Rows) -> float:
    """Sum of the squares of the centred mean face's x and y once it is turned: of all three axes less those of z."""
    x, y, z = rotation[2]
    depths: float = x * x * _XX + y * y * _YY + z * z * _ZZ + 2.0 * (x * y * _XY + x * z * _XZ + y * z * _YZ)
    return _XX_YY_ZZ - depths


class Frontal(NamedTuple):
    """What makes of a point in px, (px from `FacePlacement`'s origin) and its depth on the mean face, mm seen from the
    front: ``x = px_x * xx + px_y * yx + depth * zx``, and y likewise.

    The turn of the head is taken out with the mean face's depths, so what is left differs by expression and by person.
    Good up to 30 or 40 degrees; beyond, points that the head hides are guesses.
    """

    xx: float
    yx: float
    zx: float
    xy: float
    yy: float
    zy: float


def to_the_front(rotation: Rows, placed: FacePlacement) -> Frontal:
    """Of a face that lies so."""
    (a, b, out), (c, d, up), _ = rotation
    area = a * d - b * c
    to_x, to_y = (d / area, -b / area), (-c / area, a / area)  # the inverse
    s = placed.px_per_mm
    return Frontal(
        *(to_x[0] / s, to_x[1] / s, -out * to_x[0] - up * to_x[1]),
        *(to_y[0] / s, to_y[1] / s, -out * to_y[0] - up * to_y[1]),
    )


def _cos_sin(degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return math.cos(angle), math.sin(angle)

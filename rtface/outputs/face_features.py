"""Distances in a face that say what it does, from 68 points and the head's pose; nothing that 68 points do not show."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.face_model import frontal_points, rotation_matrix
from rtface.types import HeadPose, Landmarks

Floats = NDArray[np.float64]

#: Left and right are the subject's. Lengths are in distances between the eyes' middles; up and out are positive.
FEATURES = (
    "eye_left",  # height by width of the eye (the aspect ratio of Soukupova and Cech, 2016)
    "eye_right",
    "mouth_gap",  # between the inner lips
    "mouth_width",
    "corner_left",  # how high the mouth's corner is over the middle of the closed mouth
    "corner_right",
    "brow_inner_left",  # over the eye's inner corner
    "brow_inner_right",
    "brow_outer_left",  # over the eye's outer corner
    "brow_outer_right",
    "mouth_side",  # of the mouth's middle from the nose's base, + to the subject's left
    "jaw_side",
    "upper_lip",  # from the nose's base down to the upper lip's edge
    "lower_lip",  # from the mouth's middle down to the lower lip's edge
    "upper_thickness",
    "lower_thickness",
    "chin",  # from the nose's base down to the chin
)
INDEX = {name: index for index, name in enumerate(FEATURES)}


#: (2, 68): the middles of the right and the left eye.
_EYES = np.zeros((2, 68))
_EYES[0, 36:42] = _EYES[1, 42:48] = 1.0 / 6.0
#: Pairs of points whose distances are looked at: lids and corners of each eye, the inner lips, the mouth's corners, and
#: the two lips' thickness.
_PAIRS = np.array(
    (
        *((43, 47), (44, 46), (42, 45)),
        *((37, 41), (38, 40), (36, 39)),
        *((61, 67), (62, 66), (63, 65)),
        (48, 54),
        *((50, 61), (51, 62), (52, 63)),
        *((58, 67), (57, 66), (56, 65)),
    )
)


def face_features(landmarks: Landmarks, pose: HeadPose | None) -> Floats:
    """(17,) the values of `FEATURES`, of a face turned to the front; NaN where the points make no face."""
    angles = (pose.yaw, pose.pitch, pose.roll) if pose is not None else (0.0, 0.0, 0.0)
    points = _upright(frontal_points(landmarks.points, rotation_matrix(*angles)))
    if points is None:
        return np.full(len(FEATURES), np.nan)
    apart = points[_PAIRS[:, 0]] - points[_PAIRS[:, 1]]
    d = np.sqrt((apart * apart).sum(axis=1)).tolist()
    x, y = points.T.tolist()
    y = [-value for value in y]  # up from here on
    upper, lower = (y[50] + y[51] + y[52]) / 3.0, (y[56] + y[57] + y[58]) / 3.0
    nose_x = (x[31] + x[35]) / 2.0
    return np.array(
        (
            (d[0] + d[1]) / (2.0 * max(d[2], 1e-6)),
            (d[3] + d[4]) / (2.0 * max(d[5], 1e-6)),
            (d[6] + d[7] + d[8]) / 3.0,
            d[9],
            y[54] - y[33],
            y[48] - y[33],
            (y[22] + y[23]) / 2.0 - y[42],
            (y[20] + y[21]) / 2.0 - y[39],
            (y[25] + y[26]) / 2.0 - y[45],
            (y[17] + y[18]) / 2.0 - y[36],
            (x[48] + x[54]) / 2.0 - nose_x,
            (x[7] + x[8] + x[9]) / 3.0 - nose_x,
            y[33] - upper,
            (upper + lower) / 2.0 - lower,
            (d[10] + d[11] + d[12]) / 3.0,
            (d[13] + d[14] + d[15]) / 3.0,
            y[33] - y[8],
        )
    )


def _upright(points: Floats) -> Floats | None:
    """With the eyes level, and the distance between their middles as the unit."""
    (right_x, right_y), (left_x, left_y) = (_EYES @ points).tolist()
    x, y = left_x - right_x, left_y - right_y
    squared = x * x + y * y
    if not math.isfinite(float(points.sum())) or squared < 1e-12:
        return None
    cos, sin = x / squared, y / squared  # turned, and in distances between the eyes
    middle = np.array(((left_x + right_x) / 2.0, (left_y + right_y) / 2.0))
    upright: Floats = (points - middle) @ np.array(((cos, -sin), (sin, cos)))
    return upright

"""Distances in a face that say what it does, from 68 points and the head's pose; nothing that 68 points do not show."""

from __future__ import annotations

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


def face_features(landmarks: Landmarks, pose: HeadPose | None) -> Floats:
    """(17,) the values of `FEATURES`, of a face turned to the front; NaN where the points make no face."""
    angles = (pose.yaw, pose.pitch, pose.roll) if pose is not None else (0.0, 0.0, 0.0)
    points = _upright(frontal_points(landmarks.points, rotation_matrix(*angles)))
    if points is None:
        return np.full(len(FEATURES), np.nan)
    x, y = points[:, 0], -points[:, 1]  # y is up from here on
    mouth_middle = (y[[50, 51, 52]].mean() + y[[56, 57, 58]].mean()) / 2.0
    corners = y[48], y[54]
    return np.array(
        (
            _eye_ratio(points[42:48]),
            _eye_ratio(points[36:42]),
            np.linalg.norm(points[[61, 62, 63]] - points[[67, 66, 65]], axis=1).mean(),
            np.linalg.norm(points[54] - points[48]),
            corners[1] - y[33],
            corners[0] - y[33],
            y[[22, 23]].mean() - y[42],
            y[[20, 21]].mean() - y[39],
            y[[25, 26]].mean() - y[45],
            y[[17, 18]].mean() - y[36],
            x[[48, 54]].mean() - x[[31, 35]].mean(),
            x[[7, 8, 9]].mean() - x[[31, 35]].mean(),
            y[33] - y[[50, 51, 52]].mean(),
            mouth_middle - y[[56, 57, 58]].mean(),
            np.linalg.norm(points[[50, 51, 52]] - points[[61, 62, 63]], axis=1).mean(),
            np.linalg.norm(points[[58, 57, 56]] - points[[67, 66, 65]], axis=1).mean(),
            y[33] - y[8],
        )
    )


def _upright(points: Floats) -> Floats | None:
    """With the eyes level, and the distance between their middles as the unit."""
    right, left = points[36:42].mean(axis=0), points[42:48].mean(axis=0)
    along = left - right
    distance = float(np.hypot(*along))
    if not np.isfinite(points).all() or distance < 1e-6:
        return None
    cos, sin = along / distance
    upright: Floats = (points - (left + right) / 2.0) @ np.array(((cos, -sin), (sin, cos))) / distance
    return upright


def _eye_ratio(eye: Floats) -> float:
    width = float(np.linalg.norm(eye[3] - eye[0]))
    heights = float(np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4]))
    return heights / (2.0 * max(width, 1e-6))

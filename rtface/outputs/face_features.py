"""Distances in a face that say what it does, from 68 points and the head's pose; nothing that 68 points do not show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.face_model import (
    FACE_SUMS,
    MEAN_FACE_MM,
    FacePlacement,
    Rows,
    place_face,
    rotation_rows,
    to_the_front,
)
from rtface.types import Face, HeadPose

#: Several outputs ask about the same faces, at about the same time.
REMEMBERED = 32

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


#: A way leads from the middle of some points to the middle of others. Those whose lengths are looked at: between lids
#: and corners of each eye, the inner lips, the mouth's corners, and the two lips' edges.
_LENGTHS = (
    *(((43,), (47,)), ((44,), (46,)), ((42,), (45,))),
    *(((37,), (41,)), ((38,), (40,)), ((36,), (39,))),
    *(((61,), (67,)), ((62,), (66,)), ((63,), (65,))),
    ((48,), (54,)),
    *(((50,), (61,)), ((51,), (62,)), ((52,), (63,))),
    *(((58,), (67,)), ((57,), (66,)), ((56,), (65,))),
)
_NOSE, _NOSTRILS, _UPPER, _LOWER = (33,), (31, 35), (50, 51, 52), (56, 57, 58)
#: Ways of which it is looked how far up or how far to the side they lead.
_RISES = (
    *((_NOSE, (54,)), (_NOSE, (48,))),
    *(((42,), (22, 23)), ((39,), (20, 21)), ((45,), (25, 26)), ((36,), (17, 18))),
    *((_UPPER, _NOSE), (_LOWER, _UPPER), ((8,), _NOSE)),
)
_SIDES = ((_NOSTRILS, (48, 54)), (_NOSTRILS, (7, 8, 9)))
_EYES = (tuple(range(36, 42)), tuple(range(42, 48)))  # the middles of the right and the left one


def _weights(ways: Sequence[tuple[Sequence[int], Sequence[int]]]) -> np.ndarray:
    """(n, 68): what points are multiplied with for the ways between them."""
    weights = np.zeros((len(ways), 68))
    for row, (start, end) in zip(weights, ways, strict=True):
        row[list(end)] += 1.0 / len(end)
        row[list(start)] -= 1.0 / len(start)
    return weights


_WAYS = _weights((*_LENGTHS, *_RISES, *_SIDES, _EYES))
_DEPTHS: list[float] = (_WAYS @ MEAN_FACE_MM[:, 2]).tolist()


_WEIGHTS = np.concatenate((FACE_SUMS, _WAYS))


class FaceGeometry(NamedTuple):
    """Of a face with landmarks: its points (68, 2) px, the rows of its head's rotation, how the mean face lies on it,
    and the ways between its points, px.
    """

    points: NDArray[np.float64]
    rotation: Rows
    placed: FacePlacement
    ways: Rows


@lru_cache(REMEMBERED)
def geometry_of(face: Face) -> FaceGeometry:
    """Worked out once for all who ask; NaN where the points or the pose are."""
    assert face.landmarks is not None
    points = np.asarray(face.landmarks.points, np.float64)
    sums = (_WEIGHTS @ points).tolist()
    rotation = rotation_rows(*angles_of(face.pose))
    return FaceGeometry(points, rotation, place_face(sums[: len(FACE_SUMS)], rotation), sums[len(FACE_SUMS) :])


def angles_of(pose: HeadPose | None) -> tuple[float, float, float]:
    """Yaw, pitch and roll; 0 where they are not known."""
    return (pose.yaw, pose.pitch, pose.roll) if pose is not None else (0.0, 0.0, 0.0)


@lru_cache(REMEMBERED)
def face_features(face: Face) -> tuple[float, ...]:
    """The 17 values of `FEATURES`, of a face with landmarks, turned to the front; NaN where the points make no face."""
    _, rotation, placed, ways = geometry_of(face)
    to = to_the_front(rotation, placed)
    x = [a * to.xx + b * to.yx + depth * to.zx for (a, b), depth in zip(ways, _DEPTHS, strict=True)]
    y = [a * to.xy + b * to.yy + depth * to.zy for (a, b), depth in zip(ways, _DEPTHS, strict=True)]
    across, down = x.pop(), y.pop()  # from eye to eye: the unit, and level
    squared = across * across + down * down
    if not math.isfinite(sum(x) + sum(y) + squared) or squared < 1e-12:
        return (math.nan,) * len(FEATURES)
    unit, cos, sin = 1.0 / math.sqrt(squared), across / squared, down / squared
    d = [unit * math.sqrt(a * a + b * b) for a, b in zip(x[: len(_LENGTHS)], y, strict=False)]
    rises, sides = slice(len(_LENGTHS), -len(_SIDES)), slice(-len(_SIDES), None)
    corner_left, corner_right, *brows, upper_lip, lips, chin = [
        a * sin - b * cos for a, b in zip(x[rises], y[rises], strict=True)
    ]
    mouth_side, jaw_side = [a * cos + b * sin for a, b in zip(x[sides], y[sides], strict=True)]
    return (
        (d[0] + d[1]) / (2.0 * max(d[2], 1e-6)),
        (d[3] + d[4]) / (2.0 * max(d[5], 1e-6)),
        (d[6] + d[7] + d[8]) / 3.0,
        d[9],
        *(corner_left, corner_right, *brows),
        *(mouth_side, jaw_side),
        *(upper_lip, lips / 2.0),
        (d[10] + d[11] + d[12]) / 3.0,
        (d[13] + d[14] + d[15]) / 3.0,
        chin,
    )

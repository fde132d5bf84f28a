"""Why a face's values can hardly be trusted, of what is there already: how large it is, its pixels, pose and mask.

Asked of faces of low quality only, so that a good face costs nothing. How often each answer is right on pictures that
were made small, blurred or covered is what `benchmarks/quality_reasons.py` prints (docs/quality.md).
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import points5_from_landmarks
from rtface.labels import PARSING_CLASSES, QUALITY_REASONS
from rtface.types import HeadPose

LOW_QUALITY = 0.5
"""Of a face of this quality and more nothing is asked: of large frontal sharp faces 95 % have .61 and more."""

SMALL_SIDE = 40.0
"""A crop of fewer px of the frame a side (a face of some 32 px) shows a third of the detail that the network knows."""

SHARP = 0.06
"""`sharpness` of sharp faces: 99 % have .07 and more; of those out of focus by 6 % of their size 1 %."""

FINEST_PX = 64
"""Detail is looked at in a crop of so many px, or fewer where the frame has no more of the face."""

TURNED_YAW, TURNED_PITCH = 40.0, 30.0
"""Degrees beyond which half of a face is hardly seen."""

NOSE_ASIDE = 0.33
"""The same of the points alone: how far the nose's tip lies beside the middle line, in distances from eyes to mouth."""

COVERED_SKIN = 0.4
"""Less skin, lips and mouth than this share of the lower face, by the mask: something hides it."""

_FACE = ("skin", "nose", "inner_mouth", "upper_lip", "lower_lip")
_IS_FACE = np.isin(np.arange(256), [PARSING_CLASSES.index(name) for name in _FACE])

_LOWER_FACE = [*range(3, 14), 35, 31]
"""Of the 68 points those around the lower face: along the jaw, and the nose's wings."""


def quality_reasons(
    pixels: NDArray[np.uint8],
    side: float,
    points: NDArray[np.float32] | None = None,
    pose: HeadPose | None = None,
    labels: NDArray[np.uint8] | None = None,
) -> tuple[str, ...]:
    """Some of `QUALITY_REASONS`, in their order, of a face of low quality; "covered" also where nothing else is found.

    Args:
        pixels: (S, S, 3) BGR, the upright crop that the network saw.
        side: Of that crop, px of the frame.
        points: (68, 2) px of the crop; None = not known.
        pose: Of the head; None = not asked for: the points tell.
        labels: (L, L) uint8, the crop's label map; None = not asked for.
    """
    found = {
        "small": side < SMALL_SIDE,
        "blurred": sharpness(pixels, side) < SHARP,
        "turned": _turned(points, pose),
    }
    hidden = points is not None and labels is not None and lower_face_seen(points, labels, len(pixels)) < COVERED_SKIN
    # Of a blurred face the mask is no witness.
    found["covered"] = (hidden and not found["blurred"]) or not any(found.values())
    return tuple(reason for reason in QUALITY_REASONS if found[reason])


def sharpness(pixels: NDArray[np.uint8], side: float) -> float:
    """How much detail the middle of a crop (S, S, 3) BGR has in the direction in which it has least, so that a face
    that moves counts as one out of focus: twice the smaller eigenvalue of the structure tensor (Förstner and Gülch,
    1987) over the variance, so that light and contrast leave it as it is; 0 where all is grey.

    Args:
        pixels: The crop.
        side: Of that crop, px of the frame: a small face is not expected to have more detail than its frame shows.
    """
    size = min(FINEST_PX, max(16, round(side)))
    grey = cv2.cvtColor(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    face = grey[size // 8 : size - size // 8, size // 5 : size - size // 5].astype(np.float32)
    variance = float(face.var())
    if variance < 1.0:
        return 0.0
    across, down = np.diff(face, axis=1)[:-1], np.diff(face, axis=0)[:, :-1]
    xx, yy, xy = (float((one * other).mean()) for one, other in ((across, across), (down, down), (across, down)))
    return (xx + yy - math.hypot(xx - yy, 2 * xy)) / variance * size / FINEST_PX


def _turned(points: NDArray[np.float32] | None, pose: HeadPose | None) -> bool:
    if pose is not None:
        return abs(pose.yaw) > TURNED_YAW or abs(pose.pitch) > TURNED_PITCH
    return points is not None and abs(nose_aside(points)) > NOSE_ASIDE


def nose_aside(points: NDArray[np.float32]) -> float:
    """Where the nose's tip lies beside the face's middle line, in distances from eyes to mouth, + to the image's
    right; of (68, 2) points."""
    left, right, nose, mouth_left, mouth_right = points5_from_landmarks(points).astype(np.float64)
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    down = mouth - eyes
    length = float(np.hypot(*down))
    if not length > 0.0:
        return 0.0
    beside = nose - eyes
    return float(down[1] * beside[0] - down[0] * beside[1]) / (length * length)


def lower_face_seen(points: NDArray[np.float32], labels: NDArray[np.uint8], size: int) -> float:
    """Share of the lower face that the mask takes for a face's own parts, 0..1; of (68, 2) points in px of a crop of
    `size` px, and its label map."""
    scale = len(labels) / size
    place = np.zeros(labels.shape, np.uint8)
    outline = (points[_LOWER_FACE].astype(np.float64) + 0.5) * scale - 0.5
    cv2.fillPoly(place, [np.rint(outline).astype(np.int32)], 1)
    inside = labels[place > 0]
    return float(_IS_FACE[inside].mean()) if inside.size else 0.0

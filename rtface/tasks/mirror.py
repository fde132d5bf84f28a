"""A still is worth a second look in the mirror: answers for a crop and for its mirror image, averaged.

Errors of the two looks are partly independent, so points, pose and probabilities gain from their mean. Labels of the
parsing cannot be averaged; they stay the first look's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.tasks.crop import CROP_SIZE

# Runs of iBUG-68 points and, in the same order, the points that they become in the mirror.
_PARTS = (
    range(16, -1, -1),  # jaw
    range(26, 16, -1),  # brows
    range(27, 31),  # bridge of the nose
    range(35, 30, -1),  # nostrils
    (45, 44, 43, 42, 47, 46),  # eyes
    (39, 38, 37, 36, 41, 40),
    range(54, 47, -1),  # outer lips, upper and lower
    range(59, 54, -1),
    range(64, 59, -1),  # inner lips
    range(67, 64, -1),
)
MIRROR_68: NDArray[np.int64] = np.array([index for part in _PARTS for index in part])
"""Which of the 68 points each point is in the mirror image."""

_SIGN_XY, _SHIFT_XY = np.array((-1, 1), np.float32), np.array((CROP_SIZE - 1, 0), np.float32)
_SIGN_POSE = np.array((-1, 1, -1), np.float32)


def mirrored(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops (N, H, W, 3) turned left to right, C-ordered."""
    return np.ascontiguousarray(crops[:, :, ::-1])


def average(seen: dict[str, NDArray[Any]], in_mirror: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Mean of the engine's answers (see the registry for shapes) to crops and to their mirror images."""
    mean = dict(seen)
    for name, values in in_mirror.items():
        if name == "landmarks":
            values = values[:, MIRROR_68] * _SIGN_XY + _SHIFT_XY
        elif name == "pose":
            values = values * _SIGN_POSE
        if name != "parsing":
            mean[name] = (seen[name] + values) / 2
    return mean

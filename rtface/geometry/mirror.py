"""What points and parsing classes become in the mirror."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.labels import PARSING_CLASSES

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

MIRROR_CLASSES: NDArray[np.uint8] = np.arange(len(PARSING_CLASSES), dtype=np.uint8)
"""What each parsing class becomes in the mirror: the subject's left and right change places."""

MIRROR_CLASSES[[4, 5, 6, 7, 8, 9]] = (5, 4, 7, 6, 9, 8)

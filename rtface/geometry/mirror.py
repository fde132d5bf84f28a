"""What points, parsing classes and blend shapes become in the mirror."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.labels import BLENDSHAPES, PARSING_CLASSES

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

#: The mesh's points on the face's own middle line.
_MIDLINE = (
    *(0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19),
    *(94, 151, 152, 164, 168, 175, 195, 197, 199, 200),
)
_IRISES = ((468, 473), (469, 476), (470, 475), (471, 474), (472, 477))


def _mirror_478() -> NDArray[np.int64]:
    """MediaPipe numbers one half of the face and the middle line first (0..247), then the other half in the same
    order (248..467), then the irises: middle, right, top, left and bottom in the image."""
    mirror = np.arange(478)
    one = [index for index in range(248) if index not in _MIDLINE]
    for left, right in (*zip(one, range(248, 468), strict=True), *_IRISES):
        mirror[left], mirror[right] = right, left
    return mirror


MIRROR_478: NDArray[np.int64] = _mirror_478()
"""Which of the mesh's 478 points each point is in the mirror image."""

_SWAPPED = {"Left": "Right", "Right": "Left"}


def _other_side(name: str) -> str:
    side = next((side for side in _SWAPPED if name.endswith(side)), "")
    return name.removesuffix(side) + _SWAPPED.get(side, "")


MIRROR_BLENDSHAPES: NDArray[np.int64] = np.array([BLENDSHAPES.index(_other_side(name)) for name in BLENDSHAPES])
"""Which of the 52 blend shapes each is in the mirror image."""

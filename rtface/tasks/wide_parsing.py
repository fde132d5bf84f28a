"""A still's second, wider map: hair, hats, necks and clothes go on where the face's crop ends.

In the crop its own map holds, several looks of which voted. Around it lies what one look at a square `WIDE` times as
wide says of what grows out of a face. On CelebAMask-HQ val (80 pictures, all their pixels) that took the F of hair
from 78 to 91, of the background from 81 to 91, of the neck from 81 to 86 and of cloth from 66 to 72; looks 1.8 and 2.4
times as wide gave less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import Crop, crop_to_frame_matrix
from rtface.labels import PARSING_CLASSES
from rtface.types import Parsing

WIDE = 1.5
"""Side of the wider square over the crop's."""

_BEYOND = np.isin(
    np.arange(256), [PARSING_CLASSES.index(n) for n in ("hair", "hat", "earring", "necklace", "neck", "cloth")]
)
_SKIN, _NOSE = PARSING_CLASSES.index("skin"), PARSING_CLASSES.index("nose")


def wider(crop: Crop) -> Crop:
    """The square of the second look."""
    return replace(crop, side=crop.side * WIDE)


def widened(parsing: Parsing, crop: Crop, wide: NDArray[np.uint8], others: Sequence[Crop] = ()) -> Parsing:
    """The label map of `wider(crop)`: the crop's own within it, `wide` around it as far as it belongs to this face.

    Args:
        parsing: Of the crop, (S, S).
        crop: The face's.
        wide: (L, L) uint8, the label map of `wider(crop)`.
        others: Crops of the picture's other faces: what lies nearer to one of them, in its sides, is not this face's.

    Returns:
        A map of 1.5 S px a side, whose pixels are as large as the crop's.
    """
    tight = parsing.labels
    size = len(tight)
    margin = round(size * (WIDE - 1) / 2)
    whole = size + 2 * margin
    labels = _enlarged(np.where(_BEYOND[wide], wide, np.uint8(0)), whole)
    middle = slice(margin, margin + size)
    to_frame = crop_to_frame_matrix(wider(crop), whole)
    for other in others:
        if _reaches(crop, other):
            labels[_nearer(other, crop, to_frame, whole)] = 0
    labels[middle, middle] = tight
    _, parts = cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=4)
    own = np.zeros(int(parts.max()) + 1, bool)
    own[parts[middle, middle][(tight == _SKIN) | (tight == _NOSE)]] = True
    kept = own[parts]
    kept[middle, middle] = True
    labels[~kept] = 0
    return Parsing(labels, to_frame)


def _enlarged(labels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """A label map at another size, its borders drawn smoothly: each class's mask by itself, the largest cover wins."""
    best, found = np.full((size, size), 127, np.uint8), np.zeros((size, size), np.uint8)
    for label in np.unique(labels[labels > 0]):
        mask = np.where(labels == label, np.uint8(255), np.uint8(0))
        cover = cv2.resize(mask, (size, size), interpolation=cv2.INTER_LINEAR)
        more = cover > best
        np.copyto(found, label, where=more)
        np.copyto(best, cover, where=more, casting="unsafe")
    return found


def _reaches(crop: Crop, other: Crop) -> bool:
    """Whether another face is so near that the wider square may hold parts of it."""
    return bool(np.hypot(crop.x - other.x, crop.y - other.y) < crop.side * WIDE + other.side)


def _nearer(other: Crop, crop: Crop, to_frame: NDArray[np.float64], size: int) -> NDArray[np.bool_]:
    """Which of the map's (size, size) pixels lie nearer to the `other` face, each distance in sides of its crop."""
    axis = np.arange(size)
    x = to_frame[0, 0] * axis[None] + (to_frame[0, 1] * axis + to_frame[0, 2])[:, None]
    y = to_frame[1, 0] * axis[None] + (to_frame[1, 1] * axis + to_frame[1, 2])[:, None]
    to_own = ((x - crop.x) ** 2 + (y - crop.y) ** 2) / crop.side**2
    to_other = ((x - other.x) ** 2 + (y - other.y) ** 2) / other.side**2
    nearer: NDArray[np.bool_] = to_other < to_own
    return nearer

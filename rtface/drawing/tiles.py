"""Many pictures on one sheet, each on a tile with a caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TILE_PX, CAPTION_PX = 224, 18


def sheet(
    tiles: Sequence[tuple[Array, str]], columns: int = 6, size_wh: tuple[int, int] = (TILE_PX, TILE_PX)
) -> Array | None:
    """One picture of all (picture, caption) tiles of `size_wh` px, row by row; None when there are none."""
    drawn = [_tile(image, caption, size_wh) for image, caption in tiles]
    if not drawn:
        return None
    columns = min(columns, len(drawn))
    drawn += [np.zeros_like(drawn[0])] * (-len(drawn) % columns)
    return np.vstack([np.hstack(drawn[at : at + columns]) for at in range(0, len(drawn), columns)])


def _tile(image: Array, caption: str, size_wh: tuple[int, int]) -> Array:
    height, width = image.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_NEAREST)
    tile = np.zeros((size_wh[1] + CAPTION_PX, size_wh[0], 3), np.uint8)
    tile[CAPTION_PX : CAPTION_PX + size[1], : size[0]] = small
    cv2.putText(tile, caption, (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def zoomed(image: Array, box_xyxy: Array, margin: float = 0.3) -> tuple[Array, Array]:
    """A copy of the picture around a box, as large as a tile, and (2, 3) px of the picture → px of the copy."""
    centre, half = (box_xyxy[:2] + box_xyxy[2:]) / 2.0, (box_xyxy[2:] - box_xyxy[:2]).max() / 2.0 * (1.0 + margin)
    scale = TILE_PX / max(2.0 * half, 1.0)
    shift = TILE_PX / 2.0 - 0.5 - centre * scale
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    return np.asarray(cv2.warpAffine(image, matrix, (TILE_PX, TILE_PX), flags=cv2.INTER_LINEAR)), matrix

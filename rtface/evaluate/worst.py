"""A picture of the worst cases: what a figure cannot say."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import cv2
import numpy as np

from rtface.datasets.labelled import Array

TRUTH_BGR, GUESS_BGR = (80, 220, 80), (60, 60, 255)
TILE_PX, CAPTION_PX = 224, 18


class Worst:
    """Keeps the worst cases seen, each as a drawn tile.

    Args:
        limit: How many are kept; 0 = none, and nothing is drawn.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._heap: list[tuple[float, int, str, Array]] = []
        self._serial = count()

    def offer(self, badness: float, caption: str, draw: Callable[[], Array]) -> None:
        """Keep a case if it is among the worst; ``draw`` gives its picture (H, W, 3) and is called only then."""
        if len(self._heap) == self._limit and (not self._heap or badness <= self._heap[0][0]):
            return
        heapq.heappush(self._heap, (badness, -next(self._serial), caption, draw()))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def sheet(self, columns: int = 6) -> Array | None:
        """One picture of all tiles, the worst first; None where there are none."""
        tiles = [_tile(image, caption) for _, _, caption, image in sorted(self._heap, reverse=True)]
        if not tiles:
            return None
        columns = min(columns, len(tiles))
        tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % columns)
        return np.vstack([np.hstack(tiles[at : at + columns]) for at in range(0, len(tiles), columns)])


def _tile(image: Array, caption: str) -> Array:
    height, width = image.shape[:2]
    scale = TILE_PX / max(height, width)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1.0 else cv2.INTER_NEAREST)
    tile = np.zeros((TILE_PX + CAPTION_PX, TILE_PX, 3), np.uint8)
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


def dots(tile: Array, matrix: Array, points: Array, colour: tuple[int, int, int]) -> None:
    """Draw points (K, 2), px of the picture, on its zoomed copy."""
    for x, y in points @ matrix[:, :2].T + matrix[:, 2]:
        if np.isfinite((x, y)).all():
            cv2.circle(tile, (round(x), round(y)), 1, colour, -1, cv2.LINE_AA)


def boxes(image: Array, boxes_xyxy: Array, colour: tuple[int, int, int]) -> None:
    """Draw boxes (N, 4) on a picture of the same px."""
    for x0, y0, x1, y1 in np.round(boxes_xyxy).astype(int).tolist():
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 2)

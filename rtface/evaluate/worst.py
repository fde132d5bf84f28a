"""A picture of the worst cases: what a figure cannot say."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.drawing.tiles import sheet

TRUTH_BGR, GUESS_BGR = (80, 220, 80), (60, 60, 255)


class HardestCases:
    """Keeps the worst cases seen, each as a drawn tile.

    Args:
        limit: How many are kept; 0 = none, and nothing is drawn.
    """

    def __init__(self, limit: int = 0) -> None:
        self._limit = limit
        self._heap: list[tuple[float, int, str, Array]] = []
        self._serial = count()

    def add(self, badness: float, caption: str, draw: Callable[[], Array]) -> None:
        """Keep a case if it is among the worst; ``draw`` gives its picture (H, W, 3) and is called only then."""
        if len(self._heap) == self._limit and (not self._heap or badness <= self._heap[0][0]):
            return
        heapq.heappush(self._heap, (badness, -next(self._serial), caption, draw()))
        if len(self._heap) > self._limit:
            heapq.heappop(self._heap)

    def sheet(self, columns: int = 6) -> Array | None:
        """One picture of all tiles, the worst first; None when there are none."""
        return sheet([(image, caption) for _, _, caption, image in sorted(self._heap, reverse=True)], columns)


def dots(tile: Array, matrix: Array, points: Array, colour: tuple[int, int, int]) -> None:
    """Draw points (K, 2), px of the picture, on its zoomed copy."""
    for x, y in points @ matrix[:, :2].T + matrix[:, 2]:
        if np.isfinite((x, y)).all():
            cv2.circle(tile, (round(x), round(y)), 1, colour, -1, cv2.LINE_AA)


def boxes(image: Array, boxes_xyxy: Array, colour: tuple[int, int, int]) -> None:
    """Draw boxes (N, 4) on a picture of the same px."""
    for x0, y0, x1, y1 in np.round(boxes_xyxy).astype(int).tolist():
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 2)

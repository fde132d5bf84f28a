"""19-class label maps from the engine's tensor, and the way from a crop's map to the frame's."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import Parsing

OUTPUT = "parsing"
"""(N, 128, 128) uint8 ids into `PARSING_CLASSES`."""


def parsings(tensor: NDArray[Any], to_frame: NDArray[np.float64]) -> list[Parsing]:
    """Label maps (N, 128, 128), each with its crop's way to the frame (≥ N, 2, 3)."""
    return [Parsing(labels, matrix) for labels, matrix in zip(tensor, to_frame, strict=False)]


def labels_in_frame(parsing: Parsing, width: int, height: int) -> NDArray[np.uint8]:
    """The label map at the size of the frame: (height, width) uint8, 0 outside the crop.

    Where the face is larger than its crop, borders between classes are drawn smoothly instead of in steps: each
    class's mask is enlarged by itself, and a pixel goes to the class that covers most of it.
    """
    labels = np.zeros((height, width), np.uint8)
    x0, y0, x1, y1 = _bounds(parsing, width, height)
    if x0 >= x1 or y0 >= y1:
        return labels
    place, size = labels[y0:y1, x0:x1], (x1 - x0, y1 - y0)
    into = parsing.to_frame - np.array(((0, 0, x0), (0, 0, y0)))
    if np.hypot(into[0, 0], into[1, 0]) <= 1.0:
        place[:] = cv2.warpAffine(parsing.labels, into, size, flags=cv2.INTER_NEAREST)
        return labels
    best = np.zeros(place.shape, np.uint8)
    for label in np.unique(parsing.labels):
        mask = np.where(parsing.labels == label, np.uint8(255), np.uint8(0))
        cover = cv2.warpAffine(mask, into, size, flags=cv2.INTER_LINEAR)
        more = cover > best
        np.copyto(place, label, where=more)
        np.copyto(best, cover, where=more)
    return labels


def _bounds(parsing: Parsing, width: int, height: int) -> tuple[int, int, int, int]:
    """x0 y0 x1 y1 of the part of the frame that the crop can reach; ends are exclusive."""
    h, w = parsing.labels.shape
    corners = np.array([(0, 0), (w - 1, 0), (0, h - 1), (w - 1, h - 1)]) @ parsing.to_frame[:, :2].T
    low = np.floor(corners.min(axis=0) + parsing.to_frame[:, 2]).astype(int) - 1
    high = np.ceil(corners.max(axis=0) + parsing.to_frame[:, 2]).astype(int) + 2
    return max(0, int(low[0])), max(0, int(low[1])), min(width, int(high[0])), min(height, int(high[1]))

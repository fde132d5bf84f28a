"""Label maps from the integer scores that a quantised network answers with: the largest class of every pixel.

NumPy compares bytes 64 at a time. ONNX Runtime has no such operator: with floats that carry the class in their
fraction (`rtface.train.nets.ifan.packed_argmax`) it took 240 us a face, this takes 90 (2 cores, AVX-512).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.labels import PARSING_CLASSES

CLASSES = len(PARSING_CLASSES)
_IDS = np.arange(CLASSES, dtype=np.uint8)[:, None]


class LabelReader:
    """Turns scores into labels; keeps its working memory, so one thread at a time may use it."""

    def __init__(self) -> None:
        self._equal = np.empty((0, CLASSES, 0), np.bool_)

    def __call__(self, scores: NDArray[Any]) -> NDArray[np.uint8]:
        """(N, s * s * 19, h, w) uint8 -> (N, s h, s w) uint8 ids into `PARSING_CLASSES`, the higher of equals.

        Channels are the 19 classes of one sub-pixel after the other, sub-pixels row by row. What is label maps
        already, as float networks answer, comes back as a copy.
        """
        if scores.ndim == 3:
            return np.array(scores)
        count, channels, h, w = scores.shape
        parts = channels // CLASSES
        side = round(parts**0.5)
        if self._equal.shape != (parts, CLASSES, h * w):
            self._equal = np.empty((parts, CLASSES, h * w), np.bool_)
        labels = np.empty((count, side * h, side * w), np.uint8)
        rows = labels.reshape(count, h, side, w, side)
        # Few calls: between two of them, lanes that read at once wait for each other (0.10 ms each; 0.18 with the
        # sub-pixels put in their places by `cv2.merge`, which is a little quicker alone).
        for row, planes in zip(rows, scores.reshape(count, parts, CLASSES, h * w), strict=True):
            row[:] = self._largest(planes).reshape(side, side, h, w).transpose(2, 0, 3, 1)
        return labels

    def _largest(self, planes: NDArray[Any]) -> NDArray[np.uint8]:
        """(parts, 19, cells) -> (parts, cells)."""
        np.equal(planes, np.maximum.reduce(planes, axis=1, keepdims=True), out=self._equal)
        marked = self._equal.view(np.uint8)
        np.multiply(marked, _IDS, out=marked)
        largest: NDArray[np.uint8] = np.maximum.reduce(marked, axis=1)
        return largest


DECODERS = {"parsing": LabelReader}
"""What an engine decodes the multi-task network's answers with."""

"""Faces that the caller has found already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.detect.base import Detections
from rtface.errors import InputError


def from_boxes(boxes: Sequence[Any] | NDArray[Any]) -> Detections:
    """Boxes (N, 4) x0 y0 x1 y1, px, as detections with a score of 1 and without points.

    Raises:
        InputError: They are not N boxes of finite numbers with x0 < x1 and y0 < y1.
    """
    mend = "Pass boxes=[[x0, y0, x1, y1], …] in px of the image"
    try:
        array = np.asarray(boxes, np.float32)
    except (TypeError, ValueError) as error:
        raise InputError("boxes", f"expected numbers of shape (N, 4), got {boxes!r:.60}", mend) from error
    if array.size == 0:
        return Detections.none()
    if array.ndim != 2 or array.shape[1] != 4:
        raise InputError("boxes", f"expected shape (N, 4), got {array.shape}", mend)
    wrong = ~(np.isfinite(array).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"boxes[{row}]", f"expected finite x0 < x1 and y0 < y1, got {array[row].tolist()}", mend)
    count = len(array)
    unknown = np.full((count, 5, 2), np.nan, np.float32)
    return Detections(array, np.ones(count, np.float32), unknown, np.full((count, 3), np.nan, np.float32))

"""Non-maximum suppression: of boxes that overlap, the best stays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.boxes import iou_matrix


def nms(boxes_xyxy: NDArray[Any], scores: NDArray[Any], iou: float, most: int) -> NDArray[np.intp]:
    """Indices of at most `most` boxes to keep, best score first, none overlapping a kept one by more than `iou`."""
    order = np.argsort(-scores, kind="stable")
    if len(order) < 2:
        return order[:most]
    # One matrix, then a row a kept box: faces are few, candidates a few dozen a face.
    ranked = boxes_xyxy[order]
    overlaps = iou_matrix(ranked, ranked) > iou
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    while len(kept) < most and alive.any():
        best = int(alive.argmax())
        kept.append(best)
        alive &= ~overlaps[best]
        alive[best] = False  # an empty box does not overlap even itself
    return order[kept]

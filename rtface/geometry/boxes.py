"""Boxes x0 y0 x1 y1: how much they overlap, and which of those that overlap stay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def iou_matrix(boxes_xyxy: NDArray[Any], others_xyxy: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of every box (N, 4) with every other (M, 4): (N, M), 0 where both are empty."""
    low = np.maximum(boxes_xyxy[:, None, :2], others_xyxy[None, :, :2])
    high = np.minimum(boxes_xyxy[:, None, 2:], others_xyxy[None, :, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = _areas(boxes_xyxy)[:, None] + _areas(others_xyxy)[None] - shared
    overlap: NDArray[Any] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlap


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


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    areas: NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas

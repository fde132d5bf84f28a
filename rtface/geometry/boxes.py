"""Boxes x0 y0 x1 y1: how much they overlap, which of those that overlap stay, and what the others tell of them."""

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


def voted(boxes_xyxy: NDArray[Any], scores: NDArray[Any], kept: NDArray[np.intp], iou: float) -> NDArray[np.float32]:
    """Box voting (Gidaris and Komodakis, ICCV 2015, section 4.2): neighbours tell a little more than the best alone.

    Args:
        boxes_xyxy: (N, 4), with `scores` (N,).
        kept: Indices of the boxes that stay, as from `nms`.
        iou: A box that overlaps a kept one by this much or more votes for it, with its score as its weight.

    Returns:
        (len(kept), 4) the kept boxes, each the mean of those that vote for it.
    """
    if not len(kept):
        return np.zeros((0, 4), np.float32)
    weights = (iou_matrix(boxes_xyxy[kept], boxes_xyxy) >= iou) * scores
    weights[np.arange(len(kept)), kept] = scores[kept]  # an empty box does not overlap even itself
    mean: NDArray[np.float32] = (weights @ boxes_xyxy / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return mean


def _areas(boxes: NDArray[Any]) -> NDArray[Any]:
    areas: NDArray[Any] = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas

"""Which detection is which track."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.boxes import iou_matrix

REACH = 0.4
"""Points farther apart than this many crop sides (about 0.7 face widths) speak against a match."""

LEAST = 0.3
"""Least affinity of a match: boxes that overlap by 0.3, or points within 0.28 sides without any overlap."""


def associate(
    boxes_xyxy: NDArray[Any],
    points5: NDArray[Any],
    sides: NDArray[Any],
    new_boxes_xyxy: NDArray[Any],
    new_points5: NDArray[Any],
) -> list[tuple[int, int]]:
    """Pairs (track, detection), each at most once, closest pair first.

    `boxes_xyxy` (T, 4), `points5` (T, 5, 2) and `sides` (T,) of the tracks where they are expected; (D, …) of the
    detections. The affinity is the boxes' IoU plus how near the five points are: overlap alone confuses faces that
    cross, distance alone confuses sizes.
    """
    if not len(boxes_xyxy) or not len(new_boxes_xyxy):
        return []
    gaps = np.linalg.norm(points5[:, None] - new_points5[None], axis=-1).mean(axis=-1) / sides[:, None]
    near = np.nan_to_num(np.maximum(0.0, 1.0 - gaps / REACH))  # a detector without points leaves IoU alone
    affinity = iou_matrix(boxes_xyxy, new_boxes_xyxy) + near
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(-affinity, axis=None):
        track, detection = divmod(int(flat), affinity.shape[1])
        if affinity[track, detection] < LEAST:
            break
        if all(track != t and detection != d for t, d in pairs):
            pairs.append((track, detection))
    return pairs

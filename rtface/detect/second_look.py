"""A still's doubtful faces are looked at again, each by itself, at the size that the network knows best.

Texture looks like a face at one size, in one direction; a face still does closer, and in the mirror.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.boxes import iou_matrix
from rtface.geometry.crop import Crop, warp_crops

DOUBTFUL = (0.2, 0.65)
"""Scores between these are asked again. What scores more stays what it is, and saves the time."""

FACE_PX, AROUND = 64, 3
"""Longer side of the face in a second look, and how many times as wide the look is."""

SAME_IOU = 0.45
"""A cell whose box overlaps the face's by this much tells of it."""


def second_scores(
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    forward: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> NDArray[np.float32]:
    """Scores (N,) of a picture's faces: of the doubtful ones the mean of theirs, a closer look's and its mirror's, if
    that is less. A second look can only take away.

    Args:
        image: (H, W, 3) BGR.
        boxes_xyxy: (N, 4) px, with `scores` (N,).
        forward: The network, as `rtface.detect.mos.Forward`.

    On WIDER val (250 pictures) AP is as before (faces of 16, 24, 40 px and more: 68.2, 81.6, 91.8 before, 68.4, 81.9,
    92.5 after), while of 760 enlarged pieces of garments (`benchmarks/false_faces.py --data`) 14 false faces are left
    of 30; closer (96 px) or farther (32 px) looks gave less.
    """
    better: NDArray[np.float32] = scores.copy()
    looks = np.empty((1, FACE_PX * AROUND, FACE_PX * AROUND, 3), np.uint8)
    middle = (looks.shape[1] - 1) / 2
    for row in np.flatnonzero((scores >= DOUBTFUL[0]) & (scores < DOUBTFUL[1])):
        x0, y0, x1, y1 = (float(v) for v in boxes_xyxy[row])
        side = max(x1 - x0, y1 - y0, 1.0)
        warp_crops(image, [Crop((x0 + x1) / 2, (y0 + y1) / 2, side * AROUND)], out=looks)
        half = np.array((x1 - x0, y1 - y0)) * FACE_PX / side / 2
        box = np.concatenate((middle - half, middle + half))  # in the mirror as well
        seen = [_seen(forward(look)[0], box) for look in (looks, np.ascontiguousarray(looks[:, :, ::-1]))]
        better[row] = min(scores[row], (scores[row] + sum(seen)) / (1 + len(seen)))
    return better


def _seen(rows: NDArray[Any], box: NDArray[np.float64]) -> float:
    """The best score of the cells that tell of this face; 0 = none does."""
    same = iou_matrix(box[None], rows[:, :4])[0] >= SAME_IOU
    return float(rows[same, 4].max(initial=0.0))

"""What a face looks like, coarsely: enough to notice that another one is in its place from one frame to the next.

A look is 16×16 grey values without their mean and spread, so that light and exposure are gone. It belongs to a track,
is compared with that track's own next frames only, and ends with it: nobody is known again by it.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import Crop

Floats = NDArray[np.float32]

LOOK_PX = 16
"""Side of a look."""

FEW = 2 * LOOK_PX
GREY = np.full(3, 1 / 3, np.float32)
MEAN = np.full(LOOK_PX * LOOK_PX, 1 / LOOK_PX**2, np.float32)

SHARE = 0.84
"""Share of the crop's side that is looked at: the face, not what is around it."""


def look_of(image: NDArray[Any], crop: Crop) -> Floats | None:
    """The look (256,) of the face in a crop of the picture (H, W, 3) uint8; None where next to nothing of it is inside.

    The values have mean 0 and length 1: the product of two looks is their correlation.
    """
    height, width = image.shape[:2]
    half = 0.5 * SHARE * crop.side
    x0, x1 = (round(min(max(x, 0.0), width)) for x in (crop.x - half, crop.x + half))
    y0, y1 = (round(min(max(y, 0.0), height)) for y in (crop.y - half, crop.y + half))
    if min(x1 - x0, y1 - y0) < LOOK_PX // 2:
        return None
    # First to a few pixels a value, which is enough for an average: to average all of them costs fifteen times as much.
    few = cv2.resize(image[y0:y1, x0:x1], (FEW, FEW), interpolation=cv2.INTER_LINEAR)
    part = cv2.resize(few, (LOOK_PX, LOOK_PX), interpolation=cv2.INTER_AREA)
    look: Floats = part.reshape(-1, 3) @ GREY
    look -= look @ MEAN
    length = math.sqrt(look @ look)
    return look * np.float32(1.0 / length) if length > 1e-3 else None


def likeness(look: Floats | None, other: Floats | None) -> float:
    """Correlation of two looks, -1..1; 1 where either is not known."""
    return 1.0 if look is None or other is None else float(look @ other)

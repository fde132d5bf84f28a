"""Faces made unrecognisable, for pictures that leave the process."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.types import FrameResult

#: A face is shown in so many blocks along its longer side, too few to know anybody by.
BLOCKS = 6
#: The box is grown by this share of its size on each side: hair and chin tell who it is, too.
MARGIN = 0.25


def blur(image: NDArray[Any], result: FrameResult) -> NDArray[np.uint8]:
    """A copy of the picture in which every face of the result is a few coloured blocks.

    Args:
        image: (H, W, 3) uint8, BGR.
        result: Of this picture. A face that was not found stays as it is: nothing can hide what nobody saw.

    Example:
        >>> import rtface
        >>> safe = rtface.drawing.blur(image, rtface.analyze(image))  # doctest: +SKIP
    """
    picture = np.array(image, np.uint8)
    height, width = picture.shape[:2]
    for face in result.faces:
        x0, y0, x1, y1 = (float(value) for value in face.box_xyxy)
        if not np.isfinite((x0, y0, x1, y1)).all():
            continue
        grow_x, grow_y = (x1 - x0) * MARGIN, (y1 - y0) * MARGIN
        left, top = max(int(x0 - grow_x), 0), max(int(y0 - grow_y), 0)
        right, bottom = min(int(np.ceil(x1 + grow_x)), width), min(int(np.ceil(y1 + grow_y)), height)
        if right - left < 1 or bottom - top < 1:
            continue
        part = picture[top:bottom, left:right]
        block = max(right - left, bottom - top) / BLOCKS
        small = (max(round((right - left) / block), 1), max(round((bottom - top) / block), 1))
        coarse = cv2.resize(part, small, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(coarse, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return picture

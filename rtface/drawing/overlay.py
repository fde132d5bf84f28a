"""A translucent label map over the face."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing.palette import PARSING_BGRA
from rtface.types import Parsing

FADE = 0.1
"""Share of the map's side over which the tint fades out towards its edge: hair and clothes go on beyond it."""


@lru_cache(maxsize=4)
def _strength(height: int, width: int) -> NDArray[np.uint8]:
    """(H, W, 4) 0..255: how much of the tint is drawn."""
    down, across = (
        np.clip(np.minimum(np.arange(n) + 0.5, n - 0.5 - np.arange(n)) / (FADE * n), 0, 1) for n in (height, width)
    )
    strength: NDArray[np.uint8] = np.rint(255 * np.outer(down, across)).astype(np.uint8)
    return np.repeat(strength[:, :, None], 4, axis=2)


def draw_parsing(image: NDArray[np.uint8], parsing: Parsing) -> None:
    """Tint `image` (H, W, 3) BGR by the label map, in place. Only the pixels under the crop are touched."""
    height, width = image.shape[:2]
    h, w = parsing.labels.shape
    matrix = parsing.to_frame
    corners = np.array(((-0.5, -0.5), (w - 0.5, -0.5), (-0.5, h - 0.5), (w - 0.5, h - 0.5)))
    corners = corners @ matrix[:, :2].T + matrix[:, 2]
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)) + 1, (width, height)).astype(int)
    if x0 >= x1 or y0 >= y1:
        return
    tint = cv2.warpAffine(
        cv2.multiply(PARSING_BGRA[parsing.labels], _strength(h, w), scale=1 / 255),
        matrix - ((0, 0, x0), (0, 0, y0)),
        (int(x1 - x0), int(y1 - y0)),
        flags=cv2.INTER_LINEAR,
    )
    place = image[y0:y1, x0:x1]
    clear = cv2.cvtColor(255 - tint[:, :, 3], cv2.COLOR_GRAY2BGR)
    place[:] = cv2.add(cv2.multiply(place, clear, scale=1 / 255), tint[:, :, :3])

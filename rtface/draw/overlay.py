"""A translucent label map over the face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.draw.palette import PARSING_BGRA
from rtface.types import Parsing


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
        PARSING_BGRA[parsing.labels],
        matrix - ((0, 0, x0), (0, 0, y0)),
        (int(x1 - x0), int(y1 - y0)),
        flags=cv2.INTER_LINEAR,
    )
    place = image[y0:y1, x0:x1]
    clear = cv2.cvtColor(255 - tint[:, :, 3], cv2.COLOR_GRAY2BGR)
    place[:] = cv2.add(cv2.multiply(place, clear, scale=1 / 255), tint[:, :, :3])

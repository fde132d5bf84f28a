"""Text on a ground of its own, so that it can be read on any picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing.palette import INK, PANEL, WHITE, Colour

Image = NDArray[np.uint8]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PANEL_OPACITY = 0.62
_SMALLEST = 0.3  # 7 px high


def text_scale(image: Image) -> float:
    """Scale of text and lines for a picture of this size: 1 at 480 px, so that text is 12 px high there."""
    return float(np.clip(min(image.shape[:2]) / 480, 0.75, 4.0))


def draw_label(image: Image, text: str, x: float, bottom: float, colour: Colour, size: float = 0.48) -> None:
    """Dark text on a ground of `colour`, standing on `bottom`; moved inside the picture where it would leave it."""
    scale = size * text_scale(image)
    width, height, below, pad = _measure(text, scale)
    x0 = round(min(max(x, 0), max(0, image.shape[1] - width - 2 * pad)))
    y1 = round(min(max(bottom, height + below + 2 * pad), image.shape[0]))
    cv2.rectangle(image, (x0, y1 - height - below - 2 * pad), (x0 + width + 2 * pad, y1), colour, -1)
    cv2.putText(image, text, (x0 + pad, y1 - below - pad), _FONT, scale, INK, _weight(scale), cv2.LINE_AA)


def hud(image: Image, lines: Sequence[str]) -> None:
    """Lines of text in the top left corner on a darkened panel; drawn into `image` (H, W, 3)."""
    if not lines:
        return
    scale = 0.48 * text_scale(image)
    sizes = [_measure(line, scale) for line in lines]
    if (wide := max(width + 2 * pad for width, _, _, pad in sizes)) > image.shape[1]:
        scale = max(scale * image.shape[1] / wide, _SMALLEST)  # small, but whole
        sizes = [_measure(line, scale) for line in lines]
    step = max(height + below for _, height, below, _ in sizes) + round(8 * scale)
    pad = 2 * sizes[0][3]
    panel = image[: step * len(lines) + 2 * pad, : max(width for width, *_ in sizes) + 2 * pad]
    panel[:] = cv2.addWeighted(panel, 1 - _PANEL_OPACITY, np.full_like(panel, PANEL), _PANEL_OPACITY, 0)
    for row, (line, (_, _, below, _)) in enumerate(zip(lines, sizes, strict=True)):
        at = (pad, pad + step * (row + 1) - below - round(4 * scale))
        cv2.putText(image, line, at, _FONT, scale, WHITE, _weight(scale), cv2.LINE_AA)


def _measure(text: str, scale: float) -> tuple[int, int, int, int]:
    """Width, height above and below the base line, and padding, px."""
    (width, height), below = cv2.getTextSize(text, _FONT, scale, _weight(scale))
    return int(width), int(height), int(below), round(6 * scale) + 1


def _weight(scale: float) -> int:
    return max(1, round(1.6 * scale))

"""How a picture is laid on the detector's canvas, and how to get back from there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

GRID = 32
"""Canvas sides are multiples of the network's largest stride."""

SMALLEST_CANVAS = 64
SMALL_STILL = 160
"""A still with no side longer than this is likely a cut-out face: enlarged to this and given a margin."""

CLOSEUP_PX = 256
"""Longest side of the picture in the last view of a larger still, with a margin around it: for a face that fills it."""

FINE_LARGEST, COARSE_SMALLEST = 192.0, 24.0
"""Of a still seen at two sizes: the larger faces of the fine view and the smaller of the coarse one are left out."""

AREA_BEYOND = 1.5
"""Shrinking by more than this averages areas; bilinear sampling would leave pixels out."""


@dataclass(frozen=True, slots=True)
class View:
    """A picture of `width`×`height` px laid at `left`, `top` on a black canvas.

    `scale_x` and `scale_y` are canvas px a picture px; they differ by rounding only.
    """

    width: int
    height: int
    left: int
    top: int
    canvas_width: int
    canvas_height: int
    scale_x: float
    scale_y: float

    def letterbox(self, image: NDArray[np.uint8], canvas: NDArray[np.uint8]) -> None:
        """Draw `image` on a canvas (canvas_height, canvas_width, 3) that is black outside the picture's place."""
        place = canvas[self.top : self.top + self.height, self.left : self.left + self.width]
        if image.shape[:2] == (self.height, self.width):
            place[:] = image
            return
        shrinks = self.scale_x * AREA_BEYOND < 1
        cv2.resize(
            image,
            (self.width, self.height),
            dst=place,
            interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR,
        )

    def to_picture(self, xy: NDArray[Any]) -> NDArray[np.float32]:
        """Canvas px (..., 2) to picture px; pixel centres at integers on both sides."""
        scale = np.array((self.scale_x, self.scale_y))
        shift = np.array((self.left - 0.5, self.top - 0.5))
        picture: NDArray[np.float32] = ((xy - shift) / scale - 0.5).astype(np.float32)
        return picture


def stream_view(width: int, height: int, longest: int) -> View:
    """The whole frame with its longer side at `longest` px."""
    return _view(width, height, longest / max(width, height), margin=1.0)


class Pass(NamedTuple):
    """A view, and which faces are believed in it: longer side in canvas px."""

    view: View
    smallest: float = 0.0
    largest: float = math.inf


def still_passes(width: int, height: int, longest: int) -> Iterator[tuple[Pass, ...]]:
    """Looks at a still, in groups to try in turn until one shows a face; a group's finds are merged.

    A cut-out face gets a margin at once: a face detector expects surroundings. Other stills are seen whole at
    `longest` px for small faces and at half of it for large ones: alone, the fine view lost AP on faces of 40 px and
    more, the coarse one on those under 24 (WIDER val, a half-trained detector). Then come twice the size for still
    smaller faces, and small with a margin for a face that fills the picture.
    """
    side = max(width, height)
    if side <= SMALL_STILL:
        yield (Pass(_view(width, height, SMALL_STILL / side, margin=2.0)),)
        yield (Pass(_view(width, height, SMALL_STILL / side * 0.6, margin=3.0)),)
        return
    fine = Pass(_view(width, height, longest / side, margin=1.0), largest=FINE_LARGEST)
    coarse = Pass(_view(width, height, longest / side / 2, margin=1.0), smallest=COARSE_SMALLEST)
    yield (fine, coarse)
    if side > longest:
        yield (Pass(_view(width, height, min(1.0, 2 * longest / side), margin=1.0), largest=FINE_LARGEST),)
    yield (Pass(_view(width, height, CLOSEUP_PX / side, margin=2.0)),)


def _view(width: int, height: int, scale: float, margin: float) -> View:
    """`margin` is canvas over picture: 1 pads right and below to the grid only, more centres the picture."""
    across, down = max(1, round(width * scale)), max(1, round(height * scale))
    canvas_width, canvas_height = _on_grid(across * margin), _on_grid(down * margin)
    centred = margin > 1.0
    return View(
        width=across,
        height=down,
        left=(canvas_width - across) // 2 if centred else 0,
        top=(canvas_height - down) // 2 if centred else 0,
        canvas_width=canvas_width,
        canvas_height=canvas_height,
        scale_x=across / width,
        scale_y=down / height,
    )


def _on_grid(length: float) -> int:
    return max(SMALLEST_CANVAS, -(-int(length) // GRID) * GRID)

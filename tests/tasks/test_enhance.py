"""Small crops replaced by enlarged ones: which, how large, in one call, and in the same place."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.geometry.crop import Crop, crop_from_box, warp_crops
from rtface.tasks.enhance import BELOW_PX, FINER, enhance, small_rows

# From half a px of the frame to a crop's px: a smooth picture, so that resampling twice changes little.
ROWS, COLUMNS = np.mgrid[:120, :160].astype(np.float32)
FRAME = np.dstack([60 + COLUMNS, 40 + ROWS, 120 + 60 * np.sin(ROWS / 20)]).astype(np.uint8)
CROPS = [Crop(60, 50, 19, 20), Crop(90, 60, 80), Crop(100, 40, 23, -10)]


class Enlarger:
    """Four times as large, bilinear; remembers the shapes it was given."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, small: np.ndarray) -> np.ndarray:
        self.shapes.append(small.shape)
        return np.stack([cv2.resize(one, None, fx=4, fy=4).astype(np.float32) for one in small])


def test_small_is_by_the_longer_side_of_the_box() -> None:
    sides = [BELOW_PX - 1, BELOW_PX, 16]
    crops = [crop_from_box((10, 10, 10 + side / 2, 10 + side)) for side in sides]
    assert small_rows(crops) == [0, 2]
    assert small_rows([]) == []


def test_small_faces_are_replaced_in_place_in_one_call() -> None:
    plain, run = warp_crops(FRAME, CROPS), Enlarger()
    out = plain.copy()
    rows = small_rows(CROPS)
    enhance(FRAME, CROPS, out, rows, run)
    assert rows == [0, 2] and run.shapes == [(2, 32, 32, 3)]
    assert (out[1] == plain[1]).all()
    inside = (
        slice(None),
        slice(8, -8),
        slice(8, -8),
    )  # beyond the outermost px' centres there is nothing to lie between
    away = np.abs(out[inside].astype(int) - plain[inside])
    assert away.max() <= 2 and 0 < away[[0, 2]].mean() < 0.7


@pytest.mark.parametrize(("side", "size"), [(15, 24), (24 / FINER, 24), (24 / FINER + 0.1, 32), (38, 48), (60, 48)])
def test_the_largest_small_crop_decides_the_size(side: float, size: int) -> None:
    run = Enlarger()
    crops = [Crop(50, 50, 12), Crop(80, 60, side)]
    enhance(FRAME, crops, warp_crops(FRAME, crops), [0, 1], run)
    assert run.shapes == [(2, size, size, 3)]


def test_what_overshoots_is_rounded_and_nothing_is_done_without_small_faces() -> None:
    out = warp_crops(FRAME, CROPS)
    enhance(FRAME, CROPS, out, [0], lambda small: np.full((1, 64, 64, 3), 254.6, np.float32))
    assert (out[0] == 255).all()

    def never(small: np.ndarray) -> np.ndarray:
        raise AssertionError

    enhance(FRAME, CROPS, out, [], never)

"""The picture of the worst cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtface.drawing.tiles import CAPTION_PX, TILE_PX, zoomed
from rtface.evaluate.worst import HardestCases, dots


def tile(value: int) -> np.ndarray:
    return np.full((TILE_PX, TILE_PX, 3), value, np.uint8)


def test_keeps_the_worst_and_draws_no_others() -> None:
    worst, drawn = HardestCases(2), []
    for badness in (3.0, 1.0, math.inf, 2.0):
        worst.add(badness, "", lambda badness=badness: drawn.append(badness) or tile(int(min(badness, 9)) * 20))
    assert drawn == [3.0, 1.0, math.inf]
    sheet = worst.sheet()
    assert sheet is not None and sheet.shape == (TILE_PX + CAPTION_PX, 2 * TILE_PX, 3)
    assert [int(sheet[-1, column, 0]) for column in (0, TILE_PX)] == [180, 60]


def test_none_kept_is_no_picture() -> None:
    worst = HardestCases()
    worst.add(1.0, "", lambda: pytest.fail("drawn"))
    assert worst.sheet() is None


def test_zoomed_shows_the_box_and_maps_into_itself() -> None:
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[40:61, 120:141] = 255
    copy, matrix = zoomed(picture, np.array([120.0, 40.0, 140.0, 60.0]), margin=0.0)
    assert copy.shape == (TILE_PX, TILE_PX, 3)
    assert copy[TILE_PX // 2, TILE_PX // 2].tolist() == [255, 255, 255]
    centre = matrix @ (130.0, 50.0, 1.0)
    assert centre.tolist() == pytest.approx([TILE_PX / 2 - 0.5] * 2)
    dots(copy, matrix, np.array([[130.0, 50.0], [math.nan, 1.0]]), (0, 0, 255))
    assert (copy == (0, 0, 255)).all(axis=2).any()

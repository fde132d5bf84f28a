"""Which found face belongs to which labelled one."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel
from rtface.evaluate.match import pair, square_around
from rtface.types import Landmarks
from tests.evaluate.made import face


def box(x: float, y: float, side: float = 10.0) -> np.ndarray:
    return np.array([x, y, x + side, y + side])


def test_each_found_face_serves_once_and_the_best_overlap_goes_first() -> None:
    near, exact = face(box(2, 0)), face(box(0, 0))
    truths = [FaceLabel(box_xyxy=box(1.5, 0)), FaceLabel(box_xyxy=box(0, 0))]
    assert pair([near, exact], truths) == [near, exact]
    assert pair([exact], truths) == [None, exact]


def test_too_little_overlap_is_a_miss() -> None:
    # 10 x 10 boxes that share 4 columns: 40 / 160.
    assert pair([face(box(6, 0))], [FaceLabel(box_xyxy=box(0, 0))]) == [None]
    assert pair([], [FaceLabel(box_xyxy=box(0, 0))]) == [None]
    assert pair([face(box(0, 0))], []) == []


def test_points_match_where_no_box_is_labelled() -> None:
    five = np.array([[10, 10], [20, 10], [15, 15], [11, 20], [19, 20]], np.float64)
    found, elsewhere = face(box(100, 100), points5=five + 1), face(box(10, 10), points5=five + 40)
    assert pair([elsewhere, found], [FaceLabel(points5=five)]) == [found]


def test_unknown_points_match_nothing() -> None:
    assert pair([face(box(0, 0))], [FaceLabel(points5=np.ones((5, 2)))]) == [None]


def test_a_right_box_with_wrong_landmarks_is_found() -> None:
    grid = np.stack([np.arange(68) % 10, np.arange(68) // 10], axis=1).astype(np.float64)
    found = face(box(0, 0), landmarks=Landmarks(grid + 50, 0.9))
    assert pair([found], [FaceLabel(box_xyxy=box(0, 0), landmarks68=grid)]) == [found]


def test_square_around_takes_the_longer_side() -> None:
    assert square_around(np.array([[0.0, 0.0], [2.0, 8.0]])).tolist() == pytest.approx([-3.0, 0.0, 5.0, 8.0])

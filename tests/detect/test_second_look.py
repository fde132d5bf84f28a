"""Doubtful faces looked at again, in turns; a network that says what the test wants."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from rtface.detect import Detections
from rtface.detect.second_look import AROUND, FACE_PX, TURNS, uprighted
from rtface.geometry.crop import crop_from_points5

IMAGE = np.zeros((200, 200, 3), np.uint8)
UPRIGHT = np.array([[85, 90], [115, 90], [100, 100], [88, 115], [112, 115]], np.float32)


def face(score: float, roll: float = 0.0) -> Detections:
    """A face of 60 px in the middle of the picture."""
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points5 = ((UPRIGHT - 100) @ turn.T + 100)[None].astype(np.float32)
    box = np.array([[70, 70, 130, 130]], np.float32)
    return Detections(box, np.array([score], np.float32), points5, np.zeros((1, 3), np.float32))


def network(scores: Sequence[float], off_px: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Sees an upright face in the middle of each look, with these scores one after the other."""
    left = list(scores)
    middle = (FACE_PX * AROUND - 1) / 2

    def forward(pixels: np.ndarray) -> np.ndarray:
        row = np.zeros(18, np.float32)
        row[:4] = (middle - 32, middle - 32, middle + 32, middle + 32)
        row[4] = left.pop(0)
        row[5:15] = ((UPRIGHT - 100) * FACE_PX / 60 + middle + (0, off_px)).ravel()
        return row[None, None]

    return forward


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_a_face_that_is_clearly_better_in_a_turn_is_turned(turn: int) -> None:
    scores = [0.55, 0.2, 0.2, 0.2]
    scores[turn] = 0.7
    found = uprighted(IMAGE, face(0.6), network(scores))
    roll = crop_from_points5(found.points5[0]).roll
    assert abs((roll - TURNS[turn] + 180) % 360 - 180) < 1
    assert abs((found.pose[0, 2] - TURNS[turn] + 180) % 360 - 180) < 1
    assert np.abs(found.points5[0].mean(axis=0) - 100).max() < 3


def test_where_nobody_can_tell_the_points_are_left_out() -> None:
    found = uprighted(IMAGE, face(0.6), network([0.55, 0.2, 0.58, 0.2]))
    assert np.isnan(found.points5).all() and np.isnan(found.pose).all()
    assert found.boxes_xyxy.tolist() == face(0.6).boxes_xyxy.tolist()


@pytest.mark.parametrize("scores", [[0.55, 0.2, 0.5, 0.2], [0.2, 0.1, 0.4, 0.2]])
def test_an_upright_face_stays_as_it_was_seen(scores: list[float]) -> None:
    seen = face(0.6)
    assert np.array_equal(uprighted(IMAGE, seen, network(scores)).points5, seen.points5)


def test_a_sure_upright_face_is_not_asked() -> None:
    seen = face(0.85)
    assert np.array_equal(uprighted(IMAGE, seen, network([])).points5, seen.points5)


def test_points_of_a_rolled_face_are_those_seen_with_level_eyes() -> None:
    found = uprighted(IMAGE, face(0.85, roll=40), network([0.7, 0.2, 0.3, 0.2]))
    assert np.abs(found.points5 - face(0.85, roll=40).points5).max() < 1
    assert found.pose[0, 2] == pytest.approx(40, abs=1)


def test_points_beside_the_face_are_not_its_own() -> None:
    seen = face(0.6)
    found = uprighted(IMAGE, seen, network([0.3, 0.1, 0.7, 0.1], off_px=FACE_PX * 0.45))
    assert np.array_equal(found.points5, seen.points5)

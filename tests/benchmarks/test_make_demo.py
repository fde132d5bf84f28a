"""The demo clip, and the motion that makes it."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest

from benchmarks import make_demo
from rtface.capture.open import demo_clip, open_source


def test_the_clip_that_ships_is_whole_and_small() -> None:
    assert demo_clip() == make_demo.OUTPUT
    assert demo_clip().stat().st_size < 1_500_000
    with open_source("demo") as source:
        assert source.size_wh == (make_demo.WIDTH, make_demo.HEIGHT)
        assert source.fps == pytest.approx(make_demo.FPS)
        frames = sum(1 for _ in iter(source.read, None))
    assert frames == round(make_demo.SECONDS * make_demo.FPS)


def test_the_motion_has_no_jumps_and_loops() -> None:
    moments = np.arange(0.0, make_demo.SECONDS, 1.0 / make_demo.FPS)
    poses = np.array([astuple(make_demo.pose_at(t)) for t in moments])
    steps = np.abs(np.diff(poses, axis=0)).max(axis=0)
    assert (steps < (16.0, 16.0, 0.1, 3.0, 3.0, 3.0)).all()
    assert make_demo.pose_at(make_demo.SECONDS) == make_demo.pose_at(0.0)
    assert all(a < b for (a, _), (b, _) in pairwise(make_demo.KEYS))
    assert make_demo.pose_at(1.1).yaw == pytest.approx(27.0)


def test_a_turn_to_the_right_moves_the_nose_right_and_a_nod_up_moves_it_up() -> None:
    depth, weight = make_demo.relief(), make_demo.head_weight()

    def shown(x: int, y: int, **angles: float) -> np.ndarray:
        pose = make_demo.Pose(**{"x": 320.0, "y": 240.0, "scale": 1.0, "roll": 0.0, "yaw": 0.0, "pitch": 0.0, **angles})
        at = (slice(y, y + 1), slice(x, x + 1))
        return make_demo.project(np.array([[[x, y]]], np.float32), depth[at], weight[at], pose)[0, 0]

    nose, ear = (222, 130), (285, 110)
    still = shown(*nose)[0] - shown(*ear)[0]
    assert shown(*nose, yaw=20.0)[0] - shown(*ear, yaw=20.0)[0] > still + 5.0
    assert shown(*nose, pitch=15.0)[1] < shown(*nose)[1] - 2.0
    left_eye, right_eye = (201, 102), (247, 103)
    rolled = shown(*right_eye, roll=20.0) - shown(*left_eye, roll=20.0)
    assert np.degrees(np.arctan2(rolled[1], rolled[0])) == pytest.approx(20.0, abs=3.0)


def test_the_inverse_map_inverts() -> None:
    depth, weight, pose = make_demo.relief(), make_demo.head_weight(), make_demo.pose_at(1.1)
    source = make_demo.inverse_map(depth, weight, pose)
    row, column = 210, 340  # on the face
    x, y = source[row, column]
    at = (slice(round(float(y)), round(float(y)) + 1), slice(round(float(x)), round(float(x)) + 1))
    back = make_demo.project(source[row : row + 1, column : column + 1], depth[at], weight[at], pose)[0, 0]
    assert back.tolist() == pytest.approx([column, row], abs=1.5)

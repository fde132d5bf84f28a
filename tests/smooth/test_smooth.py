"""Filters: steady at rest, quick in motion, the same at every frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.smooth import Hysteresis, OneEuro, Smoother
from rtface.types import EMOTIONS, Emotion, HeadPose, Landmarks


def test_tremor_goes() -> None:
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 1, (300, 68, 2))
    steady = OneEuro(rest_hz=2.0, per_speed=12.0)
    out = np.stack([steady(100 + value, at=index / 30, scale=200.0) for index, value in enumerate(noise)])
    assert out[60:].std() < 0.6 * noise[60:].std()
    assert out[60:].mean() == pytest.approx(100, abs=0.1)


def test_motion_stays() -> None:
    quick = OneEuro(rest_hz=2.0, per_speed=12.0)
    for step in range(31):
        out = quick(np.array([200.0 * step / 30]), at=step / 30, scale=200.0)  # one face width a second
    assert out[0] == pytest.approx(200, abs=4)  # under 20 ms behind


def test_same_cut_at_every_rate() -> None:
    ends = []
    for rate in (15, 60):
        jump = OneEuro(rest_hz=1.0, per_speed=0.0)
        jump(np.zeros(1), at=0.0)
        for step in range(1, rate // 5 + 1):
            out = jump(np.ones(1), at=step / rate)
        ends.append(out[0])
    assert ends[0] == pytest.approx(ends[1], abs=0.06)


def test_a_frame_twice_changes_nothing() -> None:
    still = OneEuro(rest_hz=1.0, per_speed=1.0)
    still(np.zeros(2), at=1.0)
    assert still(np.ones(2), at=1.0).tolist() == [0, 0]


def test_label_holds_until_another_leads() -> None:
    label = Hysteresis(seconds=0.1, lead=0.1)
    assert label(np.array([0.52, 0.48]), at=0.0)[0] == 0
    for step in range(1, 30):
        index, probs = label(np.array([0.48, 0.52]) if step % 2 else np.array([0.52, 0.48]), at=step / 30)
        assert index == 0 and probs.sum() == pytest.approx(1)
    for step in range(30, 60):
        index, probs = label(np.array([0.2, 0.8]), at=step / 30)
    assert index == 1 and probs[1] == pytest.approx(0.8, abs=0.01)


def test_smoother_keeps_faces_apart_and_forgets() -> None:
    smoother = Smoother()
    points = np.arange(136, dtype=np.float32).reshape(68, 2)
    for track in (1, 2):
        smoother.landmarks(track, Landmarks(points * track, 0.5), at=0.0, size=100)
        smoother.pose(track, HeadPose(10.0 * track, 0, 0), at=0.0)
    assert 10 < smoother.pose(1, HeadPose(20, 0, 0), at=0.03).yaw < 20
    second = smoother.landmarks(2, Landmarks(points * 2, 0.7), at=0.03, size=100)
    assert np.array_equal(second.points, points * 2) and second.score == pytest.approx(0.7)
    smoother.keep([2])
    assert smoother.pose(1, HeadPose(-5, 0, 0), at=0.06).yaw == -5


def test_emotion_keeps_its_type() -> None:
    probs = np.full(8, 0.1, np.float32)
    probs[3] = 0.3
    smooth = Smoother().emotion(1, Emotion("sadness", probs), at=0.0)
    assert smooth.label == EMOTIONS[3] == "sadness"

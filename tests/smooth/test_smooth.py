"""Filters: steady at rest, quick in motion, the same at every frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.labels import EMOTIONS
from rtface.smooth import Hysteresis, OneEuro, Smoother
from rtface.types import Emotion, Event, Expression, FaceMesh, Gaze, HeadPose, Landmarks


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


def test_after_a_gap_it_begins_anew() -> None:
    still = OneEuro(rest_hz=0.1, per_speed=0.0)
    still(np.zeros(2), at=1.0)
    assert still(np.ones(2), at=1.4).max() < 0.3
    assert still(np.ones(2), at=2.0).tolist() == [1, 1]
    label = Hysteresis(seconds=5.0, dwell=5.0)
    label(np.array([0.9, 0.1]), at=0.0)
    assert label(np.array([0.1, 0.9]), at=0.4)[0] == 0
    assert label(np.array([0.1, 0.9]), at=1.0)[0] == 1


def test_a_face_that_creeps_is_followed_closely() -> None:
    """Slower than what counts as at rest: late, but never off by more than half a percent of the eyes' distance."""
    face = np.random.default_rng(4).uniform(-40, 40, (68, 2))
    smoother = Smoother()
    for step in range(300):
        points = face + np.array((2.0 * step / 30, 0.0))  # 2 px a second, on a face of 150
        out = smoother.landmarks(1, Landmarks(points, 0.5), at=step / 30, size=150.0).points
        assert np.abs(out - points).max() < 0.005 * 45


def test_large_and_small_faces_are_smoothed_alike() -> None:
    rng = np.random.default_rng(3)
    face = rng.uniform(-0.3, 0.3, (68, 2))
    walk = np.cumsum(rng.normal(0, 0.01, (40, 1, 2)), axis=0) + rng.normal(0, 0.002, (40, 68, 2)) + face
    ends = {}
    for size in (60.0, 300.0):
        smoother = Smoother()
        for step, points in enumerate(size * walk):
            out = smoother.landmarks(1, Landmarks(points, 0.5), at=step / 30, size=size)
        ends[size] = out.points / size
    assert ends[60.0] == pytest.approx(ends[300.0], abs=1e-4)


def probs_of(label: str, sure: float = 0.8) -> np.ndarray:
    probs = np.full(8, (1.0 - sure) / 7)
    probs[EMOTIONS.index(label)] = sure
    return probs


def test_a_label_has_its_time() -> None:
    """A face that changes its mind ten times a second is given one label for at least as long as asked for."""
    label = Hysteresis(seconds=0.01, lead=0.1, dwell=0.5)
    changes, before = [], None
    for step in range(60):
        now, _ = label(probs_of("anger" if step // 3 % 2 else "fear"), at=step / 30)
        if before not in (None, now):
            changes.append(step / 30)
        before = now
    assert len(changes) >= 2
    assert np.diff(changes).min() >= 0.5 - 1e-9


def play(smoother: Smoother, label: str, *times: float) -> list[Event]:
    for at in times:
        smoother.emotion(7, Emotion(label, probs_of(label)), at)
    return list(smoother.take_events())


def test_emotions_begin_and_end_with_events() -> None:
    smoother = Smoother()
    assert play(smoother, "neutral", 0.0, 0.1, 0.2) == [Event("emotion_onset", 0.0, "neutral", 7)]
    offset, onset = play(smoother, "happiness", *np.arange(0.3, 1.0, 0.1).tolist())
    assert (offset.kind, offset.what, offset.track_id) == ("emotion_offset", "neutral", 7)
    assert (onset.kind, onset.what, onset.at) == ("emotion_onset", "happiness", offset.at)
    assert offset.duration_s == offset.at and 0.3 < offset.at < 0.7
    smoother.keep([7])
    assert smoother.take_events() == ()
    smoother.keep([])
    (gone,) = smoother.take_events()
    assert (gone.kind, gone.what, gone.at) == ("emotion_offset", "happiness", pytest.approx(0.9))
    assert gone.duration_s == pytest.approx(0.9 - onset.at)


def test_a_gap_ends_an_emotion_when_it_was_last_seen() -> None:
    smoother = Smoother()
    play(smoother, "fear", 0.0, 0.1)
    offset, onset = play(smoother, "fear", 5.0)
    assert (offset.kind, offset.at, offset.duration_s) == ("emotion_offset", 0.1, 0.1)
    assert (onset.kind, onset.at) == ("emotion_onset", 5.0)


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


def test_mesh_expression_and_gaze_are_steadier() -> None:
    rng, smoother = np.random.default_rng(0), Smoother()
    seen: dict[str, list[np.ndarray]] = {"mesh": [], "expression": [], "gaze": []}
    noise: dict[str, list[np.ndarray]] = {"mesh": [], "expression": [], "gaze": []}
    base = rng.uniform(0, 200, (478, 2))
    for step in range(90):
        mesh = FaceMesh(base + rng.normal(0, 0.5, base.shape), 0.9)
        eye = float(0.9 + rng.normal(0, 0.02))
        expression = Expression(0.3 + rng.normal(0, 0.02, 52), (eye, eye), 0.1, 0.2)
        gaze = Gaze(float(rng.normal(0, 2)), 3.0, 0.9)
        told = smoother(1, {"mesh": mesh, "expression": expression, "gaze": gaze}, step / 30, 200.0)
        for name, before in (("mesh", mesh.points), ("expression", expression.coefficients), ("gaze", [gaze.yaw])):
            after = {"mesh": told["mesh"].points, "expression": told["expression"].coefficients}
            seen[name].append(np.asarray(after.get(name, [told["gaze"].yaw])))
            noise[name].append(np.asarray(before))
    for name in seen:
        assert np.std(seen[name][30:], axis=0).mean() < 0.8 * np.std(noise[name][30:], axis=0).mean()
    assert told["mesh"].score == 0.9 and told["expression"].smile == 0.2 and told["gaze"].pitch == pytest.approx(3.0)

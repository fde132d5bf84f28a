"""Blinks, and how a face is at rest."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.smooth import Blink, BlinkMeter, RunningNeutral

FPS = 30.0


def told(left: list[float], right: list[float] | None = None, fps: float = FPS) -> list[Blink]:
    meter = BlinkMeter()
    pairs = zip(left, left if right is None else right, strict=True)
    return [blink for index, (a, b) in enumerate(pairs) for blink in meter(a, b, 10.0 + index / fps)]


def test_a_blink_is_dated_to_when_the_eyes_shut() -> None:
    (blink,) = told([1.0] * 5 + [0.1] * 4 + [1.0] * 5)
    assert blink.eye == "both"
    assert (blink.at, blink.duration_s) == pytest.approx((10.0 + 4.5 / FPS, 4 / FPS))


def test_one_eye_and_both_are_told_apart() -> None:
    shut, open_ = [1.0] * 3 + [0.0] * 3 + [1.0] * 6, [1.0] * 12
    assert [blink.eye for blink in told(shut, open_)] == ["left"]
    assert [blink.eye for blink in told(open_, shut)] == ["right"]
    half = [1.0] * 3 + [0.72] * 3 + [1.0] * 6
    assert [blink.eye for blink in told(shut, half)] == ["both"]
    later = [1.0] * 4 + [0.0] * 3 + [1.0] * 5
    (both,) = told(shut, later)
    assert both.eye == "both" and both.duration_s == pytest.approx(4 / FPS)


def test_half_shut_eyes_closed_eyes_and_gaps_are_no_blinks() -> None:
    assert not told([1.0] * 3 + [0.6] * 4 + [1.0] * 3)
    assert not told([1.0] * 3 + [0.0] * 40 + [1.0] * 3)  # for over a second
    assert not told([1.0, 0.0, 1.0, 1.0], fps=2.0)  # nobody saw them in between
    assert not told([0.0] * 5)


def test_trembling_at_the_border_is_one_blink() -> None:
    assert len(told([1.0, 0.3, 0.4, 0.3, 0.65, 0.3, 1.0])) == 1


def test_rest_begins_with_what_is_common_and_becomes_the_faces_own() -> None:
    neutral = RunningNeutral((0.1, 0.0), (0.2, 0.3))
    first = neutral((0.25, 0.0), 0.0)
    assert first[0] == pytest.approx(0.1, abs=0.02)
    for step in range(600):
        blinking = step % 20 == 0
        values = neutral((0.9 if blinking else 0.25, 0.02), step * 0.1)
    assert values == pytest.approx((0.25, 0.02), abs=0.03)
    for step in range(4000):
        values = neutral((0.9, 0.9), 60.0 + step * 0.1)
    assert np.all(values <= (0.3, 0.3))  # nobody sleeps at rest

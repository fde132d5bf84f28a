"""Blinks, and how a face is at rest."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.smooth import Blink, BlinkMeter, RunningNeutral

FPS = 30.0


OPEN = 0.06


def told(
    left: list[float], right: list[float] | None = None, fps: float = FPS, before: list[float] | None = None
) -> list[Blink]:
    """Blinks of how shut the eyes look, after a second of open ones or what is said."""
    meter, before = BlinkMeter(), [OPEN] * round(fps) if before is None else before
    pairs = zip(before + left, before + (left if right is None else right), strict=True)
    start = 10.0 - len(before) / fps
    return [blink for index, (a, b) in enumerate(pairs) for blink in meter(a, b, start + index / fps)]


def test_a_blink_is_dated_to_when_the_eyes_shut() -> None:
    (blink,) = told([OPEN] * 5 + [0.7] * 4 + [OPEN] * 5)
    assert blink.eye == "both"
    assert (blink.at, blink.duration_s) == pytest.approx((10.0 + 4.5 / FPS, 4 / FPS))


def test_lids_that_are_hardly_seen_blink_too() -> None:
    """A dark face, or hair over the eyes: they look a fifth shut at most, but from one moment to the next."""
    assert [blink.eye for blink in told([0.12, 0.2, 0.22, 0.15, OPEN, OPEN])] == ["both"]


def test_one_eye_and_both_are_told_apart() -> None:
    shut, open_ = [OPEN] * 3 + [0.8] * 3 + [OPEN] * 6, [OPEN] * 12
    assert [blink.eye for blink in told(shut, open_)] == ["left"]
    assert [blink.eye for blink in told(open_, shut)] == ["right"]
    half = [OPEN] * 3 + [0.3] * 3 + [OPEN] * 6
    assert [blink.eye for blink in told(shut, half)] == ["both"]
    later = [OPEN] * 4 + [0.8] * 3 + [OPEN] * 5
    (both,) = told(shut, later)
    assert both.eye == "both"


def test_small_moves_closed_eyes_looks_down_and_gaps_are_no_blinks() -> None:
    assert not told([OPEN] * 3 + [0.1] * 4 + [OPEN] * 3)
    assert not told([OPEN] * 3 + [0.8] * 40 + [OPEN] * 3)  # for over a second
    assert not told([OPEN] * 3 + [0.35] * 30)  # down, and staying there
    assert not told([0.01 * step for step in range(6, 40)] + [OPEN] * 9)  # slowly, as with a smile
    assert not told([0.8, OPEN, OPEN], fps=2.0)  # nobody saw them in between
    assert not told([0.9] * 5)


def test_eyes_that_tremble_must_shut_by_more() -> None:
    restless = [0.15, 0.33, 0.18, 0.36, 0.2, 0.3] * 8
    assert not told(restless, before=restless)
    assert len(told([0.95, 0.95, 0.95, 0.2, 0.2], before=restless)) == 1
    assert len(told([0.6, 0.6, 0.6, 0.2, 0.2])) == 1  # which is a blink of calm ones
    assert not told([0.5, 0.5, 0.5, 0.2, 0.2], before=restless)


def test_trembling_while_shut_is_one_blink() -> None:
    assert len(told([OPEN, 0.6, 0.5, 0.7, 0.45, 0.6, OPEN])) == 1


def test_eyes_that_were_closed_blink_again_later() -> None:
    assert len(told([0.8] * 40 + [OPEN] * 30 + [0.7] * 4 + [OPEN] * 4)) == 1


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

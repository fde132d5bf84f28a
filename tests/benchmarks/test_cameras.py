"""benchmarks/cameras.py: its targets and its command line; the runs themselves are for people."""

from __future__ import annotations

import pytest

from benchmarks.cameras import CASES, FAIRNESS, arguments, holds, longest


def test_targets_can_fail() -> None:
    assert holds(0.85, "<=", 0.85) and not holds(0.86, "<=", 0.85) and not holds(None, "<=", 1.0)
    assert holds(100.0, ">=", 99.5) and not holds(99.0, ">=", 99.5)


def test_the_longest_wait_is_that_of_the_worst_camera_and_unknown_when_one_gave_nothing() -> None:
    assert longest({"cameras": {"a": {"longest_gap_s": 0.1}, "b": {"longest_gap_s": 0.4}}}) == 0.4
    assert longest({"cameras": {"a": {"longest_gap_s": 0.1}, "b": {"frames": 0}}}) is None


def test_fairness_has_each_kind_of_camera() -> None:
    assert {plan.fps for plan in FAIRNESS} >= {5.0, 60.0}
    assert any(plan.decode_s for plan in FAIRNESS) and any(plan.lost_every_s for plan in FAIRNESS)
    assert any(len(plan.bursts.counts) > 1 for plan in FAIRNESS)


def test_the_command_line() -> None:
    args = arguments(["--only", "four", "--set", "threads=1"])
    assert args.only == ["four"] and args.options == {"threads": "1"} and "soak" in CASES
    with pytest.raises(SystemExit):
        arguments(["--rounds", "0"])

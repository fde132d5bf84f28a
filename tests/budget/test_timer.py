"""Deadlines under a clock that moves when told."""

from __future__ import annotations

import pytest

from rtface.budget import Budget, Costs, ResultCache
from rtface.testing import FakeClock


def test_p95_of_the_recent_runs() -> None:
    costs = Costs()
    assert costs.p95("engine") == 0
    for ms in range(1, 101):
        costs.add("engine", ms / 1e3)
    assert costs.p95("engine") == pytest.approx(96e-3)  # of 37 … 100
    assert costs.table() == {"engine": {"p50_ms": 68.5, "p95_ms": 96.0, "runs": 64}}
    for _ in range(64):
        costs.add("engine", 2e-3)
    assert costs.p95("engine") == pytest.approx(2e-3)
    assert costs.p95("detect") == 0


def test_one_hiccup_does_not_rule_a_stage_out() -> None:
    costs = Costs()
    for ms in (3, 3, 70, 3):
        costs.add("engine", ms / 1e3)
    assert costs.p95("engine") == pytest.approx(3e-3)


def why(budget: Budget, stage: str, *later: str) -> str | None:
    """Why a stage is skipped."""
    skip = budget.skip_reason("task", stage, *later)
    return skip and skip.detail


def spend(budget: Budget, clock: FakeClock, seconds: float) -> None:
    clock.time += seconds
    budget.stop_stage("engine", stage="engine")


def test_a_stage_starts_only_if_its_cost_still_fits() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    for _ in range(20):
        budget.begin(None)
        spend(budget, clock, 0.010)
        assert why(budget, "engine") is None  # no deadline
    budget.begin(clock.time + 0.033)
    assert why(budget, "engine") is None
    clock.time += 0.025
    assert why(budget, "engine") == "over budget: needs 10.0 ms, 8.0 ms left"
    assert why(budget, "never ran") is None


def test_what_is_nice_to_have_leaves_time_for_what_comes_after() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    spend(budget, clock, 0.010)
    clock.time += 0.005
    budget.stop_stage("enhance", stage="enhance")
    budget.begin(clock.time + 0.012)
    assert why(budget, "engine") is None and why(budget, "enhance") is None
    assert why(budget, "enhance", "engine") == "over budget: needs 15.0 ms, 12.0 ms left"
    assert why(budget, "enhance", "never ran") is None


def test_a_refused_stage_is_tried_again_in_time() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    for _ in range(64):
        budget.begin(None)
        spend(budget, clock, 0.050)
    budget.begin(clock.time + 0.033)
    refused = 0
    while why(budget, "engine"):
        refused += 1
        assert refused < 100
    assert refused == 4  # 50 ms × 0.9^4 is under 33 ms
    spend(budget, clock, 0.050)
    budget.begin(clock.time + 0.033)
    assert why(budget, "engine") == "over budget: needs 50.0 ms, 33.0 ms left"


def test_the_times_of_stages_add_up() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    budget.begin(None)
    for name, seconds in (("track", 0.001), ("engine", 0.004), ("track", 0.002)):
        clock.time += seconds
        budget.stop_stage(name)
    assert budget.spent_ms == pytest.approx({"track": 3.0, "engine": 4.0})
    assert budget.total_ms == pytest.approx(7.0)


def test_carried_values_age_and_go() -> None:
    cache = ResultCache()
    cache.put(1, {"pose": "p", "emotion": "e"}, at=1.0)
    cache.put(1, {"pose": "q"}, at=1.2)
    values, ages = cache.get(1, ("pose", "emotion", "parsing"), at=1.45)
    assert values == {"pose": "q", "emotion": "e"}
    assert ages == pytest.approx({"pose": 250, "emotion": 450})
    values, ages = cache.get(1, ("pose", "emotion"), at=1.6)
    assert values == {"pose": "q"} and set(ages) == {"pose"}
    cache.keep([2])
    assert cache.get(1, ("pose",), at=1.2) == ({}, {})


def test_before_anything_was_measured_a_late_frame_is_analysed_too() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    budget.begin(clock.time - 0.004)
    assert why(budget, "detect") is None
    spend(budget, clock, 0.010)
    assert why(budget, "never ran") == "over budget: the deadline passed 14.0 ms ago"

"""Deadlines under a clock that moves when told."""

from __future__ import annotations

import pytest

from rtface.budget import Budget, Carry, Costs
from tests.fakes import FakeClock


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


def spend(budget: Budget, clock: FakeClock, seconds: float) -> None:
    clock.time += seconds
    budget.lap("engine", stage="engine")


def test_a_stage_starts_only_if_its_cost_still_fits() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    for _ in range(20):
        budget.begin(None)
        spend(budget, clock, 0.010)
        assert budget.fits("engine") is None  # no deadline
    budget.begin(clock.time + 0.033)
    assert budget.fits("engine") is None
    clock.time += 0.025
    why = budget.fits("engine")
    assert why == "over budget: needs 10.0 ms, 8.0 ms left"
    assert budget.fits("never ran") is None


def test_what_is_nice_to_have_leaves_time_for_what_comes_after() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    spend(budget, clock, 0.010)
    clock.time += 0.005
    budget.lap("enhance", stage="enhance")
    budget.begin(clock.time + 0.012)
    assert budget.fits("engine") is None and budget.fits("enhance") is None
    assert budget.fits_before("enhance", "engine") == "over budget: needs 15.0 ms, 12.0 ms left"
    assert budget.fits_before("enhance", "never ran") is None


def test_a_refused_stage_is_tried_again_in_time() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    for _ in range(64):
        budget.begin(None)
        spend(budget, clock, 0.050)
    budget.begin(clock.time + 0.033)
    refused = 0
    while budget.fits("engine"):
        refused += 1
        assert refused < 100
    assert refused == 4  # 50 ms × 0.9^4 is under 33 ms
    spend(budget, clock, 0.050)
    budget.begin(clock.time + 0.033)
    assert budget.fits("engine") == "over budget: needs 50.0 ms, 33.0 ms left"


def test_laps_add_up() -> None:
    clock = FakeClock()
    budget = Budget(clock)
    budget.begin(None)
    for name, seconds in (("track", 0.001), ("engine", 0.004), ("track", 0.002)):
        clock.time += seconds
        budget.lap(name)
    assert budget.laps_ms == pytest.approx({"track": 3.0, "engine": 4.0})
    assert budget.total_ms == pytest.approx(7.0)


def test_carried_values_age_and_go() -> None:
    carry = Carry()
    carry.put(1, {"pose": "p", "emotion": "e"}, at=1.0)
    carry.put(1, {"pose": "q"}, at=1.2)
    values, ages = carry.get(1, ("pose", "emotion", "parsing"), at=1.45)
    assert values == {"pose": "q", "emotion": "e"}
    assert ages == pytest.approx({"pose": 250, "emotion": 450})
    values, ages = carry.get(1, ("pose", "emotion"), at=1.6)
    assert values == {"pose": "q"} and set(ages) == {"pose"}
    carry.keep([2])
    assert carry.get(1, ("pose",), at=1.2) == ({}, {})

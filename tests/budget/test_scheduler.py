"""What is done for a frame: level, deadline, turns; under a clock that moves when told."""

from __future__ import annotations

import pytest

from rtface.budget import FrameScheduler, ladder_levels
from rtface.budget.scheduler import FramePlan
from rtface.labels import TASKS
from rtface.testing import FakeClock
from rtface.types import SkipReason

LEVELS = ladder_levels(TASKS)
NUMBER = {level.name: number for number, level in enumerate(LEVELS)}


def why(plan: FramePlan, task: str) -> str | None:
    """What a plan says of a task that not all faces get."""
    return next((skip.detail for skip in plan.skips if skip.task == task), None)


class Rig:
    """A scheduler whose faces cost `look` seconds each, and `parse` more where parsed."""

    def __init__(self, *, look: float = 0.002, parse: float = 0.004, **more: object) -> None:
        self.clock = FakeClock()
        self.scheduler = FrameScheduler(self.clock, LEVELS, **more)  # type: ignore[arg-type]
        self.look, self.parse = look, parse

    def frame(self, faces: str, budget: float | None) -> FramePlan:
        """A frame 1/30 s after the one before."""
        scheduler, clock = self.scheduler, self.clock
        clock.time = round(clock.time * 30 + 1) / 30
        scheduler.begin(None if budget is None else clock.time + budget, clock.time)
        scheduler.budget.stop_stage("track")
        since = scheduler.budget.last_stop
        sizes = [float(90 - row) for row in range(len(faces))]
        plan = scheduler.schedule(list(faces), sizes, clock.time, parsing=True)
        if plan.skip is None:
            clock.time += self.look * len(plan.rows) + self.parse * plan.parsed
            scheduler.budget.stop_stage("engine")
            scheduler.record([faces[row] for row in plan.rows], plan.parsed, clock.time, since)
        scheduler.keep(list(faces))
        self.late = scheduler.finish()
        return plan


def test_without_a_budget_everything_runs_whatever_it_costs() -> None:
    rig = Rig(look=1.0)
    for _ in range(20):
        plan = rig.frame("abc", None)
        assert plan.skip is None and sorted(plan.rows) == [0, 1, 2] and plan.parsed == 3
        assert why(plan, "faces") is None and why(plan, "parsing") is None and not rig.late
    assert (
        rig.scheduler.level.name == "full"
        and rig.scheduler.detector_skip_reason() is None
        and rig.scheduler.frame_skip_reason() is None
    )


def test_what_does_not_fit_goes_parsing_first_and_then_the_smaller_faces() -> None:
    rig = Rig(fixed=0)
    for budget in (1.0, 0.007, 0.007):
        plan = rig.frame("ab", budget)
    assert plan.skip is None and (plan.rows, plan.parsed) == ([0, 1], 0)
    assert str(why(plan, "parsing")).startswith("over budget: needs 10.8 ms") and why(plan, "faces") is None
    for _ in range(3):
        plan = rig.frame("ab", 0.003)
    assert plan.skip is None and (plan.rows, plan.parsed) == ([0], 0)
    assert str(why(plan, "faces")).startswith("over budget: needs")


def test_faces_go_before_their_parsing_where_that_matters_most() -> None:
    rig = Rig(fixed=0, parsing_first=True)
    for budget in (1.0, 0.007, 0.007):
        plan = rig.frame("ab", budget)
    assert plan.skip is None and (len(plan.rows), plan.parsed) == (1, 1)


def test_nobody_is_looked_at_when_not_even_one_face_fits() -> None:
    rig = Rig(look=0.05, fixed=0)
    rig.frame("a", 1.0)
    rig.frame("a", 0.1)
    plans = [rig.frame("a", 0.010) for _ in range(4)]
    refused = [plan.skip for plan in plans if plan.skip is not None]
    assert refused and all(skip.reason is SkipReason.BUDGET for skip in refused)
    assert all(skip.detail.startswith("over budget: needs") for skip in refused)


def test_overload_goes_down_rung_by_rung_until_it_fits_and_says_so() -> None:
    rig = Rig(look=0.002, parse=0.012)
    for _ in range(300):
        plan = rig.frame("abc", 0.025)
    assert rig.scheduler.level.parsing_every > 1 and not rig.late
    assert plan.skip is None and len(plan.rows) == 3 and plan.parsed <= 1
    assert str(why(plan, "parsing")).startswith(f"level {rig.scheduler.ladder.level}: parsing")
    rig.look = rig.parse = 0.0005
    moves = rig.scheduler.ladder.moves
    for _ in range(1000):
        rig.frame("abc", 0.025)
    assert rig.scheduler.ladder.level == 0
    assert rig.scheduler.ladder.moves - moves <= 2  # what full quality once cost does not send it down again


def test_a_level_that_keeps_leaving_things_out_is_left() -> None:
    rig = Rig(look=0.05)
    rig.frame("a", 1.0)
    for _ in range(40):
        rig.frame("a", 0.020)
    assert rig.scheduler.ladder.level > 0


def test_rungs_for_faces_that_are_not_there_are_passed() -> None:
    rig = Rig(look=0.2)
    levels = set()
    for _ in range(200):
        rig.frame("a", 0.033)
        levels.add(rig.scheduler.ladder.level)
    assert not levels & {NUMBER["3 faces a frame"], NUMBER["1 face a frame"]}
    assert NUMBER["every 2nd frame"] in levels


def test_a_fixed_level_keeps_its_rules_without_a_budget() -> None:
    rig = Rig(fixed=NUMBER["every 2nd frame"])
    scheduler = rig.scheduler
    rests, detects, faces, parsed = [], [], [], []
    for frame in range(24):
        rig.clock.time += 1 / 30
        scheduler.begin(None)
        rests.append(scheduler.frame_skip_reason())
        if rests[-1] is None:
            detects += [frame] if scheduler.detector_skip_reason() is None else []
            plan = scheduler.schedule(["a", "b"], [9.0, 5.0], rig.clock.time, parsing=True)
            assert plan.skip is None
            faces.append(len(plan.rows))
            parsed.append(plan.parsed)
            scheduler.record(["ab"[row] for row in plan.rows], plan.parsed, rig.clock.time, scheduler.budget.last_stop)
        scheduler.keep(["a", "b"])
        assert not scheduler.finish(rested=rests[-1] is not None)
    rested = [skip and (skip.reason, skip.detail) for skip in rests]
    assert rested == [None, (SkipReason.REST, f"level {NUMBER['every 2nd frame']}: every 2nd frame")] * 12
    assert detects == [0, 12] and max(faces[1:]) == 1 and max(parsed) == 1


def test_costs_are_kept_for_every_number_of_faces() -> None:
    rig = Rig()
    rig.frame("abc", None)
    rig.frame("a", None)
    table = rig.scheduler.budget.costs.table()
    assert table["3 faces, 3 parsed"]["p50_ms"] == pytest.approx(18.0)
    assert table["1 faces, 1 parsed"]["p95_ms"] == pytest.approx(6.0)


def test_frames_that_come_after_their_deadline_are_not_all_left_out() -> None:
    """A decoder slower than the budget leaves no time for anything, on any frame."""
    rig, looks, detections = Rig(), [], []
    for frame in range(90):  # three seconds
        rig.clock.time = round(rig.clock.time * 30 + 1) / 30
        now = rig.clock.time
        rig.scheduler.begin(now - 0.004, now - 0.012)
        if rig.scheduler.detector_skip_reason() is None:
            detections.append(frame)
            rig.scheduler.budget.stop_stage("detect", stage="detect")
        since = rig.scheduler.budget.last_stop
        plan = rig.scheduler.schedule("ab", [90.0, 80.0], now, parsing=True)
        if plan.skip is None:
            assert len(plan.rows) == 1 and plan.parsed == 0 and why(plan, "parsing") is not None
            looks.append("ab"[plan.rows[0]])
            rig.scheduler.budget.stop_stage("engine")
            rig.scheduler.record(["ab"[plan.rows[0]]], 0, now, since)
        assert rig.scheduler.finish()
    assert 6 <= len(looks) <= 8 and {"a", "b"} == set(looks)
    assert 6 <= len(detections) <= 8


def test_reasons_name_the_rung_that_leaves_a_thing_out() -> None:
    """Not the rung where the level stands."""
    number = NUMBER["1 face a frame"]
    scheduler = FrameScheduler(FakeClock(), LEVELS, fixed=number)
    reasons = set()
    for frame in range(12):
        scheduler.begin(None, frame / 30)
        skip = scheduler.detector_skip_reason()
        reasons.add(skip and skip.detail)
        plan = scheduler.schedule(["a"], [90.0], frame / 30, parsing=True)
        assert plan.skip is None
        reasons.add(why(plan, "parsing"))
        scheduler.record(["a"], plan.parsed, frame / 30, scheduler.budget.last_stop)
        scheduler.finish()
    one, many = f"level {number}: parsing every 9th frame", f"level {number}: detection every 12th frame at most"
    assert reasons == {None, one, many}
    plan = scheduler.schedule(["a", "b"], [90.0, 80.0], 0.5, parsing=False)
    assert plan.skip is None and why(plan, "faces") == f"level {number}: 1 face a frame"

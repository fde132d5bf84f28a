"""What is done for a frame: level, deadline, turns; under a clock that moves when told."""

from __future__ import annotations

import pytest

from rtface.budget import Planner, ladder_levels
from rtface.budget.scheduler import Work
from rtface.labels import TASKS
from tests.fakes import FakeClock

LEVELS = ladder_levels(TASKS)
NUMBER = {level.name: number for number, level in enumerate(LEVELS)}


class Rig:
    """A planner whose faces cost `look` seconds each, and `parse` more where parsed."""

    def __init__(self, *, look: float = 0.002, parse: float = 0.004, **more: object) -> None:
        self.clock = FakeClock()
        self.planner = Planner(self.clock, LEVELS, **more)  # type: ignore[arg-type]
        self.look, self.parse = look, parse

    def frame(self, faces: str, budget: float | None) -> Work | str:
        """A frame 1/30 s after the one before."""
        planner, clock = self.planner, self.clock
        clock.time = round(clock.time * 30 + 1) / 30
        planner.begin(None if budget is None else clock.time + budget, clock.time)
        planner.lap("track")
        since = planner.mark
        sizes = [float(90 - row) for row in range(len(faces))]
        work = planner.work(list(faces), sizes, clock.time, parsing=True)
        if isinstance(work, Work):
            clock.time += self.look * len(work.rows) + self.parse * work.parsed
            planner.lap("engine")
            planner.looked([faces[row] for row in work.rows], work.parsed, clock.time, since)
        planner.keep(list(faces))
        self.late = planner.finish()
        return work


def test_without_a_budget_everything_runs_whatever_it_costs() -> None:
    rig = Rig(look=1.0)
    for _ in range(20):
        work = rig.frame("abc", None)
        assert isinstance(work, Work) and sorted(work.rows) == [0, 1, 2] and work.parsed == 3
        assert work.fewer_faces is None and work.fewer_parsed is None and not rig.late
    assert rig.planner.level.name == "full" and rig.planner.detects() is None and rig.planner.rests() is None


def test_what_does_not_fit_goes_parsing_first_and_then_the_smaller_faces() -> None:
    rig = Rig(fixed=0)
    for budget in (1.0, 0.007, 0.007):
        work = rig.frame("ab", budget)
    assert isinstance(work, Work) and (work.rows, work.parsed) == ([0, 1], 0)
    assert str(work.fewer_parsed).startswith("over budget: needs 10.8 ms") and work.fewer_faces is None
    for _ in range(3):
        work = rig.frame("ab", 0.003)
    assert isinstance(work, Work) and (work.rows, work.parsed) == ([0], 0)
    assert str(work.fewer_faces).startswith("over budget: needs")


def test_faces_go_before_their_parsing_where_that_matters_most() -> None:
    rig = Rig(fixed=0, parsing_first=True)
    for budget in (1.0, 0.007, 0.007):
        work = rig.frame("ab", budget)
    assert isinstance(work, Work) and (len(work.rows), work.parsed) == (1, 1)


def test_nothing_fits() -> None:
    rig = Rig(look=0.05, fixed=0)
    rig.frame("a", 1.0)
    rig.frame("a", 0.1)
    works = [rig.frame("a", 0.010) for _ in range(4)]
    assert any(isinstance(work, str) and work.startswith("over budget") for work in works)


def test_overload_goes_down_rung_by_rung_until_it_fits_and_says_so() -> None:
    rig = Rig(look=0.002, parse=0.012)
    for _ in range(300):
        work = rig.frame("abc", 0.025)
    assert rig.planner.level.parsing_every > 1 and not rig.late
    assert isinstance(work, Work) and len(work.rows) == 3 and work.parsed <= 1
    assert work.fewer_parsed is not None and work.fewer_parsed.startswith(f"level {rig.planner.ladder.level}: parsing")
    rig.look = rig.parse = 0.0005
    moves = rig.planner.ladder.moves
    for _ in range(1000):
        rig.frame("abc", 0.025)
    assert rig.planner.ladder.level == 0
    assert rig.planner.ladder.moves - moves <= 2  # what full quality once cost does not send it down again


def test_a_level_that_keeps_leaving_things_out_is_left() -> None:
    rig = Rig(look=0.05)
    rig.frame("a", 1.0)
    for _ in range(40):
        rig.frame("a", 0.020)
    assert rig.planner.ladder.level > 0


def test_rungs_for_faces_that_are_not_there_are_passed() -> None:
    rig = Rig(look=0.2)
    levels = set()
    for _ in range(200):
        rig.frame("a", 0.033)
        levels.add(rig.planner.ladder.level)
    assert not levels & {NUMBER["3 faces a frame"], NUMBER["1 face a frame"]}
    assert NUMBER["every 2nd frame"] in levels


def test_a_fixed_level_keeps_its_rules_without_a_budget() -> None:
    rig = Rig(fixed=NUMBER["every 2nd frame"])
    planner = rig.planner
    rests, detects, faces, parsed = [], [], [], []
    for frame in range(24):
        rig.clock.time += 1 / 30
        planner.begin(None)
        rests.append(planner.rests())
        if rests[-1] is None:
            detects += [frame] if planner.detects() is None else []
            work = planner.work(["a", "b"], [9.0, 5.0], rig.clock.time, parsing=True)
            assert isinstance(work, Work)
            faces.append(len(work.rows))
            parsed.append(work.parsed)
            planner.looked(["ab"[row] for row in work.rows], work.parsed, rig.clock.time, planner.mark)
        planner.keep(["a", "b"])
        assert not planner.finish(rested=rests[-1] is not None)
    assert rests == [None, f"level {NUMBER['every 2nd frame']}: every 2nd frame"] * 12
    assert detects == [0, 12] and max(faces[1:]) == 1 and max(parsed) == 1


def test_costs_are_kept_for_every_number_of_faces() -> None:
    rig = Rig()
    rig.frame("abc", None)
    rig.frame("a", None)
    table = rig.planner.costs()
    assert table["3 faces, 3 parsed"]["p50_ms"] == pytest.approx(18.0)
    assert table["1 faces, 1 parsed"]["p95_ms"] == pytest.approx(6.0)


def test_frames_that_come_after_their_deadline_are_not_all_left_out() -> None:
    """A decoder slower than the budget leaves no time for anything, on any frame."""
    rig, looks, detections = Rig(), [], []
    for frame in range(90):  # three seconds
        rig.clock.time = round(rig.clock.time * 30 + 1) / 30
        now = rig.clock.time
        rig.planner.begin(now - 0.004, now - 0.012)
        if rig.planner.detects() is None:
            detections.append(frame)
            rig.planner.lap("detect", stage="detect")
        since = rig.planner.mark
        work = rig.planner.work("ab", [90.0, 80.0], now, parsing=True)
        if isinstance(work, Work):
            assert len(work.rows) == 1 and work.parsed == 0 and work.fewer_parsed is not None
            looks.append("ab"[work.rows[0]])
            rig.planner.lap("engine")
            rig.planner.looked(["ab"[work.rows[0]]], 0, now, since)
        assert rig.planner.finish()
    assert 6 <= len(looks) <= 8 and {"a", "b"} == set(looks)
    assert 6 <= len(detections) <= 8


def test_reasons_name_the_rung_that_leaves_a_thing_out() -> None:
    """Not the rung where the level stands."""
    number = NUMBER["1 face a frame"]
    planner = Planner(FakeClock(), LEVELS, fixed=number)
    reasons = set()
    for frame in range(12):
        planner.begin(None, frame / 30)
        reasons.add(planner.detects())
        work = planner.work(["a"], [90.0], frame / 30, parsing=True)
        assert isinstance(work, Work)
        reasons.add(work.fewer_parsed)
        planner.looked(["a"], work.parsed, frame / 30, planner.mark)
        planner.finish()
    one, many = f"level {number}: parsing every 9th frame", f"level {number}: detection every 12th frame at most"
    assert reasons == {None, one, many}
    work = planner.work(["a", "b"], [90.0, 80.0], 0.5, parsing=False)
    assert isinstance(work, Work) and work.fewer_faces == f"level {number}: 1 face a frame"

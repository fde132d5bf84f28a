from __future__ import annotations

import math

import pytest

from rtface.budget.turns import GATHER_S, Waiting, whose_turn, worth_waiting_s


def test_the_earliest_deadline_goes_first() -> None:
    waiting = [Waiting(10.030, 0.003, 9.9), Waiting(10.010, 0.003, 9.9), Waiting(10.020, 0.003, 9.9)]
    assert whose_turn(waiting, 10.0) == [1, 2, 0]


def test_frames_join_as_long_as_the_earliest_deadline_allows() -> None:
    waiting = [Waiting(10.030, 0.008, 9.9)] * 5
    assert whose_turn(waiting, 10.0) == [0, 1, 2]


def test_a_higher_priority_goes_before_an_earlier_deadline() -> None:
    waiting = [Waiting(10.020, 0.015, 9.9), Waiting(10.030, 0.015, 9.9, priority=1)]
    assert whose_turn(waiting, 10.0)[0] == 1


def test_a_camera_that_starves_goes_before_all() -> None:
    waiting = [Waiting(10.020, 0.015, 9.9, priority=5), Waiting(10.033, 0.015, 9.7)]
    assert whose_turn(waiting, 10.0)[0] == 1


def test_a_frame_that_is_late_already_keeps_nobody_from_joining() -> None:
    late, others = Waiting(9.9, 0.005, 9.95), [Waiting(10.030, 0.005, 9.9)] * 3
    assert whose_turn([late, *others], 10.0) == [1, 2, 3, 0]


def test_frames_that_are_all_late_go_together_for_a_while() -> None:
    assert len(whose_turn([Waiting(9.9, 0.005, 9.95)] * 4, 10.0)) == 2


def test_without_deadlines_nobody_waits_for_more_than_a_tenth_of_a_second() -> None:
    assert len(whose_turn([Waiting(math.inf, 0.03, 9.9)] * 8, 10.0)) == 3


def test_nothing_waits() -> None:
    assert whose_turn([], 10.0) == []


@pytest.mark.parametrize(("cameras", "budget_s"), [(4, 0.033), (8, 0.033), (16, 0.066)])
def test_on_an_overloaded_box_nobody_waits_for_half_a_second(cameras: int, budget_s: float) -> None:
    """Simulated: more frames than there is time for, one camera with priority, one at 60 fps, one always late."""
    work_s, now = 0.006, 100.0
    served, longest = [now] * cameras, [0.0] * cameras
    due = [now + 0.001 * row for row in range(cameras)]
    every = [1 / 60 if row == 1 else 1 / 30 for row in range(cameras)]
    behind = [0.2 if row == 2 else 0.0 for row in range(cameras)]
    newest: list[float | None] = [None] * cameras
    while now < 110.0:
        for row in range(cameras):
            while due[row] <= now:
                newest[row], due[row] = due[row] - behind[row], due[row] + every[row]
        there = [row for row in range(cameras) if newest[row] is not None]
        waiting = [Waiting(newest[row] + budget_s, work_s, served[row], int(row == 0)) for row in there]  # type: ignore[operator]
        turn = [there[row] for row in whose_turn(waiting, now)]
        for row in turn:
            longest[row], served[row], newest[row] = max(longest[row], now - served[row]), now, None
        now += work_s * len(turn) if turn else 0.001
    assert max(longest) < 0.5


def test_a_frame_waits_a_little_for_those_that_are_about_to_come() -> None:
    one = Waiting(10.060, 0.004, 9.9, came_at=10.0)
    assert worth_waiting_s([one], [10.003, 10.004, 10.020, 9.99], 10.001) == pytest.approx(0.003)
    assert worth_waiting_s([one], [10.003], 10.0035) == 0.0  # it is late: nobody waits on
    assert worth_waiting_s([one], [-math.inf], 10.001) == 0.0
    assert worth_waiting_s([], [10.003], 10.001) == 0.0


def test_no_frame_waits_when_its_deadline_is_near() -> None:
    assert worth_waiting_s([Waiting(10.021, 0.004, 9.9, came_at=10.0)], [10.003], 10.001) == 0.0


def test_no_frame_waits_for_longer_than_it_may() -> None:
    one = Waiting(11.0, 0.004, 9.9, came_at=10.0)
    assert worth_waiting_s([one], [10.0 + GATHER_S + 0.001], 10.001) == 0.0

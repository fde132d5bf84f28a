"""The quality ladder: down after misses, up after headroom, back off, floor, fixed, and rungs that matter."""

from __future__ import annotations

import pytest

from rtface.budget.config import LadderConfig
from rtface.budget.ladder import Ladder

CONFIG = LadderConfig()


def late(ladder: Ladder, frames: int = 3) -> bool:
    return sum(ladder.judge(1.2, late=True) for _ in range(frames)) > 0


def frames_until_up(ladder: Ladder, spent: float = 0.3, most: int = 5000) -> int:
    """Easy frames until the level goes up."""
    for frame in range(1, most):
        if ladder.judge(spent):
            return frame
    raise AssertionError("it never went up")


def test_down_after_three_late_frames_not_before() -> None:
    ladder = Ladder(4)
    assert not late(ladder, 2) and ladder.level == 0
    assert late(ladder, 1) and ladder.level == 1 and ladder.moves == 1
    assert not late(ladder, 2) and ladder.level == 1  # the count begins again at each level


def test_hiccups_far_apart_are_no_reason() -> None:
    ladder = Ladder(4)
    for _ in range(20):
        ladder.judge(1.5, late=True)
        for _ in range(CONFIG.within // 2):
            ladder.judge(0.9)
    assert ladder.level == 0


def test_things_left_out_in_time_weigh_less_than_late_frames() -> None:
    ladder = Ladder(4)
    moved = [ladder.judge(0.9, short=True) for _ in range(CONFIG.shorts)]
    assert moved == [False] * (CONFIG.shorts - 1) + [True] and ladder.level == 1
    for _ in range(20):  # a few a minute are no reason at all
        ladder.judge(0.9, short=True)
        assert not any(ladder.judge(0.9) for _ in range(CONFIG.within // 4))
    assert ladder.level == 1


def test_up_after_thirty_frames_with_headroom() -> None:
    ladder = Ladder(4)
    late(ladder)
    assert frames_until_up(ladder) == CONFIG.wait
    assert ladder.level == 0
    late(ladder)
    for _ in range(200):
        assert not ladder.judge(0.7)  # 0.7 x what a level is thought to cost more: no headroom
    assert ladder.level == 1


def test_a_frame_without_headroom_starts_the_count_again() -> None:
    ladder = Ladder(4)
    late(ladder)
    for _ in range(CONFIG.wait - 1):
        assert not ladder.judge(0.3)
    ladder.judge(0.9)
    assert frames_until_up(ladder) == CONFIG.wait


def test_a_climb_that_fails_soon_makes_the_wait_longer_and_one_that_holds_ends_that() -> None:
    ladder = Ladder(2)
    late(ladder)
    waits = []
    for _ in range(9):
        waits.append(frames_until_up(ladder))
        late(ladder)
    assert waits == [min(CONFIG.wait * CONFIG.back_off**k, CONFIG.longest_wait) for k in range(9)]
    frames_until_up(ladder)
    for _ in range(CONFIG.failed_climb_frames + 1):
        ladder.judge(0.3)
    late(ladder)
    assert frames_until_up(ladder) == CONFIG.wait


def test_what_the_level_above_cost_is_remembered() -> None:
    ladder = Ladder(2)
    for _ in range(CONFIG.wait):
        ladder.judge(0.9)
    late(ladder)  # at 0.9 and above; the level below costs 0.45
    for _ in range(500):
        assert not ladder.judge(0.45)  # twice 0.45 is no headroom
    assert frames_until_up(ladder, 0.3) == CONFIG.wait


def test_no_lower_than_the_floor_or_the_last_level() -> None:
    for ladder in (Ladder(9, max_level=2), Ladder(3)):
        for _ in range(10):
            late(ladder)
        assert ladder.level == 2 and ladder.moves == 2


def test_a_fixed_level_stays() -> None:
    ladder = Ladder(9, fixed=3)
    late(ladder, 50)
    assert ladder.level == 3
    for _ in range(500):
        ladder.judge(0.01)
    assert ladder.level == 3 and ladder.moves == 0


def test_a_steep_way_down_takes_twice_as_many_rungs_each_time_and_starts_anew_after_a_rest() -> None:
    ladder = Ladder(12, max_level=9, config=LadderConfig(steep=10))
    seen = []
    for _ in range(4):
        late(ladder)
        seen.append(ladder.level)
    assert seen == [1, 3, 7, 9] and ladder.moves == 4  # the last one ends at the lowest allowed
    ladder = Ladder(12, config=LadderConfig(steep=10))
    late(ladder)
    late(ladder)
    for _ in range(10):
        ladder.judge(0.9)
    late(ladder)
    assert ladder.level == 4
    frames_until_up(ladder)
    late(ladder)
    assert ladder.level == 4  # up and down again by one, however soon


def test_what_several_rungs_saved_says_nothing_of_one() -> None:
    ladder = Ladder(12, config=LadderConfig(steep=10))
    for spent in (3.0, 3.0):
        for _ in range(3):
            ladder.judge(spent, late=True)
    assert ladder.level == 3
    assert (
        frames_until_up(ladder, spent=0.63) == CONFIG.wait
    )  # 0.63 x unknown_gain is headroom, 0.63 x largest_gain is not


def test_rungs_that_change_nothing_now_are_passed() -> None:
    ladder = Ladder(6)

    def useful(level: int) -> bool:
        return level in (2, 5)

    def move(spent: float, missed: bool) -> None:
        while not ladder.judge(spent, late=missed, useful=useful):
            pass

    move(1.2, True)
    assert ladder.level == 2
    move(1.2, True)
    assert ladder.level == 5
    assert not any(ladder.judge(1.2, late=True, useful=useful) for _ in range(10))
    move(0.1, False)
    assert ladder.level == 4  # the rung that mattered is undone
    move(0.1, False)
    assert ladder.level == 1
    move(0.1, False)
    assert ladder.level == 0


@pytest.mark.parametrize("share", [0.02, 0.03])
def test_few_late_frames_are_borne(share: float) -> None:
    ladder = Ladder(4)
    for frame in range(3000):
        ladder.judge(1.1 if frame % round(1 / share) == 0 else 0.5, late=frame % round(1 / share) == 0)
    assert ladder.level == 0


def test_steady_overload_moves_rarely() -> None:
    """Full costs 1.3 of the budget, one level down 0.6: down once, and not up and down for ever."""
    ladder = Ladder(4)
    for _ in range(1800):
        spent = 1.3 if ladder.level == 0 else 0.6
        ladder.judge(spent, late=spent > 1)
    assert ladder.level == 1 and ladder.moves <= 6

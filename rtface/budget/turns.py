"""Whose frames are analysed next, of several cameras whose frames wait."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

STARVED_S = 0.25
"""A camera that had no result for so long goes before all others: nobody waits for more than half a second."""

LEAST_ROOM_S = 0.012
"""Frames that take so long are analysed together also when the deadlines are over: what is late becomes later with one
after another."""

MOST_ROOM_S = 0.1
"""Frames without a deadline are not kept waiting for longer than this by those they are analysed with."""


class Waiting(NamedTuple):
    """A camera's frame that waits; times in the clock's seconds.

    Attributes:
        deadline: When its result is due; infinite = never.
        usual_s: What the camera's frames usually take.
        served_at: When the camera's last frame was taken.
        priority: Those with more go first.
    """

    deadline: float
    usual_s: float = 0.0
    served_at: float = 0.0
    priority: int = 0


def whose_turn(waiting: Sequence[Waiting], now: float) -> list[int]:
    """Rows of the frames to analyse together now; not empty unless there is none.

    First those whose cameras starve, then by priority and deadline; as many as can be done by the earliest of their
    deadlines. A frame that cannot be in time any more holds up nobody: it comes last.
    """

    def rank(row: int) -> tuple[bool, bool, int, float]:
        one = waiting[row]
        return now - one.served_at <= STARVED_S, is_lost(one, now), -one.priority, one.deadline

    chosen: list[int] = []
    spent_s, until = 0.0, math.inf
    for row in sorted(range(len(waiting)), key=rank):
        one = waiting[row]
        lost = is_lost(one, now)
        earliest = until if lost else min(until, one.deadline)
        left_s = 0.0 if lost and earliest == math.inf else earliest - now
        if not chosen or spent_s + one.usual_s <= min(max(left_s, LEAST_ROOM_S), MOST_ROOM_S):
            chosen.append(row)
            spent_s, until = spent_s + one.usual_s, earliest
    return chosen


def is_lost(one: Waiting, now: float) -> bool:
    """Whether the frame cannot be in time any more."""
    return now + one.usual_s > one.deadline

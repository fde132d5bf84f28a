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


GATHER_S = 0.005
"""A frame waits so long for those of other cameras that are expected by then, if its deadline allows: together they
cost less than one after another."""

SPARE = 3.0
"""Frames do not wait for others once less than so many times what they usually take is left."""


class Waiting(NamedTuple):
    """A camera's frame that waits; times in the clock's seconds.

    Attributes:
        deadline: When its result is due; infinite = never.
        usual_s: What the camera's frames usually take.
        served_at: When the camera's last frame was taken.
        priority: Those with more go first.
        came_at: When the frame came.
    """

    deadline: float
    usual_s: float = 0.0
    served_at: float = 0.0
    priority: int = 0
    came_at: float = 0.0


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


def worth_waiting_s(waiting: Sequence[Waiting], expected: Sequence[float], now: float) -> float:
    """How long the frames that wait had better wait on, for another's; 0 = not at all.

    Args:
        waiting: Frames that wait.
        expected: When the next frames of the other cameras are expected.
        now: The clock's seconds.
    """
    if not waiting:
        return 0.0
    spare_s = SPARE * (sum(one.usual_s for one in waiting) + max(one.usual_s for one in waiting))
    until = min(min(one.came_at for one in waiting) + GATHER_S, min(one.deadline for one in waiting) - spare_s)
    return max((at - now for at in expected if now < at <= until), default=0.0)


def is_lost(one: Waiting, now: float) -> bool:
    """Whether the frame cannot be in time any more."""
    return now + one.usual_s > one.deadline

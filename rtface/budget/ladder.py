"""When the quality goes down or up: slowly, and not again and again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from statistics import median

MISSES = 3
WITHIN = 60
"""Down after so many late frames among so many (two seconds at 30 fps): one hiccup is no reason."""

SHORTS = 12
"""Down after so many frames among `WITHIN` that left a stage out to be in time: the deadline held, so that a noisy
cost estimate alone is no reason, but a level that keeps leaving things out promises what it does not do."""

WAIT = 30
"""Up after so many frames in a row with headroom; a failed climb makes it longer."""

BACK_OFF = 3
"""So many times longer."""

LONGEST_WAIT = 1920
"""About a minute."""

SOON = 1800
"""A climb failed if the way down begins within so many frames (a minute); one that held so long makes the wait `WAIT`
again. With 10 s in place of the minute, a load of 15 s on and off moved the level 7 times a minute."""

HEADROOM = 0.8
"""Share of the budget that a frame must be expected to stay within one level up."""

UNKNOWN_GAIN = 1.25
LARGEST_GAIN = 2.0
"""What a level is thought to cost over the one below it, before it was measured and at most."""


class Ladder:
    """The level of quality, 0 = full, and its moves. Call `judge` after every analysed frame.

    Args:
        count: Number of levels.
        floor: The lowest level allowed (its number); None = the last.
        fixed: Stay at this level; None = move.
    """

    def __init__(self, count: int, floor: int | None = None, fixed: int | None = None) -> None:
        self._lowest = count - 1 if floor is None else min(floor, count - 1)
        self._fixed = fixed
        self.level = fixed or 0
        self.moves = 0
        self._frame = 0
        self._late: deque[int] = deque(maxlen=MISSES)
        self._short: deque[int] = deque(maxlen=SHORTS)
        self._spent: deque[float] = deque(maxlen=WAIT)  # of the latest frames at this level
        self._streak = 0
        self._wait = WAIT
        self._climbed_at: int | None = None
        self._above: dict[int, float] = {}  # level → median share spent at the level that was left for it
        self._gain: dict[int, float] = {}  # level → cost of one level up, over its own

    def judge(
        self,
        spent: float,
        *,
        late: bool = False,
        short: bool = False,
        useful: Callable[[int], bool] = lambda level: True,
    ) -> bool:
        """Count a frame; whether the level moved.

        Args:
            spent: Age of the result over the budget; above 1 = late.
            late: The frame missed its deadline.
            short: Something was left out to be in time.
            useful: Whether a level (its number) does less than the one above it just now. Others are passed through.
        """
        self._frame += 1
        if self._fixed is not None:
            return False
        self._learn(spent)
        if late or short:
            self._streak = 0
            counted = self._late if late else self._short
            counted.append(self._frame)
            full = len(counted) == counted.maxlen and self._frame - counted[0] < WITHIN
            return full and self._down(useful)
        gain = self._gain.get(self.level, UNKNOWN_GAIN)
        self._streak = self._streak + 1 if spent * gain <= HEADROOM else 0
        return self._streak >= self._wait and self._up(useful)

    def _learn(self, spent: float) -> None:
        self._spent.append(spent)
        above = self._above.get(self.level)
        if above is not None and len(self._spent) == WAIT:
            self._gain[self.level] = min(max(above / max(median(self._spent), 1e-6), 1.0), LARGEST_GAIN)
            del self._above[self.level]
        if self._climbed_at is not None and self._frame - self._climbed_at > SOON:
            self._climbed_at, self._wait = None, WAIT

    def _down(self, useful: Callable[[int], bool]) -> bool:
        below = next((level for level in range(self.level + 1, self._lowest + 1) if useful(level)), None)
        self._forget()
        if below is None:
            return False
        if self._climbed_at is not None:
            self._wait, self._climbed_at = min(BACK_OFF * self._wait, LONGEST_WAIT), None
        self._above[below] = median(self._spent)
        return self._move(below)

    def _up(self, useful: Callable[[int], bool]) -> bool:
        if self.level == 0:
            self._streak = self._wait  # no need to count on
            return False
        # Undo one rung that matters now, and those that do not on the way.
        above = next((level for level in range(self.level, 0, -1) if useful(level)), 1) - 1
        self._climbed_at = self._frame
        return self._move(above)

    def _move(self, level: int) -> bool:
        self.level, self._streak = level, 0
        self.moves += 1
        self._forget()
        self._spent.clear()
        return True

    def _forget(self) -> None:
        self._late.clear()
        self._short.clear()

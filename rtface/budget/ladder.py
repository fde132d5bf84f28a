"""When the quality goes down or up: slowly, and not again and again."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from statistics import median

from rtface.budget.config import LadderConfig


class Ladder:
    """The level of quality, 0 = full, and its moves. Call `judge` after every analysed frame.

    Args:
        count: Number of levels.
        max_level: The lowest level of quality allowed, which has the largest number; None = the last.
        fixed: Stay at this level; None = move.
        config: When it moves.
    """

    def __init__(
        self,
        count: int,
        max_level: int | None = None,
        fixed: int | None = None,
        config: LadderConfig | None = None,
    ) -> None:
        self._config = config = config or LadderConfig()
        self._lowest = count - 1 if max_level is None else min(max_level, count - 1)
        self._fixed = fixed
        self.level = fixed or 0
        self.moves = 0
        self._frame = 0
        self._late: deque[int] = deque(maxlen=config.misses)
        self._short: deque[int] = deque(maxlen=config.shorts)
        self._spent: deque[float] = deque(maxlen=config.wait)  # of the latest frames at this level
        self._streak = 0
        self._wait = config.wait
        self._climbed_at: int | None = None
        self._stride, self._fell_at = 1, -math.inf  # rungs of the latest move down, and its frame
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
        self._record(spent)
        if late or short:
            self._streak = 0
            counted = self._late if late else self._short
            counted.append(self._frame)
            full = len(counted) == counted.maxlen and self._frame - counted[0] < self._config.within
            return full and self._down(useful)
        gain = self._gain.get(self.level, self._config.unknown_gain)
        self._streak = self._streak + 1 if spent * gain <= self._config.headroom else 0
        return self._streak >= self._wait and self._up(useful)

    def _record(self, spent: float) -> None:
        self._spent.append(spent)
        above = self._above.get(self.level)
        if above is not None and len(self._spent) == self._config.wait:
            self._gain[self.level] = min(max(above / max(median(self._spent), 1e-6), 1.0), self._config.largest_gain)
            del self._above[self.level]
        if self._climbed_at is not None and self._frame - self._climbed_at > self._config.failed_climb_frames:
            self._climbed_at, self._wait = None, self._config.wait

    def _down(self, useful: Callable[[int], bool]) -> bool:
        lower = [level for level in range(self.level + 1, self._lowest + 1) if useful(level)]
        self._forget()
        if not lower:
            return False
        goes_on = self._frame - self._fell_at <= self._config.steep
        self._stride, self._fell_at = min(2 * self._stride if goes_on else 1, len(lower)), self._frame
        below = lower[self._stride - 1]
        if self._climbed_at is not None:
            self._wait, self._climbed_at = min(self._config.back_off * self._wait, self._config.longest_wait), None
        if self._stride == 1:
            self._above[below] = median(self._spent)
        return self._move(below)

    def _up(self, useful: Callable[[int], bool]) -> bool:
        if self.level == 0:
            self._streak = self._wait  # no need to count on
            return False
        # Undo one rung that matters now, and those that do not on the way.
        above = next((level for level in range(self.level, 0, -1) if useful(level)), 1) - 1
        self._climbed_at, self._fell_at = self._frame, -math.inf
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

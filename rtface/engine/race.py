"""Which of several ways to do the same work is the quickest here and now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median

TRIALS = 3
"""Runs of each way before the first choice."""

REMEMBERED = 5
"""Runs a way's median is over: three bad ones end its reign."""

PROBE_EVERY = 64
"""Runs between two tries of a way that is not chosen: at 30 fps, a machine that got quiet is noticed in two seconds."""


class Race:
    """Chooses among ways by their median cost of late, and tries the others from time to time.

    Args:
        ways: Their names, the one to begin with first.
    """

    def __init__(self, ways: Sequence[str]) -> None:
        self._costs: dict[str, deque[float]] = {way: deque(maxlen=REMEMBERED) for way in ways}
        self._runs = 0
        self._turn = 0

    def choose(self) -> str:
        """The way for the next run."""
        for way, costs in self._costs.items():
            if len(costs) < TRIALS and self._runs < TRIALS * len(self._costs):
                return way
        best = min(self._costs, key=lambda way: median(self._costs[way]))
        others = [way for way in self._costs if way != best]
        if not others or self._runs % PROBE_EVERY:
            return best
        self._turn += 1
        way = others[self._turn % len(others)]
        self._costs[way].clear()  # what it cost long ago says nothing about now
        return way

    def ran(self, way: str, seconds: float) -> None:
        """The run took this long."""
        self._costs[way].append(seconds)
        self._runs += 1

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


ALIKE = 1.3
"""Ways that take up to so many times as long as the quickest are as quick: then the one with the least CPU time wins.
Threads that wait for each other spin: on 2 busy cores one face took 6.4 ms and 5.8 ms of CPU time on two threads, 2.0
and 2.0 on one. On an idle Xeon a second core saves 15 % of one face's time for half as much CPU time again (1.15 ms and
2.0, 1.34 and 1.34) and is left alone; on an EPYC it saved 27 % (1.6 and 2.2 ms)."""


class Race:
    """Chooses among ways by their median cost of late, and tries the others from time to time.

    Args:
        ways: Their names, the one to begin with first.
    """

    def __init__(self, ways: Sequence[str]) -> None:
        self._costs: dict[str, deque[float]] = {way: deque(maxlen=REMEMBERED) for way in ways}
        self._cpu: dict[str, deque[float]] = {way: deque(maxlen=REMEMBERED) for way in ways}
        self._runs = 0
        self._turn = 0
        self._probe: str | None = None  # a way that is tried again after a while; its first run only fills the caches
        self._cold = False

    def choose(self) -> str:
        """The way for the next run."""
        if self._probe is not None:
            return self._probe
        for way, costs in self._costs.items():
            if len(costs) < TRIALS and self._runs < TRIALS * len(self._costs):
                return way
        best = self._best()
        others = [way for way in self._costs if way != best]
        if not others or self._runs % PROBE_EVERY:
            return best
        self._turn += 1
        way = others[self._turn % len(others)]
        self._costs[way].clear()  # what it cost long ago says nothing about now
        self._cpu[way].clear()
        self._probe, self._cold = way, True
        return way

    def _best(self) -> str:
        took = {way: median(costs) for way, costs in self._costs.items()}
        quick = [way for way in took if took[way] <= ALIKE * min(took.values())]
        return min(quick, key=lambda way: (median(self._cpu[way]), took[way]))

    def ran(self, way: str, seconds: float, cpu_seconds: float = 0.0) -> None:
        """The run took this long, and this much time of all CPUs."""
        if way == self._probe:
            if self._cold:
                self._cold = False
                return
            self._probe = None
        self._costs[way].append(seconds)
        self._cpu[way].append(cpu_seconds)
        self._runs += 1

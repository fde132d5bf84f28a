"""Which of several ways to do the same work is the quickest here and now."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from statistics import median_low

TRIALS = 3
"""Runs of each strategy before the first choice."""

REMEMBERED = 5
"""Runs a strategy's median is over: after three bad ones another is chosen."""

PROBE_EVERY = 64
"""Runs between two tries of a strategy that is not chosen: at 30 fps a quieter machine is noticed in two seconds."""

PROBED = 2
"""Runs that such a try is judged by, after one that only fills the caches; the quicker counts: noise only adds."""


TIE_RATIO = 1.2
"""Strategies that take up to so many times as long as the quickest tie with it: the least CPU time wins.
Threads that wait for each other spin: on 2 busy cores one face took 6.4 ms and 5.8 ms of CPU time on two threads, 2.0
and 2.0 on one. On an idle Xeon a second core saves 15 % of one face's time for half as much CPU time again (1.15 ms and
2.0, 1.34 and 1.34) and is left alone. On an idle EPYC (Zen 5) it saves 28 % (0.53 ms, 0.74), and is taken: a frame's
whole job then takes 0.84 ms and 1.31 of CPU time, 0.98 and 1.16 without."""


class AutoTuner:
    """Chooses among strategies by their recent median cost, and tries the others from time to time.

    Args:
        strategies: Their names, the one to begin with first.
        tie_ratio: Strategies that take up to so many times as long as the quickest tie with it.
    """

    def __init__(self, strategies: Sequence[str], tie_ratio: float = TIE_RATIO) -> None:
        self._tie_ratio = tie_ratio
        self._costs: dict[str, deque[float]] = {strategy: deque(maxlen=REMEMBERED) for strategy in strategies}
        self._cpu: dict[str, deque[float]] = {strategy: deque(maxlen=REMEMBERED) for strategy in strategies}
        self._runs = 0
        self._turn = 0
        self._probe: str | None = None  # is tried again after a while
        self._probed = 0  # runs of it

    def choose(self) -> str:
        """The strategy for the next run."""
        if self._probe is not None:
            return self._probe
        for strategy, costs in self._costs.items():
            if len(costs) < TRIALS and self._runs < TRIALS * len(self._costs):
                return strategy
        best = self._best()
        others = [strategy for strategy in self._costs if strategy != best]
        if not others or self._runs % PROBE_EVERY:
            return best
        self._turn += 1
        strategy = others[self._turn % len(others)]
        self._costs[strategy].clear()  # what it cost long ago says nothing about now
        self._cpu[strategy].clear()
        self._probe, self._probed = strategy, 0
        return strategy

    def _best(self) -> str:
        took = {strategy: median_low(costs) for strategy, costs in self._costs.items()}
        quick = [strategy for strategy in took if took[strategy] <= self._tie_ratio * min(took.values())]
        return min(quick, key=lambda strategy: (median_low(self._cpu[strategy]), took[strategy]))

    def record(self, strategy: str, seconds: float, cpu_seconds: float = 0.0) -> None:
        """The run took this long, and this much time of all CPUs."""
        if strategy == self._probe:
            self._probed += 1
            if self._probed == 1:
                return
            if self._probed > PROBED:
                self._probe = None
        self._costs[strategy].append(seconds)
        self._cpu[strategy].append(cpu_seconds)
        self._runs += 1

"""Running figures of a run, in memory that does not grow."""

from __future__ import annotations

import numpy as np

STEP_MS = 0.1
LONGEST_MS = 2000.0


class Percentiles:
    """Times in ms as counts per tenth of a millisecond; longer ones than two seconds count as two seconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(LONGEST_MS / STEP_MS) + 1, np.int64)

    def add(self, ms: float) -> None:
        """Count one time."""
        self._counts[int(min(max(ms, 0.0), LONGEST_MS) / STEP_MS)] += 1

    def at(self, percent: float) -> float | None:
        """The time in ms that ``percent`` of the times stay within, to a tenth; None before the first."""
        total = int(self._counts.sum())
        if not total:
            return None
        rank = max(int(np.ceil(total * percent / 100.0)), 1)
        return round(float(np.searchsorted(self._counts.cumsum(), rank) * STEP_MS), 1)

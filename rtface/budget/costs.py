"""What stages have cost lately."""

from __future__ import annotations

import math
from collections import deque

REMEMBERED = 64
"""Costs kept a stage: two seconds at 30 fps, so that the 95th percentile follows a busy machine within that time."""


class Costs:
    """Running 95th percentile of each stage's cost, in seconds."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {}

    def add(self, stage: str, seconds: float) -> None:
        """A stage took this long."""
        if stage not in self._stages:
            self._stages[stage] = deque(maxlen=REMEMBERED)
        self._stages[stage].append(seconds)

    def p95(self, stage: str) -> float:
        """Cost that 95 % of the remembered runs stayed within; 0 for a stage that never ran."""
        known = self._stages.get(stage)
        if not known:
            return 0.0
        return sorted(known)[math.ceil(0.95 * len(known)) - 1]

    def ease(self, stage: str) -> None:
        """Forget the dearest run: a stage that is refused for long must be tried again, or its price never falls."""
        known = self._stages.get(stage)
        if known:
            known.remove(max(known))

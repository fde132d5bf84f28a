"""What stages have cost lately."""

from __future__ import annotations

import math
from collections import deque

REMEMBERED = 64
"""Costs kept a stage: two seconds at 30 fps, so that the 95th percentile follows a busy machine within that time."""

EASE = 0.97
"""Each refusal in a row lowers the estimate by this: a stage half again too dear is tried after 14 of them."""


class Costs:
    """Running 95th percentile of each stage's cost, in seconds."""

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {}
        self._refused: dict[str, int] = {}

    def add(self, stage: str, seconds: float) -> None:
        """A stage took this long."""
        if stage not in self._stages:
            self._stages[stage] = deque(maxlen=REMEMBERED)
        self._stages[stage].append(seconds)
        self._refused[stage] = 0

    def p95(self, stage: str) -> float:
        """Cost that 95 % of the remembered runs stayed within; 0 for a stage that never ran."""
        known = self._stages.get(stage)
        if not known:
            return 0.0
        return sorted(known)[math.ceil(0.95 * len(known)) - 1] * EASE ** self._refused[stage]

    def refuse(self, stage: str) -> None:
        """A stage was left out for its cost: think it a little cheaper, or it is never tried, and learned, again."""
        self._refused[stage] = self._refused.get(stage, 0) + 1

"""Pauses between tries that get longer."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double, each cut by chance, so that a hundred clients do not come back at once.

    Attributes:
        first_s: Pause before the first try.
        longest_s: Longest pause.
        jitter: A pause is shortened by up to this share of it (0..1).
        chance: Of the jitter.
    """

    first_s: float = 0.5
    longest_s: float = 8.0
    jitter: float = 0.5
    chance: random.Random = field(default_factory=random.Random, compare=False)

    def pause_s(self, tries: int) -> float:
        """Seconds to wait before the next try, after so many that failed."""
        whole = min(self.first_s * 2.0 ** min(tries, 60), self.longest_s)
        return whole * (1.0 - self.jitter * self.chance.random())

"""How a lost camera or stream is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Pauses that double, from 0.5 s to 8 s, each cut by chance, so that a hundred clients do not come back at once.

    Attributes:
        first_s: Pause before the first try.
        longest_s: Longest pause; a connection that held for as long starts the next loss at `first_s` again.
        jitter: A pause is shortened by up to this share of it (0..1).
        give_up_s: End with an error once the source was away for so long; 0 = at once, None = never.
        stall_s: A source that gives no frame for so long, or does not open within it, counts as lost.
        chance: Of the jitter.
    """

    first_s: float = 0.5
    longest_s: float = 8.0
    jitter: float = 0.5
    give_up_s: float | None = None
    stall_s: float = 8.0
    chance: random.Random = field(default_factory=random.Random, compare=False)

    def pause_s(self, tries: int) -> float:
        """Seconds to wait before the next try, after so many in vain."""
        whole = min(self.first_s * 2.0 ** min(tries, 60), self.longest_s)
        return whole * (1.0 - self.jitter * self.chance.random())

    def gives_up(self, away_s: float) -> bool:
        """Whether a source that has been away for so long is given up."""
        return self.give_up_s is not None and away_s >= self.give_up_s

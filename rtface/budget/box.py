"""One ladder for several streams that share a machine."""

from __future__ import annotations

from collections.abc import Callable

from rtface.budget.ladder import Ladder
from rtface.system.clock import Clock

TICK_S = 1.0 / 30.0
"""The ladder's constants count frames at 30 a second: all frames of so long a time count as one of them."""

FADES = 0.98
"""What is left after a tick of late frames too few to count as a late one."""

QUARTER = 0.75
"""What the frames of a tick spent is what this share of them stayed within: one that waited for others' detection says
little of the level."""


class BoxLadder:
    """The quality level of all streams of a box; takes the frames of all, and judges once a tick.

    A late frame among n of a tick is an n-th of a late tick: the level goes down for the same share of late frames,
    however many streams there are.

    Args:
        clock: Time of the ticks.
        ladder: What moves.
    """

    def __init__(self, clock: Clock, ladder: Ladder) -> None:
        self._clock, self._ladder = clock, ladder
        self._began: float | None = None
        self._spent: list[float] = []
        self._useful: list[Callable[[int], bool]] = []
        self._late = self._short = 0
        self._owed_late = self._owed_short = 0.0

    @property
    def level(self) -> int:
        """The present one, 0 = full."""
        return self._ladder.level

    @property
    def moves(self) -> int:
        """How often it has moved."""
        return self._ladder.moves

    def judge(
        self,
        spent: float,
        *,
        late: bool = False,
        short: bool = False,
        useful: Callable[[int], bool] = lambda level: True,
    ) -> bool:
        """Count a frame of one of the streams, as `Ladder.judge`; whether the level moved."""
        now = self._clock.now()
        moved = False
        if self._began is None:
            self._began = now
        elif now - self._began >= TICK_S:
            moved = self._tick()
            self._began = now
        self._spent.append(spent)
        self._useful.append(useful)
        self._late += late
        self._short += short and not late
        return moved

    def _tick(self) -> bool:
        count = len(self._spent)
        self._owed_late, late = _owed(self._owed_late, self._late / count)
        self._owed_short, short = _owed(self._owed_short, self._short / count)
        spent = sorted(self._spent)[int(QUARTER * (count - 1))]
        useful = tuple(self._useful)
        self._spent, self._useful, self._late, self._short = [], [], 0, 0
        return self._ladder.judge(spent, late=late, short=short, useful=lambda level: any(one(level) for one in useful))


def _owed(before: float, share: float) -> tuple[float, bool]:
    """What is carried over to the next tick, and whether this one counts."""
    owed = before + share if share else before * FADES
    return (owed - 1.0, True) if owed >= 1.0 - 1e-9 else (owed, False)

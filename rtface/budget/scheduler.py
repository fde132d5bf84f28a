"""What is done for each frame of a stream: the level's rules, then what still fits before the frame's deadline."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from rtface.budget.costs import faces_stage
from rtface.budget.ladder import Ladder
from rtface.budget.levels import Level
from rtface.budget.rotation import Turns
from rtface.budget.timer import Budget
from rtface.system.clock import Clock

BLIND_SECONDS = 0.45
"""After so long without a look, or a run of the detector that is due, one is taken whatever it costs. Frames that reach
us after their deadline (a decoder slower than the budget) leave no time for anything, ever."""

OLD = 30
"""Runs of other stages after which a stage's costs are of another time, once the level goes up."""


BUSY = 0.5
"""Share of the time between frames that analysing takes, from which on resting every second frame helps. Below, frames
do not hold each other up: with 8 ms of budget and 33 ms between frames, resting threw half of them away for nothing."""

BUSY_BLEND = 0.1
"""Weight of a frame in that share: about the last ten count."""


class Work(NamedTuple):
    """Rows of the faces to look at, those to parse first; how many those are; and why it is not all of them."""

    rows: list[int]
    parsed: int
    fewer_faces: str | None = None
    fewer_parsed: str | None = None


class Planner(Budget):
    """`Budget` of one stream, with its quality ladder.

    A frame is `begin`, then `rests`, `detects` and `work` where they matter, and `finish`.

    Args:
        clock: Time of deadlines and measurements.
        levels: The rungs, the full level first.
        floor: The lowest level allowed.
        fixed: The level to stay at; None = the ladder moves.
        parsing_first: Where time is short, faces are left out before their parsing is.
    """

    def __init__(
        self,
        clock: Clock,
        levels: Sequence[Level],
        *,
        floor: int | None = None,
        fixed: int | None = None,
        parsing_first: bool = False,
    ) -> None:
        self._levels, self._parsing_first = levels, parsing_first
        self.ladder = Ladder(len(levels), floor, fixed)
        self._turns = Turns()
        self._frame = -2  # a frame is begun here already
        self._detected: int | None = None  # number of the frame
        self._detected_at = self._looked_at = float("-inf")  # begin of those frames
        self._present, self._parsing = 0, False
        self._from, self._every, self._busy = 0.0, 0.0, 0.0
        self._short = False
        super().__init__(clock)

    @property
    def level(self) -> Level:
        """The present one."""
        return self._levels[self.ladder.level]

    def begin(self, deadline: float | None, captured_at: float | None = None) -> None:
        """Start a frame; `captured_at` is when its time began to run, None = now."""
        super().begin(deadline)
        self._frame += 1
        began = self._start if captured_at is None else captured_at
        self._from, self._every = began, began - self._from
        self._short = False

    def fits(self, stage: str) -> str | None:
        """As `Budget.fits`; what does not fit counts against the level."""
        why = super().fits(stage)
        self._short = self._short or why is not None
        return why

    def rests(self) -> str | None:
        """Why nothing is done for this frame, or None."""
        return self._because("frames_every") if self._frame % self.level.frames_every else None

    def detects(self) -> str | None:
        """Why the detector, whose turn it is, does not run; None where it does, and this counts as its run."""
        last = self._detected
        if last is not None and self._frame - last < self.level.detect_every:
            return self._because("detect_every")
        if (why := self.fits("detect")) and not self._blind(self._detected_at):
            return why
        self._detected, self._detected_at = self._frame, self._start
        return None

    def _blind(self, since: float) -> bool:
        return self._start - since > BLIND_SECONDS

    def work(self, faces: Sequence[Hashable], sizes: Sequence[float], at: float, *, parsing: bool) -> Work | str:
        """Which faces (`sizes` in px) are looked at on this frame at `at` seconds, or why none is."""
        self._present, self._parsing = len(faces), parsing
        rows = self._turns.faces(faces, sizes, self.level.faces, at)
        chosen = [faces[row] for row in rows]
        due = [rows[i] for i in self._turns.parsed(chosen, self.level.parsing_every, self._frame)] if parsing else []
        why: str | None = None
        for count, parse in self._choices(len(rows), len(due)):
            again = self.fits(faces_stage(count, parse, self.level.network))
            if again is None:
                first = due if parse else []
                order = [*first, *(row for row in rows if row not in first)]
                fewer_faces = why if count < len(rows) else self._because("faces") if count < len(faces) else None
                knob = "faces" if len(due) == len(rows) else "parsing_every"
                fewer_parsed = (
                    why if parse < len(due) else self._because(knob) if parsing and parse < len(faces) else None
                )
                return Work(order[:count], parse, fewer_faces, fewer_parsed)
            why = why or again
        if rows and self._blind(self._looked_at):
            return Work(rows[:1], 0, why if len(faces) > 1 else None, why if parsing else None)
        return why or "over budget"

    def _choices(self, most: int, parsed: int) -> Iterator[tuple[int, int]]:
        """Numbers of faces and of those parsed to try, the dearest first."""
        counts = [most]
        while counts[-1] > 1:
            counts.append(counts[-1] // 2)
        if not self._parsing_first:
            yield from dict.fromkeys([(most, parsed), *((count, 0) for count in counts)])
            return
        yield from dict.fromkeys([*((count, min(count, parsed)) for count in counts), (1, 0)])

    def looked(self, faces: Sequence[Hashable], parsed: int, at: float, since: float) -> None:
        """These were looked at, the first `parsed` of them parsed; it took from `since` to the last lap."""
        self._turns.done(faces, faces[:parsed], at, self._frame)
        self._looked_at = self._start
        self.learn(faces_stage(len(faces), parsed, self.level.network), since)

    def keep(self, faces: Sequence[Hashable]) -> None:
        """Forget the faces that are not among these."""
        self._turns.keep(faces)
        self._present = len(faces)

    def finish(self, *, rested: bool = False) -> bool:
        """The frame is done; whether it is late. The level for the next is judged, unless this one rested."""
        if self.deadline is None:
            return False
        now = self._clock.now()
        late = now > self.deadline
        if not rested:
            if self._every > 0.0:
                self._busy += BUSY_BLEND * ((now - self._start) / self._every - self._busy)
            spent = (now - self._from) / max(self.deadline - self._from, 1e-6)
            if self._short:  # in time only as something was left out: the level itself costs more than there is
                spent = max(spent, 1.0)
            level = self.ladder.level
            self.ladder.judge(spent, late=late, short=self._short, useful=self._useful)
            if self.ladder.level < level:  # what more work cost when it was too much may be true no longer
                self._costs.forget(OLD)
        return late

    def _useful(self, number: int) -> bool:
        level, above = self._levels[number], self._levels[number - 1]
        if level.parsing_every != above.parsing_every:
            return self._parsing and self._present > 0
        if level.network != above.network:
            return self._present > 0
        if level.frames_every != above.frames_every:
            return self._busy >= BUSY
        return level.faces == above.faces or (level.faces or 0) < self._present

    def _because(self, knob: str) -> str:
        """The level, and the name of the rung where the `knob` got its value."""
        value = getattr(self.level, knob)
        rung = next(level for level in self._levels if getattr(level, knob) == value)
        return f"level {self.ladder.level}: {rung.name}"

"""What is done for each frame of a stream: the level's rules, then what still fits before the frame's deadline."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from rtface.budget.box import BoxLadder
from rtface.budget.config import SchedulerConfig
from rtface.budget.costs import Costs, faces_stage
from rtface.budget.ladder import Ladder
from rtface.budget.levels import Level
from rtface.budget.rotation import FaceRotation
from rtface.budget.timer import Budget
from rtface.system.clock import Clock
from rtface.types import Skip, SkipReason


class FramePlan(NamedTuple):
    """Whom the engine looks at on one frame.

    Attributes:
        rows: Rows of the faces to look at, those to parse first.
        parsed: How many of them are parsed.
        skips: Why it is not all of them ("faces"), and not all parsed ("parsing").
        skip: Why nobody is looked at; None = somebody is.
    """

    rows: list[int]
    parsed: int
    skips: tuple[Skip, ...] = ()
    skip: Skip | None = None


class FrameScheduler:
    """Schedules the stages of one stream's frames, with a `Budget` and a quality ladder.

    A frame is `begin`, then `frame_skip_reason`, `detector_skip_reason` and `schedule` when they matter, `record` after
    the engine has run, and `finish`.

    Args:
        clock: Time of deadlines and measurements.
        levels: The rungs, the full level first.
        max_level: The lowest level of quality allowed, which has the largest number.
        fixed: The level to stay at; None = the ladder moves.
        parsing_first: When time is short, faces are left out before their parsing is.
        config: The tunables.
        ladder: Of several streams together, which `max_level` is then this one's part of; None = of its own.
        costs: Of several streams together; None = of its own.
    """

    def __init__(
        self,
        clock: Clock,
        levels: Sequence[Level],
        *,
        max_level: int | None = None,
        fixed: int | None = None,
        parsing_first: bool = False,
        config: SchedulerConfig | None = None,
        ladder: BoxLadder | None = None,
        costs: Costs | None = None,
    ) -> None:
        self._levels, self._parsing_first = levels, parsing_first
        self._config = config or SchedulerConfig()
        self.budget = Budget(clock, costs)
        self.ladder = ladder or Ladder(len(levels), max_level, fixed, self._config.ladder)
        self.max_level = max_level
        self.judged = True
        self._rotation = FaceRotation(self._config.rotation)
        self._frame = -1
        self._detected: int | None = None  # number of the frame
        self._detected_at = self._looked_at = float("-inf")  # begin of those frames
        self._present, self._parsing = 0, False
        self._from, self._every, self._busy = self.budget.started_at, 0.0, 0.0
        self._short = False

    @property
    def number(self) -> int:
        """Of the present level, 0 = full."""
        number = self.ladder.level
        return number if self.max_level is None else min(number, self.max_level)

    @property
    def level(self) -> Level:
        """The present one."""
        return self._levels[self.number]

    def begin(self, deadline: float | None, captured_at: float | None = None) -> None:
        """Start a frame; `captured_at` is when its time began to run, None = now."""
        self.budget.begin(deadline)
        self._frame += 1
        began = self.budget.started_at if captured_at is None else captured_at
        self._from, self._every = began, began - self._from
        self._short = False

    def _over_budget(self, task: str, stage: str) -> Skip | None:
        """Why a stage that the level promises does not fit; this counts against the level."""
        skip = self.budget.skip_reason(task, stage)
        if skip is None:
            self.budget.reserve(stage)
        self._short = self._short or skip is not None
        return skip

    def frame_skip_reason(self) -> Skip | None:
        """Why nothing is done for this frame; None = it is analysed."""
        if self._frame % self.level.frames_every:
            return self._by_level("detect", "frames_every", SkipReason.REST)
        return None

    def detector_skip_reason(self) -> Skip | None:
        """Why the detector, whose turn it is, does not run; None = it runs, and this counts as its run."""
        last = self._detected
        if last is not None and self._frame - last < self.level.detect_every:
            return self._by_level("detect", "detect_every")
        late = self._too_long(self._detected_at)
        if not late and (skip := self.budget.company_skip_reason("detect", "detect")):
            return skip  # one of the next frames will do: that breaks no promise of the level
        skip = self._over_budget("detect", "detect")
        if skip is not None and not late:
            return skip
        self._detected, self._detected_at = self._frame, self.budget.started_at
        return None

    def _too_long(self, since: float) -> bool:
        return self.budget.started_at - since > self._config.max_gap_s

    def schedule(self, faces: Sequence[Hashable], sizes: Sequence[float], at: float, *, parsing: bool) -> FramePlan:
        """Which faces (`sizes` in px) are looked at on this frame at `at` seconds, and which of them are parsed."""
        self._present, self._parsing = len(faces), parsing
        rows = self._rotation.faces(faces, sizes, self.level.faces, at)
        chosen = [faces[row] for row in rows]
        due = [rows[i] for i in self._rotation.parsed(chosen, self.level.parsing_every, self._frame)] if parsing else []
        first_skip: Skip | None = None
        for count, parse in self._choices(len(rows), len(due)):
            skip = self._over_budget("faces", faces_stage(count, parse, self.level.network))
            if skip is None:
                first = due if parse else []
                order = [*first, *(row for row in rows if row not in first)]
                skips = self._skips(count, parse, len(rows), due, len(faces), first_skip)
                return FramePlan(order[:count], parse, skips)
            first_skip = first_skip or skip
        if rows and self._too_long(self._looked_at):
            assert first_skip is not None
            skips = (first_skip,) if len(faces) > 1 else ()
            return FramePlan(rows[:1], 0, (*skips, first_skip.of("parsing")) if parsing else skips)
        return FramePlan([], 0, skip=first_skip or Skip("faces", SkipReason.BUDGET, "over budget"))

    def _skips(
        self, count: int, parse: int, rows: int, due: Sequence[int], present: int, over: Skip | None
    ) -> tuple[Skip, ...]:
        """Why `count` of the faces present are looked at and not all, and why `parse` are parsed and not all."""
        faces: Skip | None = None
        if count < rows:
            faces = over
        elif count < present:
            faces = self._by_level("faces", "faces", SkipReason.FACES)
        parsing: Skip | None = None
        if parse < len(due):
            parsing = None if over is None else over.of("parsing")
        elif self._parsing and parse < present:
            knob, reason = ("faces", SkipReason.FACES) if len(due) == rows else ("parsing_every", SkipReason.LEVEL)
            parsing = self._by_level("parsing", knob, reason)
        return tuple(skip for skip in (faces, parsing) if skip is not None)

    def _choices(self, most: int, parsed: int) -> Iterator[tuple[int, int]]:
        """Numbers of faces and of those parsed to try, the most expensive first."""
        counts = [most]
        while counts[-1] > 1:
            counts.append(counts[-1] // 2)
        if not self._parsing_first:
            yield from dict.fromkeys([(most, parsed), *((count, 0) for count in counts)])
            return
        yield from dict.fromkeys([*((count, min(count, parsed)) for count in counts), (1, 0)])

    def record(self, faces: Sequence[Hashable], parsed: int, at: float, since: float) -> None:
        """These were looked at, the first `parsed` of them parsed; it took from `since` to the last stage's end."""
        self._rotation.record(faces, faces[:parsed], at, self._frame)
        self._looked_at = self.budget.started_at
        self.budget.record_cost(faces_stage(len(faces), parsed, self.level.network), since)

    def keep(self, faces: Sequence[Hashable]) -> None:
        """Forget the faces that are not among these."""
        self._rotation.keep(faces)
        self._present = len(faces)

    def finish(self, *, rested: bool = False) -> bool:
        """The frame is done; whether it is late. The level for the next is judged, unless this one rested."""
        budget = self.budget
        if budget.deadline is None:
            return False
        now = budget.clock.now()
        late = now > budget.deadline
        if not rested and self.judged:
            if self._every > 0.0:
                self._busy += self._config.busy_blend * ((now - budget.started_at) / self._every - self._busy)
            spent = (now - self._from) / max(budget.deadline - self._from, 1e-6)
            if self._short:  # in time only as something was left out: the level itself costs more than there is
                spent = max(spent, 1.0)
            level = self.ladder.level
            self.ladder.judge(spent, late=late, short=self._short, useful=self._useful)
            if self.ladder.level < level:  # what more work cost when it was too much may be true no longer
                budget.costs.forget(self._config.stale_runs)
        return late

    def _useful(self, number: int) -> bool:
        level, above = self._levels[number], self._levels[number - 1]
        if level.parsing_every != above.parsing_every:
            return self._parsing and self._present > 0
        if level.network != above.network:
            return self._present > 0
        if level.frames_every != above.frames_every:
            return self._busy >= self._config.busy_share
        return level.faces == above.faces or (level.faces or 0) < self._present

    def _by_level(self, task: str, knob: str, reason: SkipReason = SkipReason.LEVEL) -> Skip:
        """The level, and the name of the rung on which the `knob` got its value."""
        value = getattr(self.level, knob)
        rung = next(level for level in self._levels if getattr(level, knob) == value)
        return Skip(task, reason, f"level {self.number}: {rung.name}")

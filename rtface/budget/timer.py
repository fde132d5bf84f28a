"""Decides, before each stage, whether it still fits the frame's deadline, and times every stage."""

from __future__ import annotations

from rtface.budget.costs import Costs
from rtface.system.clock import Clock


class Budget:
    """Deadline and stopwatch of one stream's frames.

    A frame is `begin`, then for each stage `fits` where it may be left out, and `lap` when it is done.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self._costs = clock, Costs()
        self.begin(None)

    def begin(self, deadline: float | None) -> None:
        """Start a frame; `deadline` in the clock's seconds, None = none."""
        self._deadline = deadline
        self._start = self._mark = self._clock.now()
        self._laps: dict[str, float] = {}

    def fits(self, stage: str) -> str | None:
        """None where the stage fits the time left, else why not.

        Its cost is the running 95th percentile; a stage that never ran is let through.
        """
        return self.fits_before(stage)

    def fits_before(self, stage: str, *later: str) -> str | None:
        """As `fits`, where the `later` stages must still fit after it: for what is nice to have."""
        if self._deadline is None:
            return None
        left = self._deadline - self._clock.now()
        cost = self._costs.p95(stage) + sum(self._costs.p95(other) for other in later)
        if cost <= left:
            return None
        self._costs.refuse(stage)
        return f"over budget: needs {1e3 * cost:.1f} ms, {1e3 * max(left, 0.0):.1f} ms left"

    @property
    def deadline(self) -> float | None:
        """Of this frame, in the clock's seconds."""
        return self._deadline

    @property
    def mark(self) -> float:
        """When the last lap ended, in the clock's seconds."""
        return self._mark

    def learn(self, stage: str, since: float) -> None:
        """Remember the time from `since` to the last lap as the stage's cost."""
        self._costs.add(stage, self._mark - since)

    def costs(self) -> dict[str, dict[str, float]]:
        """What stages cost of late; see `Costs.table`."""
        return self._costs.table()

    def lap(self, name: str, stage: str | None = None) -> None:
        """The time since the lap before was spent on `name`; with `stage` it is remembered as that stage's cost."""
        now = self._clock.now()
        self._laps[name] = self._laps.get(name, 0.0) + 1e3 * (now - self._mark)
        if stage is not None:
            self._costs.add(stage, now - self._mark)
        self._mark = now

    @property
    def laps_ms(self) -> dict[str, float]:
        """Milliseconds of each lap of this frame by name."""
        return self._laps

    @property
    def total_ms(self) -> float:
        """Milliseconds from `begin` to the last lap."""
        return 1e3 * (self._mark - self._start)

"""Times every stage of a frame, and says before each whether it still fits the frame's deadline."""

from __future__ import annotations

from rtface.budget.costs import Costs
from rtface.system.clock import Clock
from rtface.types import Skip, SkipReason


class Budget:
    """Deadline and stopwatch of one stream's frames.

    A frame is `begin`, then for each stage `skip_reason` where it may be left out, and `stop_stage` when it is done.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock, self.costs = clock, Costs()
        self.begin(None)

    def begin(self, deadline: float | None) -> None:
        """Start a frame; `deadline` in the clock's seconds, None = none."""
        self._deadline = deadline
        self.started_at = self.last_stop = self.clock.now()
        self._spent: dict[str, float] = {}

    def skip_reason(self, task: str, stage: str, *later: str) -> Skip | None:
        """Why `task` has to do without its `stage` on this frame; None = the stage fits the time left.

        A stage costs its running 95th percentile; before anything was measured, all is let through. The `later` stages
        must still fit after it: for what is nice to have.
        """
        if self._deadline is None:
            return None
        left = self._deadline - self.clock.now()
        cost = self.costs.p95(stage) + sum(self.costs.p95(other) for other in later)
        if cost <= left or not self.costs.known:
            return None
        self.costs.refuse(stage)
        needs = f"needs {1e3 * cost:.1f} ms, {1e3 * left:.1f} ms left"
        late = f"the deadline passed {-1e3 * left:.1f} ms ago"
        return Skip(task, SkipReason.BUDGET, f"over budget: {needs if left > 0.0 else late}")

    @property
    def deadline(self) -> float | None:
        """Of this frame, in the clock's seconds."""
        return self._deadline

    def record_cost(self, stage: str, since: float) -> None:
        """Remember the time from `since` to the end of the last stage as the cost of `stage`."""
        self.costs.add(stage, self.last_stop - since)

    def stop_stage(self, name: str, stage: str | None = None) -> None:
        """The time since the stage before was spent on `name`; with `stage` it is remembered as that stage's cost."""
        now = self.clock.now()
        self._spent[name] = self._spent.get(name, 0.0) + 1e3 * (now - self.last_stop)
        if stage is not None:
            self.costs.add(stage, now - self.last_stop)
        self.last_stop = now

    @property
    def spent_ms(self) -> dict[str, float]:
        """Milliseconds of each stage of this frame by name."""
        return self._spent

    @property
    def total_ms(self) -> float:
        """Milliseconds from `begin` to the end of the last stage."""
        return 1e3 * (self.last_stop - self.started_at)

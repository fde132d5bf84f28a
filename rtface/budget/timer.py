"""Times every stage of a frame, and says before each whether it still fits the frame's deadline."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.budget.costs import Costs
from rtface.system.clock import Clock
from rtface.types import Skip, SkipReason


@dataclass(slots=True, eq=False)
class Company:
    """What frames that are analysed together share: the earliest of their deadlines, and the time up to it.

    Attributes:
        deadline: In the clock's seconds.
        usual_s: What their stages after detection usually take, all together.
        reserved_s: What stages that were let through, and have not run yet, will take.
    """

    deadline: float
    usual_s: float = 0.0
    reserved_s: float = 0.0


class Budget:
    """Deadline and stopwatch of one stream's frames.

    A frame is `begin`, then for each stage `skip_reason` where it may be left out, and `stop_stage` when it is done.
    Between two stages other streams may have their turn; `resume` then goes on.

    Args:
        clock: Time of deadlines and measurements.
        costs: What stages cost; streams on the same networks may share it. None = of its own.
    """

    def __init__(self, clock: Clock, costs: Costs | None = None) -> None:
        self.clock, self.costs = clock, costs or Costs()
        self.company: Company | None = None
        self.begin(None)

    def begin(self, deadline: float | None) -> None:
        """Start a frame; `deadline` in the clock's seconds, None = none."""
        self._deadline = deadline
        self.started_at = self.last_stop = self.clock.now()
        self._away_s = 0.0
        self._spent: dict[str, float] = {}

    def skip_reason(self, task: str, stage: str, *later: str) -> Skip | None:
        """Why `task` has to do without its `stage` on this frame; None = the stage fits the time left.

        A stage costs its running 95th percentile; before anything was measured, all is let through. The `later` stages
        must still fit after it: for what is nice to have.
        """
        if self._deadline is None:
            return None
        left = self._deadline - self.clock.now()
        if self.company is not None:
            left = min(left, self.company.deadline - self.clock.now()) - self.company.reserved_s
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

    def company_skip_reason(self, task: str, stage: str) -> Skip | None:
        """Why `task` waits for a later frame, as the frames in company need the time more; None = it need not."""
        company = self.company
        if company is None:
            return None
        left = company.deadline - self.clock.now() - company.reserved_s - company.usual_s
        if self.costs.p95(stage) <= left:
            return None
        return Skip(task, SkipReason.BUDGET, "other cameras' turn")

    def reserve(self, stage: str) -> None:
        """A stage was let through: frames in company have so much less time left."""
        if self.company is not None:
            self.company.reserved_s += self.costs.p95(stage)

    def resume(self, share_s: float = 0.0) -> None:
        """Go on after other streams had their turn; `share_s` of that time was spent on the stage that ends next."""
        before, self.last_stop = self.last_stop, self.clock.now() - share_s
        self._away_s += self.last_stop - before

    @property
    def worked_until(self) -> float:
        """When the last stage would have ended without other streams' turns."""
        return self.last_stop - self._away_s

    def record_cost(self, stage: str, since: float) -> None:
        """Remember the time since `worked_until` was `since` as the cost of `stage`."""
        self.costs.add(stage, self.worked_until - since)

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
        """Milliseconds from `begin` to the end of the last stage, without other streams' turns."""
        return 1e3 * (self.worked_until - self.started_at)

"""What stages have cost lately."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from statistics import median

REMEMBERED = 64
"""Costs kept a stage: two seconds at 30 fps, so that the 95th percentile follows a busy machine within that time."""

REFUSAL_DECAY = 0.9
"""Each refusal in a row lowers the estimate by this: a stage half again too expensive is tried after 4 of them."""


class Costs:
    """Running median and 95th percentile of each stage's cost, in seconds.

    What a stage costs depends on the faces, so each number of faces is a stage of its own (`faces_stage`).
    """

    def __init__(self) -> None:
        self._stages: dict[str, deque[float]] = {}
        self._refused: dict[str, int] = {}
        self._since: dict[str, int] = {}  # runs of other stages since a stage's last

    def add(self, stage: str, seconds: float) -> None:
        """A stage took this long."""
        if stage not in self._stages:
            self._stages[stage] = deque(maxlen=REMEMBERED)
        self._stages[stage].append(seconds)
        self._refused[stage] = 0
        for other in self._since:
            self._since[other] += 1
        self._since[stage] = 0

    @property
    def known(self) -> bool:
        """Whether any stage has ever run."""
        return bool(self._stages)

    def forget(self, runs: int) -> None:
        """Forget what stages cost that did not run while others ran so often: it was another time."""
        for stage in [stage for stage, since in self._since.items() if since > runs]:
            del self._stages[stage], self._refused[stage], self._since[stage]

    def p95(self, stage: str) -> float:
        """Cost that 95 % of the remembered runs stayed within; 0 for a stage that never ran."""
        known = self._stages.get(stage)
        if not known:
            return 0.0
        return _p95(known) * REFUSAL_DECAY ** self._refused[stage]

    def table(self) -> dict[str, dict[str, float]]:
        """Stage → `p50_ms` and `p95_ms` of the remembered runs, and how many those are, as `runs`."""
        return {
            stage: {
                "p50_ms": round(1e3 * median(known), 3),
                "p95_ms": round(1e3 * _p95(known), 3),
                "runs": len(known),
            }
            for stage, known in self._stages.items()
        }

    def refuse(self, stage: str) -> None:
        """A stage was left out for its cost: think it a little cheaper, or it is never tried, and learned, again."""
        self._refused[stage] = self._refused.get(stage, 0) + 1


def faces_stage(faces: int, parsed: int, network: int = 0) -> str:
    """Name of the stage that looks at so many faces and parses so many of them, with which of the networks."""
    return f"{faces} faces, {parsed} parsed" + (f", network {network}" if network else "")


def _p95(costs: Collection[float]) -> float:
    # The lower neighbour: of few runs the most expensive may be a hiccup, which should not rule the stage out.
    return sorted(costs)[int(0.95 * (len(costs) - 1))]

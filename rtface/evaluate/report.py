"""What a task's evaluation says, for people and for programs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

SCHEMA = "rtface.eval/1"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure.

    Attributes:
        name: Key in the JSON line, with its unit: ``nme_pct``, ``yaw_mae_deg``.
        value: NaN = nothing to measure it on; null in JSON.
        meaning: What the table says.
        count: Faces, pictures or pixels that it was measured on.
    """

    name: str
    value: float
    meaning: str
    count: int


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of one task.

    Attributes:
        data: Pictures of each "source split" that were measured, e.g. {"afw val": 185}.
    """

    task: str
    metrics: tuple[Metric, ...]
    data: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The JSON record, schema ``rtface.eval/1``."""
        return {
            "schema": SCHEMA,
            "task": self.task,
            "data": self.data,
            "metrics": {m.name: round(m.value, 4) if math.isfinite(m.value) else None for m in self.metrics},
            "counts": {m.name: m.count for m in self.metrics},
        }

    def rows(self) -> list[tuple[str, str, str]]:
        """Rows for a table: meaning, value, count."""
        return [(m.meaning, f"{m.value:.2f}" if math.isfinite(m.value) else "-", str(m.count)) for m in self.metrics]

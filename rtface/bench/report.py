"""A measurement for people, as a table, and for programs, as one JSON line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.bench.harness import Measured

SCHEMA = "rtface.bench/1"
PERCENTS = (50, 95, 99)


def percentiles(values: NDArray[Any]) -> dict[str, float]:
    """{"p50_ms": …, "p95_ms": …, "p99_ms": …} of ms, linearly interpolated, to a microsecond."""
    at = np.percentile(values, PERCENTS)
    return {f"p{percent}_ms": round(float(value), 3) for percent, value in zip(PERCENTS, at, strict=True)}


def summary(measured: Measured) -> dict[str, Any]:
    """The figures, as they stand in the JSON line.

    ``fps`` is what the analysis alone could keep up, ``fps_with_capture`` reading or decoding included.

    Raises:
        ValueError: No frame was measured.
    """
    count = len(measured.faces)
    if not count:
        raise ValueError("expected at least one measured frame, got none")
    total, capture = measured.stages["total"], measured.stages["capture"]
    return {
        "frames": count,
        "warmup_frames": measured.warmup,
        "faces_per_frame": round(float(measured.faces.mean()), 3),
        "stages": {stage: percentiles(values) for stage, values in measured.stages.items()},
        "fps": _fps(total),
        "fps_with_capture": _fps(total + capture),
    }


def _fps(ms: NDArray[Any]) -> float | None:
    mean = float(ms.mean())
    return round(1e3 / mean, 1) if mean > 0.0 else None


def stage_rows(stages: dict[str, dict[str, float]]) -> list[tuple[str, ...]]:
    """Rows of the table: stage, then its percentiles."""
    return [(stage, *(f"{at[f'p{percent}_ms']:.2f}" for percent in PERCENTS)) for stage, at in stages.items()]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns: the first to the left, the rest to the right."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        return "  ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])

    return "\n".join([line(header), "  ".join("-" * width for width in widths), *map(line, rows)])

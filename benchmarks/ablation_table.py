"""The ablation's tables: every figure with its difference to the plain arm, and what two seeds of one arm differ by."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

Record = dict[str, Any]
COST = "M mult-adds"
BEYOND = 3.0  # two seeds' differences; a new arm that changes nothing is beyond by chance in 18 % of its figures


@dataclass(frozen=True)
class Table:
    """A kind of network: its arms with what a reader calls them, its figures, the arm that others are compared with."""

    title: str
    reference: str
    rows: Mapping[str, str]
    columns: Mapping[str, str]  # figure: name, with an arrow towards the better
    budget: tuple[str, ...]  # what of the budget counts for it
    digits: int = 2


ENGINE = Table(
    "engine",
    "iter0",
    {
        "single": "iFAN: a network for each task",
        "iter0": "iFAN: ITER 0 (one network, no interaction)",
        "iter1": "iFAN: ITER 1",
        "iter2": "iFAN: ITER 2",
        "iter3": "iFAN: ITER 3",
        "iter1-no-reencoders": "iFAN: ITER 1 without re-encoders",
        "task-norm*": "iFAN: ITER 0, task-wise batch norm, each set by its own statistics",
        "task-norm": "   the same in one pass, statistics of the mix",
        "residual": "RMT-Net: residual on",
        "association": "RMT-Net: association on",
        "residual+association": "RMT-Net: both on",
        "paper-iter0": "iFAN's own network: ITER 0",
        "paper-iter1": "iFAN's own network: ITER 1",
    },
    {"landmarks": "NME 68, AFW ↓", "five": "NME 5, MTFL ↓", "parsing": "F parsing ↑", "emotion": "acc. FER+ ↑"},
    ("steps", "batch"),
)
DETECTOR = Table(
    "detector, WIDER val",
    "mos",
    {
        "mos": "MOS: cross-stitch, uncertainty, feedback",
        "no-cross-stitch": "MOS without cross-stitch",
        "no-uncertainty": "MOS without learned task weights",
        "no-feedback": "MOS without feedback sampling",
    },
    {"ap50_16px": "AP 16 px ↑", "ap50_24px": "AP 24 px ↑", "ap50_40px": "AP 40 px ↑"},
    ("detector_steps", "detector_batch"),
)
ENHANCER = Table(
    "enhancer, faces of 16 px",
    "pixel",
    {
        "no-enhancer": "none: the crop as the runtime cuts it (bilinear)",
        "bicubic": "bicubic enlargement",
        "pixel": "Super-FAN: pixel loss",
        "pixel+perceptual": "Super-FAN: pixel, perceptual",
        "pixel+perceptual+heat": "Super-FAN: pixel, perceptual, heat map",
        "super-fan": "Super-FAN: pixel, perceptual, heat map, WGAN-GP",
    },
    {
        "psnr_db": "PSNR dB ↑",
        "ssim": "SSIM ↑",
        "nme_pct": "NME 68, AFW ↓",
        "failure8_pct": "NME > 8 %, AFW ↓",
        "parsing_f": "F parsing ↑",
    },
    ("enhancer_steps", "enhancer_batch"),
    3,
)
TABLES = (ENGINE, DETECTOR, ENHANCER)
SINGLE = {"landmarks": ("landmarks", "five"), "parsing": ("parsing",), "emotion": ("emotion",)}


@dataclass
class Row:
    """What is known of an arm: figures by seed, and costs by network."""

    figures: dict[int, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    costs: dict[str, float] = field(default_factory=dict)

    def of(self, column: str) -> list[float]:
        """A figure, one value a seed."""
        return [figures[column] for figures in self.figures.values() if column in figures]


def tables(records: Iterable[Record]) -> str:
    """All of them, one a kind of network and budget. Seeds of one arm share a row, networks of one task each too."""
    found: dict[tuple[str, str], dict[str, Row]] = defaultdict(lambda: defaultdict(Row))
    for record in records:
        arm = re.sub(r"-seed\d+$", "", record["arm"])
        for kind in TABLES:
            for name, figures in _figures(kind, arm, record).items():
                budget = ", ".join(f"{key} {record['budget'].get(key)}" for key in kind.budget)
                row = found[kind.title, budget][name]
                row.figures[record.get("seed", 0)] |= figures
                row.costs[arm] = record["m_multiply_adds"]
    parts = [
        f"budget: {budget}\n\n{table(kind, rows)}"
        for kind in TABLES
        for (title, budget), rows in found.items()
        if title == kind.title
    ]
    return "\n\n".join(parts)


def _figures(kind: Table, arm: str, record: Record) -> dict[str, dict[str, float]]:
    """Figures of a record by the row that they stand in; none where the record is of another table."""
    columns = tuple(kind.columns)
    if arm.startswith("single-"):
        arm, columns = "single", SINGLE[arm.removeprefix("single-")]
    named = {arm: record["scores"], f"{arm}*": record.get("scores_by_task_statistics", {})}
    last = str(record.get("rounds", ""))  # an engine has a figure for each round of interaction
    return {
        row: {c: scores[c + last] for c in columns if scores.get(c + last) is not None}
        for row, scores in named.items()
        if scores and row in kind.rows
    }


def table(kind: Table, rows: Mapping[str, Row]) -> str:
    """One table in Markdown, and what its brackets and bold figures say."""
    plain, noise = rows.get(kind.reference, Row()), {c: _noise(rows.values(), c) for c in kind.columns}
    lines = [[kind.title, *kind.columns.values(), COST], ["---", *["---:"] * (len(kind.columns) + 1)]]
    for name, label in kind.rows.items():
        if name not in rows:
            continue
        row, seeds = rows[name], len(rows[name].figures)
        cells = [
            _cell(row.of(c), [] if name == kind.reference else plain.of(c), noise[c], kind.digits) for c in kind.columns
        ]
        whole = all(row.of(c) for c in kind.columns)
        lines.append(
            [
                label + (f", {seeds} seeds" if seeds > 1 else ""),
                *cells,
                f"{sum(row.costs.values()):.0f}" if whole else "",
            ]
        )
    known = any(value is not None for value in noise.values())
    if known:
        differ = ["" if value is None else f"{value:.{kind.digits}f}" for value in noise.values()]
        lines.append(["*two seeds of one arm differ by*", *differ, ""])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{_legend(kind, known)}"


def _cell(values: Sequence[float], plain: Sequence[float], noise: float | None, digits: int) -> str:
    """Mean, spread over seeds where there are several, and difference to the plain arm."""
    if not values:
        return ""
    text = f"{fmean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")
    if not plain:
        return text
    more = fmean(values) - fmean(plain)
    mark = "**" if noise is not None and abs(more) > BEYOND * noise else ""
    return f"{text} ({mark}{more:+.{digits}f}{mark})"


def _noise(rows: Iterable[Row], column: str) -> float | None:
    """By how much two seeds of one arm differ, on average over all pairs; None where no arm has two."""
    apart = [abs(a - b) for row in rows for a, b in combinations(row.of(column), 2)]
    return fmean(apart) if apart else None


def _legend(kind: Table, known: bool) -> str:
    text = f'In brackets: the difference to "{kind.rows[kind.reference]}"'
    if not known:
        return f"{text}. No arm was trained with two seeds, so nothing says which differences mean something."
    return f"{text}; bold: more than {BEYOND:.0f} times what two seeds differ by. ± is the seeds' standard deviation."

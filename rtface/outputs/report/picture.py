"""The report as a PNG, for a mail or a slide."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from rtface.errors import OutputError, require
from rtface.outputs.report.data import Report
from rtface.outputs.report.page import label

ONE, TWO, THREE, SOFT = "#2f6fde", "#f08c2e", "#1f9d76", "#5b6576"


def picture(report: Report) -> bytes:
    """1600×1000 px.

    Raises:
        OutputError: matplotlib is not installed.
    """
    require("matplotlib", "report", OutputError)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 10), dpi=100, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    figure.suptitle(_headline(report), fontsize=17)
    axes = figure.subplot_mosaic([["time"] * 3, ["attention", "emotion", "heat"]])
    for one in axes.values():
        one.spines[["top", "right"]].set_visible(False)
        one.tick_params(colors=SOFT)
    _time(axes["time"], report)
    _bars(axes["attention"], report.total["attention_buckets"], "Watchers by attention, s", THREE)
    _bars(axes["emotion"], report.total["emotions"], "Visits by strongest emotion", ONE)
    _heat(axes["heat"], report)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _headline(report: Report) -> str:
    total = report.total
    words = [f"{label(report, report.starts[0])} to {label(report, report.starts[-1])}", f"{total['visits']} visits"]
    words += [] if total["watchers"] is None else [f"{total['watchers']} watchers"]
    ratio = total["attraction_ratio"]
    words += [] if ratio is None else [f"attraction {100 * ratio:.0f} %"]
    day = report.local_time(report.starts[0])
    return f"Audience, {day:%d %B %Y}: " + ", ".join(words)


def _time(axes: Any, report: Report) -> None:
    places = np.arange(len(report.starts))
    for shift, name, colour in ((-0.2, "visits", ONE), (0.2, "watchers", TWO)):
        values = [value or 0 for value in report.series(lambda one, name=name: one[name])]  # type: ignore[misc]
        axes.bar(places + shift, values, 0.4, color=colour, label=name)
    every = max(1, len(places) // 16)
    axes.set_xticks(places[::every], [label(report, start) for start in report.starts[::every]])
    axes.legend(frameon=False)
    axes.set_title("Visits and watchers")


def _bars(axes: Any, counts: dict[str, int | None], title: str, colour: str) -> None:
    told = {name: count for name, count in counts.items() if count is not None}
    axes.bar(list(told), list(told.values()), color=colour)
    axes.tick_params(axis="x", rotation=20)
    axes.set_title(title)


def _heat(axes: Any, report: Report) -> None:
    heat = report.total["heat"]
    axes.set_title("Where faces were")
    axes.set_xticks([])
    axes.set_yticks([])
    if heat.get("cells"):
        grid = np.zeros(heat["columns"] * heat["rows"])
        for cell, weight, _ in heat["cells"]:
            grid[int(cell)] = weight
        axes.imshow(np.sqrt(grid.reshape(heat["rows"], heat["columns"])), cmap="Oranges", interpolation="nearest")

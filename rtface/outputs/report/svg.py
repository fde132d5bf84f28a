"""Small charts as SVG for a page of its own: colours are the page's, values are told by a tooltip too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDE, HALF, HEIGHT = 720, 400, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 12, 34


class Series(NamedTuple):
    """Values of one name; the colour is a CSS class of the page."""

    name: str
    values: Sequence[float | None]
    colour: str


def nice_ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from 0 to at least `most`."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [step * number for number in range(math.ceil(most / step - 1e-9) + 1)]


class _Plot:
    """What bars and lines have in common: the scale, the grid and the labels under it."""

    def __init__(self, labels: Sequence[str], series: Sequence[Series], unit: str, width: int, height: int) -> None:
        self._labels, self._unit, self._width, self._height = labels, unit, width, height
        self._ticks = nice_ticks(max((value or 0.0 for one in series for value in one.values), default=0.0))
        self.slot = (width - LEFT - RIGHT) / max(len(labels), 1)
        self.floor = height - BOTTOM
        self.parts = [_axis(self._ticks, self.floor - TOP, width, unit), _labels(labels, self.slot, height)]

    def x(self, row: int) -> float:
        """The middle of a label's place."""
        return LEFT + self.slot * (row + 0.5)

    def y(self, value: float) -> float:
        """The height of a value."""
        return TOP + (self.floor - TOP) * (1 - value / self._ticks[-1])

    def told(self, row: int, value: float | None, name: str) -> str:
        """The tooltip of a value."""
        if value is None:
            return f"{self._labels[row]}: not told (too few visits)"
        return f"{self._labels[row]}: {_number(value)}{self._unit} {name}"

    def svg(self, title: str) -> str:
        return _svg(title, self._width, self._height, self.parts)


def bars(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    unit: str = "",
    width: int = WIDE,
    height: int = HEIGHT,
) -> str:
    """Bars side by side for each label; None is hatched: not told."""
    plot = _Plot(labels, series, unit, width, height)
    bar = min(plot.slot * 0.8 / len(series), 38)
    for place, one in enumerate(series):
        for row, value in enumerate(one.values):
            if value == 0.0:
                continue
            x, told = plot.x(row) + bar * (place - len(series) / 2), plot.told(row, value, one.name)
            top = plot.floor - 6 if value is None else plot.y(value)
            colour = "hidden" if value is None else one.colour
            plot.parts.append(_bar(x, top, bar, plot.floor - top, colour, told))
    return plot.svg(title)


def lines(
    labels: Sequence[str],
    series: Sequence[Series],
    *,
    title: str,
    unit: str = "",
    width: int = WIDE,
    height: int = HEIGHT,
) -> str:
    """A line a series with a dot for each value; None breaks it."""
    plot = _Plot(labels, series, unit, width, height)
    for one in series:
        path, pen = [], "M"
        for row, value in enumerate(one.values):
            if value is None:
                pen = "M"
                continue
            x, y, told = plot.x(row), plot.y(value), escape(plot.told(row, value, one.name))
            path.append(f"{pen}{x:.1f} {y:.1f}")
            pen = "L"
            plot.parts.append(
                f'<circle class="{one.colour}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{told}</title></circle>'
            )
        plot.parts.insert(2, f'<path class="line {one.colour}" d="{" ".join(path)}"/>')
    return plot.svg(title)


def heat_map(cells: Sequence[Sequence[float]], columns: int, rows: int, *, title: str, unit: str) -> str:
    """A map of the picture: each cell the darker the more of `unit` it has."""
    side = 20
    most = max((cell[1] for cell in cells), default=0.0) or 1.0
    parts = [f'<rect class="ground" width="{columns * side}" height="{rows * side}"/>']
    for cell, weight, visits in cells:
        row, column = divmod(int(cell), columns)
        told = escape(f"{_number(weight)} {unit} of {int(visits)} visits")
        parts.append(
            f'<rect class="heat" x="{column * side}" y="{row * side}" width="{side}" height="{side}" '
            f'opacity="{0.12 + 0.88 * math.sqrt(weight / most):.2f}"><title>{told}</title></rect>'
        )
    size = f"0 0 {columns * side} {rows * side}"
    return f'<svg viewBox="{size}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _svg(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'


def _bar(x: float, y: float, width: float, height: float, colour: str, told: str) -> str:
    return (
        f'<rect class="{colour}" x="{x:.1f}" y="{y:.1f}" width="{max(width - 1, 1):.1f}" height="{height:.1f}" rx="2">'
        f"<title>{escape(told)}</title></rect>"
    )


def _axis(ticks: Sequence[float], plot_h: float, width: int, unit: str) -> str:
    parts = []
    for tick in ticks:
        y = TOP + plot_h * (1 - tick / ticks[-1])
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{width - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(
            f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}{unit}</text>'
        )
    return "".join(parts)


def _labels(labels: Sequence[str], slot: float, height: int) -> str:
    widest = max((len(label) for label in labels), default=1)
    every = max(1, math.ceil(widest * 7.5 / slot))
    return "".join(
        f'<text class="tick" x="{LEFT + slot * (row + 0.5):.1f}" y="{height - 14}" text-anchor="middle">{escape(label)}'
        "</text>"
        for row, label in enumerate(labels)
        if row % every == 0
    )


def _number(value: float) -> str:
    return f"{value:.0f}" if value == round(value) or value >= 100 else f"{value:.3g}"

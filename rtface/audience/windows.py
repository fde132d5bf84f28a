"""Visits by the quarter of an hour, the hour and the day: aligned to the clock on the wall, DST included."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any

import numpy as np

from rtface.audience.visits import GRID_WH, Visit
from rtface.errors import OptionError

#: Minutes of the windows that are no day.
SPANS: Mapping[str, int] = {"15min": 15, "1h": 60, "1d": 1440}
#: Where the buckets of attention begin, s (signiq's).
BUCKETS_S = (0.0, 5.0, 15.0, 30.0, 60.0)
BUCKET_NAMES = ("0-5", "5-15", "15-30", "30-60", "60+")


@dataclass(frozen=True, slots=True)
class Spread:
    """Seconds of many visits: their sum, mean, median and 90th percentile; None of no visit."""

    total_s: float
    mean_s: float | None
    median_s: float | None
    p90_s: float | None

    @classmethod
    def of(cls, seconds: Iterable[float]) -> Spread:
        """Of each visit's seconds."""
        values = np.fromiter(seconds, np.float64)
        if not values.size:
            return cls(0.0, None, None, None)
        median, p90 = np.percentile(values, (50, 90)).tolist()
        return cls(float(values.sum()), float(values.mean()), median, p90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The visits that began within a span of time before one camera.

    Attributes:
        camera: Which camera; empty where there is one.
        span: "15min", "1h" or "1d".
        start, end: Seconds since 1970.
        visits: How many began in it.
        watchers: How many of those looked at least once.
        looks: How often they did.
        dwell: Of all visits.
        attention: Of the watchers.
        buckets: Watchers by their attention: 0-5, 5-15, 15-30, 30-60, 60+ s.
        smilers: Visits with a smile.
        smiles: Their smiles.
        emotions: Strongest emotion → visits.
        busiest: The minute (its start) in which most visits began, and how many.
        heat: Cell (row × 32 + column) → seconds, and of how many visits.
        attraction: Attention to dwell of the watchers, 0..1; None without a watcher.
    """

    camera: str
    span: str
    start: float
    end: float
    visits: int
    watchers: int
    looks: int
    dwell: Spread
    attention: Spread
    buckets: tuple[int, ...]
    smilers: int
    smiles: int
    emotions: Mapping[str, int]
    busiest: tuple[float, int] | None
    heat: Mapping[int, tuple[float, int]] = field(default_factory=dict)
    attraction: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers rounded, times in UTC as ISO 8601."""
        return {
            "camera": self.camera,
            "span": self.span,
            "start": utc_iso(self.start),
            "end": utc_iso(self.end),
            "visits": self.visits,
            "watchers": self.watchers,
            "looks": self.looks,
            "dwell_s": _rounded(self.dwell),
            "attention_s": _rounded(self.attention),
            "attention_buckets": dict(zip(BUCKET_NAMES, self.buckets, strict=True)),
            "attraction_ratio": None if self.attraction is None else round(self.attraction, 3),
            "smilers": self.smilers,
            "smiles": self.smiles,
            "emotions": dict(self.emotions),
            "busiest_minute": None
            if self.busiest is None
            else {"start": utc_iso(self.busiest[0]), "visits": self.busiest[1]},
            "heat": {
                "columns": GRID_WH[0],
                "rows": GRID_WH[1],
                "cells": [[cell, round(seconds, 1), visits] for cell, (seconds, visits) in sorted(self.heat.items())],
            },
        }


def _rounded(spread: Spread) -> dict[str, float | None]:
    values = {"total": spread.total_s, "mean": spread.mean_s, "median": spread.median_s, "p90": spread.p90_s}
    return {name: None if value is None else round(value, 2) for name, value in values.items()}


def window_of(visits: Iterable[Visit], camera: str, span: str, start: float, end: float) -> Window:
    """The figures of visits that all began from `start` to before `end`."""
    visits = list(visits)
    watchers = [visit for visit in visits if visit.is_watcher]
    attention = [visit.attention_s for visit in watchers]
    dwell_s = sum(visit.dwell_s for visit in watchers)
    minutes = Counter(visit.started_at // 60 * 60 for visit in visits)
    busiest = min(minutes.items(), key=lambda one: (-one[1], one[0]), default=None)
    in_bucket = Counter(int(np.searchsorted(BUCKETS_S, seconds, side="right")) - 1 for seconds in attention)
    heat: dict[int, tuple[float, int]] = {}
    for visit in visits:
        for cell, seconds in visit.cells.items():
            before = heat.get(cell, (0.0, 0))
            heat[cell] = (before[0] + seconds, before[1] + 1)
    return Window(
        camera=camera,
        span=span,
        start=start,
        end=end,
        visits=len(visits),
        watchers=len(watchers),
        looks=sum(visit.looks for visit in visits),
        dwell=Spread.of(visit.dwell_s for visit in visits),
        attention=Spread.of(attention),
        buckets=tuple(in_bucket[number] for number in range(len(BUCKETS_S))),
        smilers=sum(visit.smiles > 0 for visit in visits),
        smiles=sum(visit.smiles for visit in visits),
        emotions=dict(Counter(visit.emotion for visit in visits if visit.emotion is not None).most_common()),
        busiest=busiest,
        heat=heat,
        attraction=min(sum(attention) / dwell_s, 1.0) if dwell_s > 0 else None,
    )


def windows(visits: Iterable[Visit], span: str, zone: tzinfo | None = None) -> list[Window]:
    """Windows of one span, by camera and time; those in which nobody came are left out.

    Args:
        visits: In any order.
        span: "15min", "1h" or "1d".
        zone: Whose clock; None = this machine's.
    """
    groups: dict[tuple[str, float, float], list[Visit]] = {}
    for visit in visits:
        groups.setdefault((visit.camera, *bounds(visit.started_at, span, zone)), []).append(visit)
    return [
        window_of(group, camera, span, start, end) for (camera, start, end), group in sorted(groups.items(), key=_key)
    ]


def _key(item: tuple[tuple[str, float, float], list[Visit]]) -> tuple[str, float, float]:
    return item[0]


def bounds(at: float, span: str, zone: tzinfo | None = None) -> tuple[float, float]:
    """Start and end (seconds since 1970) of the window that `at` is in, aligned to the local clock.

    A day is from midnight to midnight, 23 or 25 hours long when the clock is changed. The hour that comes twice in
    autumn is two windows.

    Raises:
        OptionError: The span is not one of `SPANS`.
    """
    if span not in SPANS:
        raise OptionError("window", f"expected one of {', '.join(SPANS)}, got {span!r}", "Name one of them")
    here = local(at, zone)
    if span == "1d":
        return _midnight(here, zone), _midnight(here + timedelta(days=1), zone)
    minutes = SPANS[span]
    since = (here.hour * 60 + here.minute) % minutes * 60 + here.second + here.microsecond / 1e6
    start, end = at - since, at - since + minutes * 60
    # A clock that is changed within the span (by half an hour on Lord Howe) ends one window and begins the next.
    start = round(_change(start, at, zone, late=True) or start)
    return start, round(_change(at, end, zone, late=False) or end)


def local(at: float, zone: tzinfo | None) -> datetime:
    """The local time, with its offset."""
    return datetime.fromtimestamp(at, timezone.utc).astimezone(zone)


def _midnight(day: datetime, zone: tzinfo | None) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()  # naive = this machine's zone


def _change(start: float, end: float, zone: tzinfo | None, *, late: bool) -> float | None:
    """When the clock is changed strictly between the two; None = not at all."""
    offset: Callable[[float], timedelta | None] = lambda at: local(at, zone).utcoffset()  # noqa: E731
    before, after = offset(start), offset(end if late else end - 1)
    if before == after:
        return None
    low, high = start, end
    while high - low > 0.5:
        middle = (low + high) / 2
        low, high = (middle, high) if offset(middle) == before else (low, middle)
    return round(high)


def utc_iso(at: float) -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at, timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")

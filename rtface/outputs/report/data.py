"""What a report shows, read from a database of visits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from rtface.audience.publish import WindowPublisher
from rtface.audience.windows import BUCKET_NAMES, bounds, local, utc_iso, window_of
from rtface.errors import InputError
from rtface.outputs.visit_store import DAY_S, VisitStore

#: Up to so many days are shown by the hour, more by the day.
DAYS_BY_HOUR = 3.0

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Report:
    """Figures for a page.

    Attributes:
        name: Of the database.
        span: Of the windows.
        windows: Their records in order; those without a visit, or under k, are not among them.
        total: Of all together, in the same form; what cannot be told is None.
        starts: Every window's start from the first to the last, seconds since 1970, whether there is a record or not.
        zone: Whose clock; None = this machine's.
        k: Least visits in anything shown; 0 = all is.
        cameras: Their names.
    """

    name: str
    span: str
    windows: tuple[Record, ...]
    total: Record
    starts: tuple[float, ...]
    zone: tzinfo | None
    k: int
    cameras: tuple[str, ...]

    def local_time(self, at: float) -> datetime:
        """A moment on the clock of the report."""
        return local(at, self.zone)

    def series(self, value: Callable[[Record], float | None]) -> list[float | None]:
        """A value for each of `starts`, summed over cameras; None where nothing may be told."""
        by_start: dict[str, list[float]] = {}
        for record in self.windows:
            if (number := value(record)) is not None:
                by_start.setdefault(record["start"], []).append(number)
        found = [by_start.get(utc_iso(start)) for start in self.starts]
        return [sum(numbers) if numbers else (None if self.k else 0.0) for numbers in found]


def read(
    store: VisitStore,
    *,
    span: str | None = None,
    since: float = 0.0,
    until: float = 1e12,
    camera: str | None = None,
    zone: tzinfo | None = None,
    k: int = 0,
) -> Report:
    """The report of a span of time.

    Args:
        store: An open database.
        span: "15min", "1h" or "1d"; None = by the hour up to three days, by the day beyond.
        since, until: Seconds since 1970.
        camera: One of the cameras; None = all.
        zone: Whose clock; None = this machine's.
        k: Suppress what tells of fewer visits; a database of `--privacy aggregate` holds nothing else anyway.

    Raises:
        SourceError: The database cannot be read.
        InputError: There is nothing in it of that time.
    """
    aggregate = store.facts().get("privacy") == "aggregate"
    visits = list(store.visits(since, until, camera))
    if visits:
        first, last = visits[0].started_at, visits[-1].started_at
        span = span or ("1h" if last - first <= DAYS_BY_HOUR * DAY_S else "1d")
    if k and visits:
        publisher = WindowPublisher(span if span in ("15min", "1h") else "1h", k, zone)
        for visit in visits:
            publisher.add(visit)
        published = [record for _, record in publisher.close(float("inf"))]
    elif visits:
        found = store.windows(span or "1h", since, until, camera, zone)
        total = window_of(visits, camera or "", span or "1h", first, last)
        heat = _sum_heat(window.to_dict() for window in found)
        return _report(store, [window.to_dict() for window in found], {**total.to_dict(), "heat": heat}, zone, 0)
    else:
        published = [*store.published("1h", since, until), *store.published("1d", since, until)]
        published = [record for record in published if camera in (None, record["camera"])]
    if not published:
        why = "holds no window of enough visits" if aggregate or k else "holds no visit of that time"
        raise InputError(str(store.path), why, "Let rtface run longer, or ask for another time")
    parts = [record for record in published if record["span"] != "1d"]
    days = [record for record in published if record["span"] == "1d"]
    shown = days if span == "1d" else parts or days
    return _report(store, shown or published, combined(days or parts), zone, k or 5)


def _report(store: VisitStore, records: Sequence[Record], total: Record, zone: tzinfo | None, k: int) -> Report:
    span = str(records[0]["span"])
    first, last = (seconds(records[row]["start"]) for row in (0, -1))
    starts = [bounds(first, span, zone)[0]]
    while starts[-1] < bounds(last, span, zone)[0]:
        starts.append(bounds(starts[-1], span, zone)[1])
    cameras = tuple(sorted({record["camera"] for record in records}))
    return Report(store.path.name, span, tuple(records), total, tuple(starts), zone, k, cameras)


def seconds(text: str) -> float:
    """Seconds since 1970 of a record's time."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def combined(records: Sequence[Record]) -> Record:
    """Sums and weighted means of records of which some values may be None."""

    def weighted(name: str, weight: str) -> dict[str, float | None]:
        told = [one for one in records if one[name] and one[name]["mean"] is not None and one[weight]]
        count = sum(one[weight] for one in told)
        mean = sum(one[name]["mean"] * one[weight] for one in told) / count if count else None
        same = told[0][name] if len(told) == 1 else {"median": None, "p90": None}
        return {"total": None, "mean": mean, "median": same["median"], "p90": same["p90"]}

    ratios = [one for one in records if one["attraction_ratio"] is not None]
    watchers = sum(one["watchers"] for one in ratios)
    return {
        **{name: _sum(one[name] for one in records) for name in ("visits", "watchers", "looks", "smilers", "smiles")},
        "start": records[0]["start"],
        "end": records[-1]["end"],
        "dwell_s": weighted("dwell_s", "visits"),
        "attention_s": weighted("attention_s", "watchers"),
        "attraction_ratio": sum(one["attraction_ratio"] * one["watchers"] for one in ratios) / watchers
        if watchers
        else None,
        "attention_buckets": {name: _sum(one["attention_buckets"][name] for one in records) for name in BUCKET_NAMES},
        "emotions": {
            name: _sum(one["emotions"].get(name) for one in records)
            for name in dict.fromkeys(name for one in records for name in one["emotions"])
        },
        "busiest_minute": max(
            (one["busiest_minute"] for one in records if one["busiest_minute"]),
            key=lambda one: int(one["visits"]),
            default=None,
        ),
        "heat": _sum_heat(records),
    }


def _sum(numbers: Iterable[int | None]) -> int | None:
    told = [number for number in numbers if number is not None]
    return sum(told) if told else None


def _sum_heat(records: Iterable[Record]) -> Record:
    total: Counter[int] = Counter()
    count: Counter[int] = Counter()
    heat: Record = {}
    for record in records:
        heat = record["heat"]
        for cell, weight, visits in heat["cells"]:
            total[cell] += weight
            count[cell] += visits
    return {**heat, "cells": [[cell, total[cell], count[cell]] for cell in sorted(total)]}

"""Whether the audience counts right, and how fast: a made day of 24 hours whose every visit is known.

    python benchmarks/audience.py --visits 3000 -o day.db     # then: rtface report day.db -o day.html
    python benchmarks/audience.py --resume day.jsonl --minutes 5   # a part at a time, until it says that it is done

Prints how far visits, dwell and attention are from the truth at a camera's frame rate, at half and a quarter of it, and
with dropped frames, and the cost of one result; the last line is JSON. A look is seen on frames only, so that each of
its ends is unsure by half a frame: a visit of many looks at few frames a second cannot be known better.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtface.audience.events import Audience
from rtface.audience.visits import Visit
from rtface.bench.people import Person, results
from rtface.outputs.visit_store import VisitStore

#: Visits by the hour of a shop that opens at eight and closes at ten.
CURVE = (0, 0, 0, 0, 0, 1, 2, 4, 10, 18, 25, 33, 42, 36, 30, 32, 40, 52, 46, 30, 16, 8, 2, 1)


def people_of_day(count: int, rng: np.random.Generator) -> list[Person]:
    """So many people over 24 hours, in the order of their coming; two in three look, one in ten smiles."""
    share = np.array(CURVE) / sum(CURVE)
    hours = np.repeat(np.arange(24), rng.multinomial(count, share))
    starts = np.sort((hours + rng.random(count)) * 3600)
    return [_person(number, float(start), rng) for number, start in enumerate(starts, 1)]


def _person(number: int, start: float, rng: np.random.Generator) -> Person:
    stay = 1.5 + float(rng.lognormal(2.0, 0.9))
    end = start + min(stay, 300.0)
    looks: list[tuple[float, float]] = []
    at = start + float(rng.uniform(0.4, 2.0))
    while rng.random() < 0.62 and at + 1.2 < end:
        until = min(at + 0.8 + float(rng.lognormal(1.0, 0.8)), end - 0.2)
        looks.append((at, until))
        at = until + float(rng.uniform(1.2, 4.0))
    smiles = [(looks[0][0], min(looks[0][0] + 1.5, looks[0][1]))] if looks and rng.random() < 0.15 else []
    x = float(np.clip(rng.normal(150, 50), 30, 290))
    side = float(rng.uniform(24, 130))  # the nearer, the higher in the picture
    y = float(rng.normal(120 - 0.45 * side, 9))
    return Person(number, [(start, end)], looks, smiles, side=side, x=x, y=y)


def groups(people: list[Person]) -> list[list[Person]]:
    """Those who are there together; between groups nothing need be simulated."""
    found: list[list[Person]] = []
    until = -1e9
    for person in people:
        if person.here[0][0] > until + 8.0:
            found.append([])
        found[-1].append(person)
        until = max(until, person.here[-1][1])
    return found


@dataclass
class Part:
    """What the audience made of some people: visits, the number of results, and seconds of work for all of them."""

    visits: list[Visit] = field(default_factory=list)
    results: int = 0
    busy_s: float = 0.0

    def add(self, other: Part) -> None:
        """Join another one."""
        self.visits += other.visits
        self.results += other.results
        self.busy_s += other.busy_s


def simulate(group: list[Person], fps: float, dropped: float, midnight: float, seed: int) -> Part:
    """What the audience sees of people who are there together."""
    part = Part()
    audience = Audience(on_visit=part.visits.append, live=True)
    begin = group[0].here[0][0] - 2.0
    span = max(person.here[-1][1] for person in group) + 4.0 - begin
    moved = [_moved(person, -begin) for person in group]
    for result in results(moved, span, fps, dropped=dropped, seed=seed, start=begin):
        before = time.perf_counter()
        audience.observe(result, utc=midnight + result.captured_at)
        part.busy_s += time.perf_counter() - before
        part.results += 1
    audience.finish()
    return part


class Progress:
    """Parts that are done, kept in a file of JSON lines, so that a long run can be cut."""

    def __init__(self, path: Path | None, asked: dict[str, Any]) -> None:
        self._path, self._done = path, dict[tuple[int, int], Part]()
        lines = path.read_text().splitlines() if path is not None and path.exists() else []
        if not lines:
            self._append(asked)
        elif json.loads(lines[0]) != asked:
            raise SystemExit(f"{path} is of other settings: {lines[0]}")
        for line in lines[1:]:
            with suppress(ValueError):  # the last one of a run that was killed
                row, group, visits, count, busy_s = json.loads(line)
                self._done[row, group] = Part([_visit(one) for one in visits], count, busy_s)

    def part(self, row: int, group: int) -> Part | None:
        """What was done before."""
        return self._done.get((row, group))

    def keep(self, row: int, group: int, part: Part) -> None:
        """This is done."""
        visits = [{**asdict(visit), "cells": dict(visit.cells)} for visit in part.visits]
        self._append([row, group, visits, part.results, part.busy_s])

    def _append(self, record: Any) -> None:
        if self._path is not None:
            with self._path.open("a") as file:
                file.write(json.dumps(record) + "\n")


def _visit(record: dict[str, Any]) -> Visit:
    return Visit(**{**record, "cells": {int(cell): seconds for cell, seconds in record["cells"].items()}})


def _moved(person: Person, by: float) -> Person:
    here, looks, smiles = (
        [(start + by, end + by) for start, end in spans] for spans in (person.here, person.looks, person.smiles)
    )
    return replace(person, here=here, looks=looks, smiles=smiles)


ROWS = ((1.0, 0.0), (0.5, 0.0), (1.0, 0.2), (0.25, 0.0))
"""Shares of --fps, and shares of frames that are lost."""


def main() -> None:
    """Simulate, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--visits", type=int, default=3000)
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("-o", "--output", type=Path, help="write the visits of the first row to this database")
    parser.add_argument("--resume", type=Path, help="keep what is done in this file, and go on from there")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many; needs --resume")
    arguments = parser.parse_args()
    people = people_of_day(arguments.visits, np.random.default_rng(0))
    midnight = time.time() // 86400 * 86400 - 86400
    asked = {"visits": arguments.visits, "fps": arguments.fps}
    progress = Progress(arguments.resume, asked)
    until = time.monotonic() + 60 * arguments.minutes
    parts: list[Part] = []
    for number, (fps, dropped) in enumerate(ROWS):
        parts.append(whole := Part())
        for done, group in enumerate(groups(people)):
            part = progress.part(number, done)
            if part is None:
                if time.monotonic() > until:
                    raise SystemExit(f"row {number + 1} of {len(ROWS)}, {len(whole.visits)} visits: call it again")
                part = simulate(group, arguments.fps * fps, dropped, midnight, whole.results)
                progress.keep(number, done, part)
            whole.add(part)
    if arguments.output:
        with VisitStore(arguments.output, write=True) as store:
            store.add(parts[0].visits)
    print_rows(parts, people, arguments.fps)


def print_rows(parts: list[Part], people: list[Person], fps: float) -> None:
    """A table, and its figures as JSON."""
    truth = {person.track_id: person for person in people}
    rows: list[dict[str, float]] = []
    print(f"{'frames':<22} {'visits':>12} {'dwell off, s':>20} {'attention off, s':>20} {'watchers':>14} {'us':>6}")
    for part, (share, dropped) in zip(parts, ROWS, strict=True):
        row, us = compared(part.visits, truth), 1e6 * part.busy_s / max(part.results, 1)
        rows.append({"fps": fps * share, "dropped": dropped, "us": round(us, 1), **row})
        name = f"{fps * share:g} fps, {100 * dropped:.0f} % dropped"
        print(
            f"{name:<22} {row['visits']:>5} of {len(people):<4}"
            f" p50 {row['dwell_p50']:.2f} max {row['dwell_max']:.2f}    p50 {row['attention_p50']:.2f}"
            f" max {row['attention_max']:.2f} {row['watchers']:>6} of {row['watchers_truth']} {us:>6.1f}"
        )
    print(json.dumps({"benchmark": "audience", "rows": rows}))


def compared(visits: list[Visit], truth: dict[int, Person]) -> dict[str, float]:
    """How far the visits are from what people did."""
    dwell = np.array([abs(visit.dwell_s - truth[visit.track_id].dwell_s) for visit in visits])
    attention = np.array([abs(visit.attention_s - truth[visit.track_id].attention_s) for visit in visits])
    return {
        "visits": len(visits),
        "dwell_p50": round(float(np.median(dwell)), 3),
        "dwell_max": round(float(dwell.max()), 3),
        "attention_p50": round(float(np.median(attention)), 3),
        "attention_max": round(float(attention.max()), 3),
        "watchers": sum(visit.is_watcher for visit in visits),
        "watchers_truth": sum(bool(person.looks) for person in truth.values()),
    }


if __name__ == "__main__":
    main()

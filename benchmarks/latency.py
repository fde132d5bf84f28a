"""Live runs on a simulated camera under three loads, and a stream's memory over half an hour.

    python benchmarks/latency.py                          # the three loads, a minute each
    python benchmarks/latency.py --only one-face --seconds 30 --timelines FOLDER
    python benchmarks/latency.py --only memory            # 54,000 frames as fast as they go (minutes)

- `one-face`: one face, 30 fps, 640x480, budget 33 ms: full level, p95 of the age at most 20 ms, none late.
- `three-loaded`: three faces while a second process takes one core, budget 33 ms: at most 2 % late and 6 level changes
  a minute.
- `tight`: one face, budget 8 ms: landmarks of the largest face are still there, at most 0.25 s old.
- `bursts`: 0 to 8 faces, 3 s each, while a second process takes a core on and off, budget 33 ms: to look at.
- `memory`: 30 simulated minutes of one and three faces by turns: resident memory within 2 MB after the first minute.

Prints each run's figures and what was asked for, then one JSON line a run; `--json` appends those to a file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.live import LiveRun, LiveSetup, record, run_live
from rtface.bench.live_report import live_text
from rtface.bench.load import LoadPlan
from rtface.bench.scene import Bursts, Scene, scene_of
from rtface.bench.steady import MINUTES, steady_memory
from rtface.bench.timeline import timeline
from rtface.errors import RtfaceError
from rtface.options import Options
from rtface.outputs.open import check_writable
from rtface.system import machine

SCHEMA = "rtface.latency/1"


@dataclass(frozen=True, slots=True)
class Case:
    """One load: faces, the second process, the budget."""

    faces: Bursts
    budget_ms: float
    load: LoadPlan | None = None


CASES = {
    "one-face": Case(Bursts((1,)), 33.0),
    "three-loaded": Case(Bursts((3,)), 33.0, LoadPlan(3600.0)),
    "tight": Case(Bursts((1,)), 8.0),
    "bursts": Case(Bursts(tuple(range(9)), 3.0), 33.0, LoadPlan(5.0, 5.0)),
}
MEMORY = "memory"
GROWTH_MB = 2.0


def targets(name: str, figures: dict[str, Any]) -> list[tuple[str, float | None, str, float]]:
    """What is asked of a run: what, its value, "<=" or ">=", the bound."""
    if name == "one-face":
        full = sum(seconds for level, seconds in figures["levels_s"].items() if level == "0 full")
        return [
            ("p95 of the age, ms", figures["age_ms"]["p95"], "<=", 20.0),
            ("late results", figures["late"], "<=", 0.0),
            ("share of full level, %", 100 * full / sum(figures["levels_s"].values()), ">=", 100.0),
        ]
    if name == "three-loaded":
        return [
            ("late results, %", figures["late_pct"], "<=", 2.0),
            ("level changes a minute", figures["moves_per_min"], "<=", 6.0),
        ]
    if name == "tight":
        return [
            ("largest face with landmarks, %", figures["largest_face"]["landmarks_pct"], ">=", 99.0),
            ("p95 of their age, ms", figures["largest_face"]["landmarks_age_p95_ms"], "<=", 250.0),
        ]
    if name == MEMORY:
        return [("spread after the first minute, MB", figures["spread_mb"], "<=", GROWTH_MB)]
    return []


def holds(value: float | None, relation: str, bound: float) -> bool:
    """Whether a target is met; a figure that is not known meets none."""
    return value is not None and (value <= bound if relation == "<=" else value >= bound)


def live_case(name: str, scene: Scene, seconds: float, options: dict[str, Any]) -> tuple[LiveRun, dict[str, Any]]:
    """Run one load."""
    case = CASES[name]
    setup = LiveSetup(seconds=seconds, bursts=case.faces, load=case.load)
    run = run_live(setup, Options.load(env={}, **{"budget_ms": case.budget_ms, **options}), scene)
    return run, record(run)


def memory_case(scene: Scene, minutes: float, options: dict[str, Any]) -> dict[str, Any]:
    """Run the half hour."""
    asked = Options.load(env={}, **{"budget_ms": 33.0, **options})
    return steady_memory(asked, scene, Bursts((1, 3), 10.0), minutes=minutes)


def memory_text(figures: dict[str, Any]) -> str:
    """The memory after some of the minutes."""
    some = [f"{mb:.1f}" for mb in figures["rss_mb"][:: max(1, len(figures["rss_mb"]) // 8)] if mb is not None]
    return f"{figures['frames']} frames, {figures['minutes']} simulated minutes; resident MB: {', '.join(some)}"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*CASES, MEMORY]
    parser.add_argument("--only", action="append", choices=names, help="this one; repeatable (default: all but memory)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each live run (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="simulated, of memory (default: %(default)s)")
    parser.add_argument("--clip", default="demo", help="a video of one face; default: the demo clip")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--timelines", type=Path, metavar="FOLDER", help="write NAME.png of every live run there")
    parser.add_argument("--json", type=Path, help="append the JSON lines to this file too")
    args = parser.parse_args(given)
    if not (args.seconds > 0 and args.minutes >= 1):
        parser.error("--seconds must be above 0, --minutes at least 1")
    args.options = dict(setting.partition("=")[::2] for setting in args.set)
    return args


def run_case(name: str, args: argparse.Namespace, scene: Scene) -> dict[str, Any]:
    """Run one case, print what people read, and return its record."""
    facts = machine.facts()
    if name == MEMORY:
        figures = memory_case(scene, args.minutes, args.options)
        text = memory_text(figures)
    else:
        run, figures = live_case(name, scene, args.seconds, args.options)
        text = live_text(figures)
        if args.timelines is not None:
            path = args.timelines / f"{name}.png"
            if not cv2.imwrite(str(path), timeline(run, f"{name}: {args.clip}")):
                print(f"{path}: could not be written", file=sys.stderr)
    asked = targets(name, figures)
    print(f"== {name}\n{text}")
    for what, value, relation, bound in asked:
        shown = "unknown" if value is None else f"{value:.2f}"
        print(f"{what:<36} {shown:>8}   asked {relation} {bound:g}: {'ok' if holds(value, relation, bound) else 'NO'}")
    met = all(holds(value, relation, bound) for _, value, relation, bound in asked)
    return {"schema": SCHEMA, "case": name, "met": met, **figures, "options": args.options, "machine": facts}


def main() -> None:
    args = arguments()
    if args.timelines is not None:
        args.timelines.mkdir(parents=True, exist_ok=True)
    try:
        if args.json:
            check_writable(args.json, overwrite=True)
        scene = scene_of(args.clip)
        met = [shown(run_case(name, args, scene), args.json) for name in args.only or CASES]
    except RtfaceError as error:
        sys.exit(f"benchmarks/latency.py: {error}")
    sys.exit(0 if all(met) else 5)


def shown(record: dict[str, Any], path: Path | None) -> bool:
    """Print a record and keep it as soon as it is there; whether its targets are met."""
    line = json.dumps(record)
    print(line, flush=True)
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return bool(record["met"])


if __name__ == "__main__":
    main()

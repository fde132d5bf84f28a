"""Several cameras on one box: figures to reach, fairness, what sharing the networks saves, and a soak.

    python benchmarks/cameras.py                     # all but soak, under 3 minutes on a quiet machine
    python benchmarks/cameras.py --only four --only ratio
    python benchmarks/cameras.py --only soak --minutes 10

Frames are made in memory (640x480, a clip's face); decoding would come on top of it and is not counted here.

- `four`: 4 cameras at 30 fps, one face each, budget 33 ms: full level, age p95 at most 33 ms, 0.5 % late at most.
- `eight`: 8 of them, budget 66 ms: landmarks for every largest face, p95 at most 66 ms, at most 6 level moves a minute.
- `fairness`: 6 cameras side by side, budget 66 ms: one steady, one with bursts of 0 to 6 faces, one that decodes for
  40 ms, one at 5 fps, one at 60, one that is lost every second: nobody goes without a result for 0.5 s (the lost one:
  for 1 s, its absence included).
- `ratio`: CPU time a frame of 4 cameras on one set of networks over that of 4 separate streams in one process, each arm
  in a process of its own, interleaved, medians; the same work in both (level 0, a budget that nothing misses), without
  what making the frames costs. At most 0.85. Memory a camera beyond the first at most 60 MB; threads at most 2 a
  camera + 6. On a busy machine frames are dropped, more often by one arm than by the other, and the ratio says little.
- `batch`: CPU time a frame of the same frames by ones, twos and fours, over each stream alone; says the same on a busy
  machine.
- `detector`: CPU and wall time a frame of the detector on several frames in one call, over one after another.
- `soak`: a camera is added and one removed every second; resident memory and threads at the start and at the end.

Prints each case's figures and what was asked for, then one JSON line a case; `--json` appends those to a file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.analyzer import Analyzer
from rtface.analyzer.together import StreamFrame
from rtface.bench.cameras import (
    CameraPlan,
    PlannedCamera,
    cameras_record,
    cameras_table,
    phases,
    run_cameras,
    steady,
    thread_count,
)
from rtface.bench.live_report import live_text
from rtface.bench.scene import Bursts, Scene, scene_of
from rtface.cameras import Cameras
from rtface.capture.named import NamedSource
from rtface.detect import BatchDetector
from rtface.errors import RtfaceError
from rtface.options import Options
from rtface.outputs.open import check_writable
from rtface.stream import Stream
from rtface.system import machine
from rtface.system.clock import SystemClock
from rtface.testing import FakeClock
from rtface.types import Frame

SCHEMA = "rtface.cameras/1"
AMPLE_MS = 2000.0
"""A budget that nothing misses: both arms then do the same work."""

Target = tuple[str, "float | None", str, float]

FAIRNESS = (
    CameraPlan("steady"),
    CameraPlan("bursts", bursts=Bursts((0, 1, 2, 4, 6), 2.0)),
    CameraPlan("slow", decode_s=0.040),
    CameraPlan("5-fps", fps=5.0),
    CameraPlan("60-fps", fps=60.0),
    CameraPlan("lost-each-second", lost_every_s=1.0),
)
GAP_S = 0.5


def four(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Four cameras."""
    figures = cameras_record(run_cameras(steady(4), options(33.0, args), scene, args.seconds))
    full = sum(seconds for level, seconds in figures["levels_s"].items() if level == "0 full")
    asked: list[Target] = [
        ("p95 of the age, ms", figures["age_ms"]["p95"], "<=", 33.0),
        ("late results, %", figures["late_pct"], "<=", 0.5),
        ("share of full level, %", 100 * full / sum(figures["levels_s"].values()), ">=", 100.0),
    ]
    return figures, f"{live_text(figures)}\n{cameras_table(figures)}", asked


def eight(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Eight cameras."""
    figures = cameras_record(run_cameras(steady(8), options(66.0, args), scene, args.seconds))
    asked: list[Target] = [
        ("p95 of the age, ms", figures["age_ms"]["p95"], "<=", 66.0),
        ("largest face with landmarks, %", figures["largest_face"]["landmarks_pct"], ">=", 99.5),
        ("level moves a minute", figures["moves_per_min"], "<=", 6.0),
        ("longest time without a result, s", longest(figures), "<=", GAP_S),
    ]
    return figures, f"{live_text(figures)}\n{cameras_table(figures)}", asked


def fairness(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Cameras of all kinds side by side."""
    figures = cameras_record(run_cameras(FAIRNESS, options(66.0, args), scene, args.seconds))
    others = {name: one for name, one in figures["cameras"].items() if name != "lost-each-second"}
    asked: list[Target] = [
        ("longest time without a result, s", longest({"cameras": others}), "<=", GAP_S),
        ("the lost one's, s", longest(figures), "<=", 2 * GAP_S),
        ("the steady one's p95 of the age, ms", figures["cameras"]["steady"]["age_ms"]["p95"], "<=", 66.0),
    ]
    return figures, f"{live_text(figures)}\n{cameras_table(figures)}", asked


def longest(figures: dict[str, Any]) -> float | None:
    """The longest time that a camera was without a result."""
    gaps = [one.get("longest_gap_s") for one in figures["cameras"].values()]
    return None if None in gaps else max(gaps)


def ratio(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Both arms, by turns, each in a process of its own."""
    found: dict[str, list[dict[str, Any]]] = {"together": [], "separate": [], "one": []}
    for _ in range(args.rounds):
        for arm in ("together", "separate", "one"):
            found[arm].append(in_a_process(arm, args))
    arms = {arm: {name: median(one[name] for one in runs) for name in runs[0]} for arm, runs in found.items()}
    together, separate, one = arms["together"], arms["separate"], arms["one"]
    figures = {
        "arms": arms,
        "runs": found,
        "cpu_ratio": round(together["cpu_ms"] / separate["cpu_ms"], 3),
        "mb_a_camera": round((together["rss_mb"] - one["rss_mb"]) / (args.cameras - 1), 1),
        "mb_a_stream": round((separate["rss_mb"] - one["rss_mb"]) / (args.cameras - 1), 1),
    }
    lines = [f"{'arm':<10} {'CPU ms a frame':>15} {'results/s':>10} {'MB':>7} {'threads':>8}"]
    lines += [
        f"{arm:<10} {one['cpu_ms']:>15.2f} {one['per_s']:>10.1f} {one['rss_mb']:>7.0f} {one['threads']:>8.0f}"
        for arm, one in arms.items()
    ]
    asked: list[Target] = [
        ("CPU a frame over separate streams", figures["cpu_ratio"], "<=", 0.85),
        ("MB a camera beyond the first", figures["mb_a_camera"], "<=", 60.0),
        ("threads", together["threads"], "<=", 2 * args.cameras + 6),
    ]
    return figures, "\n".join(lines), asked


def in_a_process(arm: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one arm by this script in a process of its own, for its memory and threads alone."""
    command = [sys.executable, __file__, "--arm", arm, "--cameras", str(args.cameras)]
    command += ["--arm-seconds", str(args.arm_seconds), "--fps", str(args.fps), "--clip", args.clip]
    command += [word for name, value in args.options.items() for word in ("--set", f"{name}={value}")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def run_arm(args: argparse.Namespace) -> dict[str, Any]:
    """What one arm costs: `together`, `separate`, or `one` camera alone among Cameras."""
    scene, clock = scene_of(args.clip), SystemClock()
    scene.warm((1,))
    count = 1 if args.arm == "one" else args.cameras
    total_s = 10.0 * args.arm_seconds + 60.0  # it is left before they end
    sources = [
        PlannedCamera(plan, scene, total_s, start, clock)
        for plan, start in zip(steady(count, args.fps), phases(count, args.fps), strict=True)
    ]
    chosen, over, frames = options(AMPLE_MS, args, level=0), threading.Event(), [0] * count
    base_mb = machine.resident_mb() or 0.0

    def follow(row: int) -> None:
        separate = args.arm == "separate"
        run = Stream(sources[row], live=True, options=chosen) if separate else Cameras(sources, options=chosen)
        with run:
            for _ in run:
                frames[row] += 1
                if over.is_set():
                    break

    def spent_s() -> float:
        return time.process_time() - sum(source.making_s for source in sources)

    rows = range(count if args.arm == "separate" else 1)
    threads = [threading.Thread(target=follow, args=(row,)) for row in rows]
    for thread in threads:
        thread.start()
    while sum(frames) < 15 * count:  # all are open, and warm
        time.sleep(0.05)
    spent, begun, at = spent_s(), sum(frames), time.monotonic()
    time.sleep(args.arm_seconds - 1.0)
    figures = {
        "cpu_ms": 1e3 * (spent_s() - spent) / max(sum(frames) - begun, 1),
        "per_s": (sum(frames) - begun) / (time.monotonic() - at),
        "rss_mb": (machine.resident_mb() or 0.0) - base_mb,
        "threads": thread_count() - 1,  # a thread of this benchmark iterates in place of the main one, which waits
    }
    over.set()
    for thread in threads:
        thread.join()
    return figures


def detector(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Frames in one detector call, and one after another, interleaved."""
    figures: dict[str, Any] = {}
    lines = [
        f"{'frames':>6} {'batch: wall':>12} {'CPU ms':>7} {'one by one: wall':>17} {'CPU ms':>7} {'CPU ratio':>10}"
    ]
    with Analyzer(options(AMPLE_MS, args), streams=8) as analyzer:
        analyzer.prepare()
        found = analyzer.detector
        assert isinstance(found, BatchDetector)
        for count in (2, 4, 8):
            images = [scene.frame(10 * row, 1) for row in range(count)]
            batch, single = [], []
            for _ in range(args.calls):
                batch.append(timed(lambda images=images: found.detect_batch(images)))  # type: ignore[misc]
                single.append(timed(lambda images=images: [analyzer.detector.detect(one) for one in images]))  # type: ignore[misc]
            (wall, cpu), (wall_1, cpu_1) = np.median(batch, axis=0) / count, np.median(single, axis=0) / count
            figures[str(count)] = {
                "batch_wall_ms": round(wall, 2),
                "batch_cpu_ms": round(cpu, 2),
                "single_wall_ms": round(wall_1, 2),
                "single_cpu_ms": round(cpu_1, 2),
            }
            lines.append(f"{count:>6} {wall:>12.2f} {cpu:>7.2f} {wall_1:>17.2f} {cpu_1:>7.2f} {cpu / cpu_1:>10.2f}")
    return figures, "\n".join(lines), []


def batch(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """Frames of four streams through the networks by ones, twos and fours, and each stream by itself, interleaved."""
    images = [scene.frame(row, 1) for row in range(100)]
    chosen = replace(options(AMPLE_MS, args, level=0), budget_ms=None)
    arms = {"a stream each": [Batches(chosen, 1, 1) for _ in range(4)]}
    arms |= {f"by {size}": [Batches(chosen, 4, size)] for size in (1, 2, 4)}
    spent: dict[str, list[float]] = {name: [] for name in arms}
    for row in range(args.calls + WARM):
        for name, some in arms.items():
            ms = [one.cpu_ms(images, row) for one in some]
            if row >= WARM:
                spent[name].append(sum(ms) / len(ms))
    middle = {name: median(ms) for name, ms in spent.items()}
    alone = middle["a stream each"]
    figures = {name: {"cpu_ms": round(ms, 2), "ratio": round(ms / alone, 3)} for name, ms in middle.items()}
    lines = [f"{'frames':<14} {'CPU ms a frame':>15} {'ratio':>6}"]
    lines += [f"{name:<14} {one['cpu_ms']:>15.2f} {one['ratio']:>6.2f}" for name, one in figures.items()]
    return figures, "\n".join(lines), [("CPU of four together over alone", figures["by 4"]["ratio"], "<=", 0.85)]


WARM = 15
"""Rounds that do not count: tracks begin, tuners try."""


class Batches:
    """Streams on one set of networks whose frames go through it so many at a time, in simulated time.

    Args:
        chosen: Options.
        streams: How many there are.
        size: Frames at a time.
    """

    def __init__(self, chosen: Options, streams: int, size: int) -> None:
        self._clock, self._size, self._wanted = FakeClock(), size, chosen.tasks
        analyzer = Analyzer(chosen, streams=streams, clock=self._clock)
        self._together = analyzer.together()
        self._streams = [self._together.stream(chosen) for _ in range(streams)]

    def cpu_ms(self, images: Sequence[Any], row: int) -> float:
        """CPU time a frame of a thirtieth of a second."""
        began, streams = time.process_time(), self._streams
        for first in range(0, len(streams), self._size):
            at = self._clock.time
            frames = [
                StreamFrame(stream, Frame(images[(row + 13 * number) % 100], captured_at=at), at, None, self._wanted)
                for number, stream in enumerate(streams[first : first + self._size], first)
            ]
            for _ in self._together.process(frames):
                pass
            self._clock.time += len(frames) / (30.0 * len(streams))
        return 1e3 * (time.process_time() - began) / len(streams)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Milliseconds of wall and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return 1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu)


def soak(args: argparse.Namespace, scene: Scene) -> tuple[dict[str, Any], str, list[Target]]:
    """A camera comes and one goes every second."""
    clock, rows = SystemClock(), list[tuple[float, float, int]]()
    scene.warm((1,))
    end = time.monotonic() + 60.0 * args.minutes

    def source(number: int) -> NamedSource:
        camera = PlannedCamera(CameraPlan(f"c{number}", fps=args.soak_fps), scene, 1e6, 0.0, clock)
        return NamedSource(camera, f"c{number}")

    with Cameras([source(0), source(1), source(2)], options=options(66.0, args)) as cameras:
        number, changed, noted, began = 3, time.monotonic(), 0.0, time.monotonic()
        for _ in cameras:
            now = time.monotonic()
            if now - changed >= 1.0:
                changed = now
                cameras.add(source(number))
                cameras.remove(f"c{number - 3}")
                number += 1
            if now - noted >= 10.0:
                noted = now
                rows.append((now - began, machine.resident_mb() or 0.0, thread_count()))
            if now >= end:
                break
    settled = [row for row in rows if row[0] >= 30.0] or rows
    figures = {
        "added": number,
        "minutes": args.minutes,
        "rss_mb": [round(mb, 1) for _, mb, _ in rows],
        "threads": [count for _, _, count in rows],
        "growth_mb": round(settled[-1][1] - settled[0][1], 1),
        "most_threads": max(count for _, _, count in rows),
    }
    text = f"{number} cameras in {args.minutes:g} minutes; resident MB, each 10 s: {figures['rss_mb']}\n"
    text += f"threads: {figures['threads']}"
    asked: list[Target] = [
        ("growth after the first half minute, MB", figures["growth_mb"], "<=", 20.0),
        ("most threads (3 cameras, 2 in passing)", figures["most_threads"], "<=", 2 * 5 + 6),
    ]
    return figures, text, asked


CASES = {
    "four": four,
    "eight": eight,
    "fairness": fairness,
    "ratio": ratio,
    "batch": batch,
    "detector": detector,
    "soak": soak,
}


def options(budget_ms: float, args: argparse.Namespace, **more: Any) -> Options:
    """Of a run."""
    return Options.load(env={}, **{"budget_ms": budget_ms, **more, **args.options})


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=CASES, help="this one; repeatable (default: all but soak)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each live run (default: %(default)s)")
    parser.add_argument("--cameras", type=int, default=4, help="of ratio (default: %(default)s)")
    parser.add_argument("--fps", type=float, default=30.0, help="of ratio's cameras (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="of ratio (default: %(default)s)")
    parser.add_argument("--arm-seconds", type=float, default=6.0, help="of each arm of ratio (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=60, help="of detector and batch (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=10.0, help="of soak (default: %(default)s)")
    parser.add_argument("--soak-fps", type=float, default=10.0, help="of its cameras (default: %(default)s)")
    parser.add_argument("--clip", default="demo", help="a video of one face; default: the demo clip")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an option of rtface's")
    parser.add_argument("--json", type=Path, help="append the JSON lines to this file too")
    parser.add_argument("--arm", choices=("together", "separate", "one"), help=argparse.SUPPRESS)
    args = parser.parse_args(given)
    if not (args.seconds > 0 and args.arm_seconds > 1 and args.cameras > 1 and args.rounds > 0):
        parser.error("--seconds must be above 0, --arm-seconds and --cameras above 1, --rounds at least 1")
    args.options = dict(setting.partition("=")[::2] for setting in args.set)
    return args


def holds(value: float | None, relation: str, bound: float) -> bool:
    """Whether a target is met; a figure that is not known meets none."""
    return value is not None and (value <= bound if relation == "<=" else value >= bound)


def run_case(name: str, args: argparse.Namespace, scene: Scene) -> bool:
    """Run one case, print what people read and its record; whether its targets are met."""
    facts = machine.facts()
    figures, text, asked = CASES[name](args, scene)
    print(f"== {name}\n{text}")
    for what, value, relation, bound in asked:
        shown = "unknown" if value is None else f"{value:.2f}"
        print(f"{what:<40} {shown:>8}   asked {relation} {bound:g}: {'ok' if holds(value, relation, bound) else 'NO'}")
    met = all(holds(value, relation, bound) for _, value, relation, bound in asked)
    record = {"schema": SCHEMA, "case": name, "met": met, **figures, "options": args.options, "machine": facts}
    line = json.dumps(record)
    print(line, flush=True)
    if args.json is not None:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return met


def main() -> None:
    args = arguments()
    try:
        if args.arm is not None:
            print(json.dumps(run_arm(args)))
            return
        if args.json:
            check_writable(args.json, overwrite=True)
        scene = scene_of(args.clip)
        met = [run_case(name, args, scene) for name in args.only or [name for name in CASES if name != "soak"]]
    except RtfaceError as error:
        sys.exit(f"benchmarks/cameras.py: {error}")
    sys.exit(0 if all(met) else 5)


if __name__ == "__main__":
    main()

"""A live run of several simulated cameras on one set of networks: who got what, how late, and what it cost."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from rtface.analyzer import Analyzer
from rtface.bench.camera import SimulatedCamera
from rtface.bench.live import WARMUP_S, LiveRun, LiveSetup, Seen, record, seen_of
from rtface.bench.scene import Bursts, Scene
from rtface.cameras import Cameras
from rtface.capture.named import NamedSource
from rtface.capture.reconnecting import Reconnect
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.options import Options
from rtface.system import machine
from rtface.system.clock import Clock, SystemClock
from rtface.types import Frame

SCHEMA = "rtface.bench-cameras/1"

BEYOND_S = 60.0
"""The cameras go on for so long after a run: one that is lost and opened again has no end of its own."""


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """A camera that is simulated.

    Attributes:
        name: What it is called.
        fps: Frames a second.
        bursts: How many faces, when.
        decode_s: From a frame's grab until it is there.
        lost_every_s: It breaks off after so long, and can be opened again at once; None = never.
        dies_at_s: It breaks off for good; None = never.
        priority: As `NamedSource.priority`.
    """

    name: str
    fps: float = 30.0
    bursts: Bursts = field(default_factory=Bursts)
    decode_s: float = 0.0
    lost_every_s: float | None = None
    dies_at_s: float | None = None
    priority: int = 0


def steady(count: int, fps: float = 30.0, bursts: Bursts | None = None) -> list[CameraPlan]:
    """So many cameras alike."""
    return [CameraPlan(f"camera-{row}", fps, bursts or Bursts()) for row in range(count)]


class PlannedCamera(SimulatedCamera):
    """A simulated camera with a camera's troubles.

    Args:
        plan: What it does.
        scene: What it sees.
        seconds: It ends after so long.
        phase_s: Its first frame is due so long after its start: cameras do not grab at the same moment.
        clock: Its time.

    Attributes:
        making_s: CPU time that its frames took to make.
    """

    def __init__(self, plan: CameraPlan, scene: Scene, seconds: float, phase_s: float, clock: Clock) -> None:
        super().__init__(scene, plan.bursts, plan.fps, round(seconds * plan.fps), clock)
        self.name, self._plan, self._phase_s = plan.name, plan, phase_s
        self._waits = threading.Event()
        self._lost_at = plan.lost_every_s
        self._dead, self.making_s = False, 0.0
        if plan.lost_every_s is not None or plan.dies_at_s is not None:
            self.reopen = self._again

    def read(self) -> Frame | None:
        if self.began is None:
            self._clock.wait(self._waits, self._phase_s)
            self.began = self._clock.now()
        at = self._clock.now() - self.began
        if self._plan.dies_at_s is not None and at >= self._plan.dies_at_s:
            self._dead = True
            raise SourceError(self.name, "died", "It was told to")
        if self._lost_at is not None and at >= self._lost_at:
            assert self._plan.lost_every_s is not None
            self._lost_at = at + self._plan.lost_every_s
            raise SourceError(self.name, "broke off", "It was told to")
        before = time.thread_time()
        frame = super().read()
        self.making_s += time.thread_time() - before
        if frame is not None and self._plan.decode_s:
            self._clock.wait(self._waits, self._plan.decode_s)
        return frame

    def _again(self) -> Source:
        if self._dead:
            raise SourceError(self.name, "is dead", "It was told to be")
        self._stop.clear()
        return self


@dataclass(frozen=True, slots=True, eq=False)
class CamerasRun:
    """A run that is over: of all, and of each by its name; `moves` of the level in all `minutes`, warm-up included."""

    whole: LiveRun
    each: dict[str, LiveRun]
    moves: int
    minutes: float
    threads: int


def phases(count: int, fps: float) -> list[float]:
    """When the cameras' first frames are due, s: spread over a frame time as by chance, and always the same."""
    return [float(one) for one in np.random.default_rng(7).uniform(0.0, 1.0 / fps, count)]


def run_cameras(
    plans: Sequence[CameraPlan],
    options: Options,
    scene: Scene,
    seconds: float,
    *,
    warmup_s: float = WARMUP_S,
    clock: Clock | None = None,
    analyzer: Analyzer | None = None,
    cpu: Callable[[], float] = time.process_time,
) -> CamerasRun:
    """Run the cameras through all threads of a live run.

    Args:
        plans: The cameras.
        options: Of the run.
        scene: What they see.
        seconds: Length that counts; `warmup_s` before do not.
        clock, analyzer, cpu: For tests.
    """
    clock = clock or SystemClock()
    scene.warm([count for plan in plans for count in plan.bursts.counts])
    starts = phases(len(plans), 30.0)
    sources = [
        PlannedCamera(plan, scene, warmup_s + seconds + BEYOND_S, start, clock)
        for plan, start in zip(plans, starts, strict=True)
    ]
    named = [NamedSource(source, plan.name, plan.priority) for source, plan in zip(sources, plans, strict=True)]
    seen: dict[str, list[Seen]] = defaultdict(list)
    began, cpu_0, cpu_1, rss_0, threads = 0.0, 0.0, 0.0, None, 0
    reconnect = Reconnect(first_s=0.05, longest_s=0.05, jitter=0.0)
    cameras = Cameras(named, options=options, analyzer=analyzer, clock=clock, reconnect=reconnect)
    with cameras:
        for result in cameras:
            began = began or result.captured_at
            one = seen_of(result, began)
            if one.at >= warmup_s + seconds:
                break
            if one.at < warmup_s:
                continue
            if not threads:
                cpu_0, rss_0, threads = cpu(), machine.resident_mb(), thread_count()
            seen[result.camera].append(one)
            cpu_1 = cpu()
        rss = (rss_0, machine.resident_mb(), machine.peak_resident_mb())
        facts, costs = cameras.describe(), cameras.costs()
    levels = tuple(str(name) for name in facts["levels"])

    def run(plan_fps: float, some: list[Seen], missed: int, cpu_s: float) -> LiveRun:
        setup = LiveSetup(fps=plan_fps, seconds=seconds, warmup_s=warmup_s)
        return LiveRun(setup, some, levels, options.budget_ms, missed, cpu_s, rss, costs, facts)

    everything = sorted((one for some in seen.values() for one in some), key=lambda one: one.at)
    missed = {source.name: source.missed for source in sources}
    whole = run(sum(plan.fps for plan in plans), everything, sum(missed.values()), cpu_1 - cpu_0)
    each = {plan.name: run(plan.fps, seen[plan.name], missed[plan.name], 0.0) for plan in plans}
    return CamerasRun(whole, each, cameras.moves, (warmup_s + seconds) / 60.0, threads)


def cameras_record(run: CamerasRun) -> dict[str, Any]:
    """The run's figures, ready for JSON; below ``cameras`` each one's.

    ``longest_gap_s`` is the longest time between two results of a camera. ``moves``: of the box's level, from the start
    on: most come while it finds out what fits.

    Raises:
        ValueError: There was no result.
    """
    figures = record(run.whole)
    return {
        **figures,
        "moves": run.moves,
        "moves_per_min": round(run.moves / run.minutes, 2),
        "threads": run.threads,
        "cameras": {name: _one(one) for name, one in run.each.items()},
    }


def _one(run: LiveRun) -> dict[str, Any]:
    if not run.seen:
        return {"frames": 0}
    figures = record(run)
    kept = ("frames", "seconds", "faces_per_frame", "age_ms", "late_pct", "drops", "largest_face")
    gaps = [b.at - a.at for a, b in pairwise(run.seen)]
    return {
        **{name: figures[name] for name in kept},
        "results_per_s": round(len(run.seen) / figures["seconds"], 2),
        "longest_gap_s": round(max(gaps, default=0.0), 3),
    }


def cameras_table(figures: dict[str, Any]) -> str:
    """A line a camera for people."""
    rows = ["camera            results/s  age p50   p95  late %  longest gap  landmarks of largest %"]
    for name, one in figures["cameras"].items():
        if not one["frames"]:
            rows.append(f"{name:<16} {'no result':>10}")
            continue
        age, points = one["age_ms"], one["largest_face"]["landmarks_pct"]
        rows.append(
            f"{name:<16} {one['results_per_s']:>10.1f} {age['p50']:>8.1f} {age['p95']:>5.1f} {one['late_pct']:>7.2f} "
            f"{one['longest_gap_s']:>10.3f} s {'-' if points is None else format(points, '.1f'):>23}"
        )
    return "\n".join(rows)


def thread_count() -> int:
    """Threads of this process, those of libraries among them."""
    try:
        return sum(1 for _ in Path("/proc/self/task").iterdir())
    except OSError:  # not Linux: Python's own only
        return threading.active_count()

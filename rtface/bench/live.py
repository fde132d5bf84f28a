"""A live run on a simulated camera: how old results are, what was given up for that, and what it cost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from rtface.analyzer import Analyzer
from rtface.bench.camera import SimulatedCamera
from rtface.bench.load import Load, LoadPlan
from rtface.bench.scene import Bursts, Scene
from rtface.options import Options
from rtface.stream import Stream
from rtface.system import machine
from rtface.system.clock import Clock, SystemClock
from rtface.types import Face, FrameResult, Skip, SkipReason

SCHEMA = "rtface.bench-live/1"

WARMUP_S = 2.0
"""Seconds before a run counts: caches fill, threads start, tracks begin."""


@dataclass(frozen=True, slots=True)
class LiveSetup:
    """What is simulated.

    Attributes:
        fps: Frames a second.
        seconds: Length that counts.
        warmup_s: Seconds before, that do not.
        bursts: How many faces, when.
        load: When a second process takes a core; None = never.
    """

    fps: float = 30.0
    seconds: float = 20.0
    warmup_s: float = field(default_factory=lambda: WARMUP_S)
    bursts: Bursts = field(default_factory=Bursts)
    load: LoadPlan | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of one result; times in ms, `at` in seconds since the first frame was due."""

    at: float
    age_ms: float
    work_ms: float
    level: int
    late: bool
    dropped: int
    faces: int
    skips: tuple[Skip, ...]
    landmarks_age_ms: float | None
    """Of the largest face; None = it has none, NaN = there is no face."""


@dataclass(frozen=True, slots=True, eq=False)
class LiveRun:
    """A run that is over."""

    setup: LiveSetup
    seen: list[Seen]
    levels: tuple[str, ...]
    budget_ms: float | None
    missed: int
    cpu_s: float
    rss_mb: tuple[float | None, float | None, float | None]  # at the start, at the end, at most
    costs: dict[str, dict[str, float]]
    analyzer: dict[str, Any]


def run_live(
    setup: LiveSetup,
    options: Options,
    scene: Scene,
    *,
    clock: Clock | None = None,
    analyzer: Analyzer | None = None,
    cpu: Callable[[], float] = time.process_time,
) -> LiveRun:
    """Run a stream on the simulated camera through all threads of a live run.

    Args:
        setup: What is simulated.
        options: Of the stream; its budget is the one that results are late by.
        scene: What the camera sees.
        clock, analyzer, cpu: For tests.
    """
    clock = clock or SystemClock()
    scene.warm(setup.bursts.counts)
    frames = round((setup.warmup_s + setup.seconds) * setup.fps)
    camera = SimulatedCamera(scene, setup.bursts, setup.fps, frames, clock)
    seen: list[Seen] = []
    cpu_0, rss_0, missed_0 = cpu(), None, 0
    own = analyzer or Analyzer(options, clock=clock)
    try:
        with Load(setup.load), Stream(camera, live=True, options=options, analyzer=own, clock=clock) as stream:
            for result in stream:
                one = seen_of(result, camera.began or 0.0)
                if one.at >= setup.warmup_s:
                    if not seen:
                        cpu_0, rss_0, missed_0 = cpu(), machine.resident_mb(), camera.missed
                    seen.append(one)
            rss = (rss_0, machine.resident_mb(), machine.peak_resident_mb())
            facts = own.describe()
            levels = tuple(str(name) for name in facts["levels"])
            return LiveRun(
                setup, seen, levels, options.budget_ms, camera.missed - missed_0, cpu() - cpu_0, rss, own.costs(), facts
            )
    finally:
        if analyzer is None:
            own.close()


def seen_of(result: FrameResult, began: float) -> Seen:
    """What is kept of a result, `began` being when the first frame was due."""
    return Seen(
        at=result.captured_at - began,
        age_ms=result.timing.age_ms,
        work_ms=result.timing.total_ms,
        level=result.level,
        late=result.late,
        dropped=result.dropped,
        faces=len(result.faces),
        skips=result.skips,
        landmarks_age_ms=_landmarks_age(result.faces),
    )


def _landmarks_age(faces: Sequence[Face]) -> float | None:
    if not faces:
        return float("nan")
    largest = max(faces, key=lambda face: float(face.box_xyxy[3] - face.box_xyxy[1]))
    return largest.age_ms.get("landmarks") if largest.landmarks is not None else None


def record(run: LiveRun) -> dict[str, Any]:
    """The run's figures, ready for JSON.

    ``drops``: frames that nobody analysed, by cause: ``busy`` (the frame before took too long), ``capture`` (the
    capture thread got no time), ``rested`` (every second frame, by level). ``largest_face``: of the results with a
    face, the share whose largest face has landmarks, and the p95 of those landmarks' age.

    Raises:
        ValueError: There was no result.
    """
    seen, setup = run.seen, run.setup
    if not seen:
        raise ValueError("expected at least one result, got none")
    ages = np.array([one.age_ms for one in seen])
    moves = sum(a.level != b.level for a, b in pairwise(seen))
    span = seen[-1].at - seen[0].at + 1 / setup.fps
    levels = Counter(one.level for one in seen)
    late = sum(one.late for one in seen)
    return {
        "fps": setup.fps,
        "faces": list(setup.bursts.counts),
        "load": None if setup.load is None else {"on_s": setup.load.on_s, "off_s": setup.load.off_s},
        "budget_ms": run.budget_ms,
        "seconds": round(span, 2),
        "frames": len(seen),
        "faces_per_frame": round(float(np.mean([one.faces for one in seen])), 3),
        "age_ms": {**_percentiles(ages), "max": round(float(ages.max()), 2)},
        "work_ms": _percentiles(np.array([one.work_ms for one in seen])),
        "late": late,
        "late_pct": round(100 * late / len(seen), 2),
        "drops": {
            "busy": sum(one.dropped for one in seen),
            "capture": run.missed,
            "rested": sum(any(skip.reason is SkipReason.REST for skip in one.skips) for one in seen),
        },
        "skipped": _skips(seen),
        "levels_s": {
            f"{level} {run.levels[level]}": round(span * levels[level] / len(seen), 2) for level in sorted(levels)
        },
        "moves": moves,
        "moves_per_min": round(60 * moves / span, 2),
        "largest_face": _largest(seen),
        "cpu_ms_per_frame": round(1e3 * run.cpu_s / len(seen), 2),
        "rss_mb": dict(zip(("start", "end", "peak"), run.rss_mb, strict=True)),
        "costs": run.costs,
    }


def _percentiles(ms: Any) -> dict[str, float]:
    return {f"p{percent}": round(float(np.percentile(ms, percent)), 2) for percent in (50, 95, 99)}


def _skips(seen: Sequence[Seen]) -> dict[str, dict[str, int]]:
    """Task → cause (``budget``: it did not fit the deadline; ``level``: the level says so) → results."""
    skips: dict[str, Counter[str]] = {}
    for one in seen:
        for skip in one.skips:
            skips.setdefault(skip.task, Counter())["budget" if skip.reason is SkipReason.BUDGET else "level"] += 1
    return {task: dict(causes) for task, causes in sorted(skips.items())}


def _largest(seen: Sequence[Seen]) -> dict[str, float | None]:
    ages = [one.landmarks_age_ms for one in seen if one.landmarks_age_ms is None or not np.isnan(one.landmarks_age_ms)]
    there = [age for age in ages if age is not None]
    return {
        "landmarks_pct": round(100 * len(there) / len(ages), 2) if ages else None,
        "landmarks_age_p95_ms": round(float(np.percentile(there, 95)), 1) if there else None,
    }

"""Runs that are ended at a random moment, and what their outputs then hold; for ``benchmarks/reliability.py`` too."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rtface.capture.open import open_source
from rtface.errors import SourceError

ROOT = Path(__file__).parents[2]
#: Lines of the demo's 227 after which a run is ended: so many at least and at most.
LINES = (60, 200)


@dataclass(frozen=True)
class Ended:
    """What a run left.

    Attributes:
        code: Its exit code; negative = the signal that killed it.
        said: Its stderr.
        video: The annotated video, or the part of it; None = there is none.
        whole: Whether it has its final name.
        told: Media time in s of the last JSON line.
        shown: Media time in s of the video's last frame; None = it cannot be read.
        told_frames, shown_frames: How many of each.
        broken_lines: Lines that are no JSON, the last one left out.
    """

    code: int
    said: str
    video: Path | None
    whole: bool
    told: float
    shown: float | None
    told_frames: int
    shown_frames: int
    broken_lines: int

    @property
    def lost_s(self) -> float:
        """Seconds of the video that are missing at its end."""
        return self.told - (self.shown if self.shown is not None else -1.0)


def end_a_run(
    folder: Path, number: signal.Signals, rng: random.Random, source: str = "demo", pace_ms: int = 4
) -> Ended:
    """Start an unpaced run into JSON lines and a video, and send it a signal at a random frame."""
    lines, video = folder / "out.jsonl", folder / "out.mp4"
    command = [sys.executable, "-m", "tests.reliability.slow_run", "run", source, "--pace", str(pace_ms)]
    command += ["-o", str(lines), "-o", str(video), "--set", "detect_every_ms=0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as run:
        wanted, deadline = rng.randint(*LINES), time.monotonic() + 600.0
        while run.poll() is None and time.monotonic() < deadline:
            if lines.exists() and lines.read_bytes().count(b"\n") >= wanted:
                break
            time.sleep(0.03)
        run.send_signal(number)
        assert run.stderr is not None
        said = run.stderr.read()
        code = run.wait(60)
    return _left(lines, video, code, said)


def _left(lines: Path, video: Path, code: int, said: str) -> Ended:
    records, broken = [], 0
    rows = lines.read_bytes().split(b"\n")
    for row in rows[:-1]:
        try:
            records.append(json.loads(row))
        except ValueError:
            broken += 1
    times = [record["media_time_s"] for record in records if record["kind"] == "frame"]
    parts = [path for path in video.parent.glob("out*.mp4") if path != video]
    left = video if video.exists() else next(iter(parts), None)
    shown = readable(left) if left is not None else []
    told = times[-1] if times else 0.0
    last = shown[-1] if shown else None
    return Ended(code, said, left, left == video, told, last, len(times), len(shown), broken)


def readable(path: Path) -> list[float]:
    """Times of the frames of a video that come, up to where it ends or is cut short."""
    times: list[float] = []
    try:
        with open_source(path) as source:
            while (frame := source.read()) is not None:
                times.append(frame.media_time or 0.0)
    except SourceError:
        pass
    return times

"""Whether a stream's memory stays the same: many simulated minutes, as fast as they go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtface.analyzer import Analyzer
from rtface.bench.camera import LockstepCamera, SteppedClock
from rtface.bench.scene import Bursts, Scene
from rtface.options import Options
from rtface.stream import Stream
from rtface.system import machine

MINUTES = 30.0


def steady_memory(
    options: Options,
    scene: Scene,
    bursts: Bursts,
    *,
    fps: float = 30.0,
    minutes: float = MINUTES,
    analyzer: Callable[[Options, SteppedClock], Analyzer] = lambda options, clock: Analyzer(options, clock=clock),
    resident_mb: Callable[[], float | None] = machine.resident_mb,
) -> dict[str, Any]:
    """Resident memory after every simulated minute of a live stream, and its growth after the first.

    Every frame is analysed, through all threads of a live run and with its deadlines; only the waiting is left out.

    Args:
        options: Of the stream.
        scene: What the camera sees.
        bursts: How many faces, when.
        fps, minutes: Of the simulation.
        analyzer, resident_mb: For tests.
    """
    clock = SteppedClock()
    a_minute, frames = round(60 * fps), round(60 * fps * minutes)
    scene.warm(bursts.counts)
    camera = LockstepCamera(scene, bursts, fps, frames, clock)
    memory: list[float | None] = []
    count = 0
    with (
        analyzer(options, clock) as own,
        Stream(camera, live=True, options=options, analyzer=own, clock=clock) as stream,
    ):
        for _ in stream:
            count += 1
            if count % a_minute == 0:
                memory.append(resident_mb())
            camera.release()
    known = [mb for mb in memory if mb is not None]
    return {
        "fps": fps,
        "faces": list(bursts.counts),
        "frames": count,
        "minutes": round(count / fps / 60, 2),
        "rss_mb": memory,
        "growth_mb": round(known[-1] - known[0], 2) if len(known) > 1 else None,
        "spread_mb": round(max(known) - min(known), 2) if known else None,
    }

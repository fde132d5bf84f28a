"""Runs an analyzer over frames and times every stage. One thread, no deadline, no outputs."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import count, islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.capture.source import Source
from rtface.system.clock import Clock, SystemClock
from rtface.types import Frame, FrameResult

#: Stages as `rtface.types.Timing` names them. `capture` and `total` are timed here, the rest by the analyzer.
INNER = ("detect", "track", "crop", "enhance", "engine", "tasks", "smooth")
STAGES = ("capture", *INNER, "total")


class StreamAnalyzer(Protocol):
    """What is measured: `rtface.Analyzer`."""

    def image(self, image: NDArray[Any]) -> FrameResult:
        """Faces of a still."""

    def video(self, image: NDArray[Any], at: float) -> FrameResult:
        """Faces of a stream's next frame."""


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was timed, the warm-up left out.

    Attributes:
        stages: Stage → (N,) ms of each frame. ``total`` is the whole analysis; ``capture`` is apart from it.
        faces: (N,) faces of each frame.
        warmup: Frames that were analysed before, and not counted.
    """

    stages: dict[str, NDArray[np.float64]]
    faces: NDArray[np.int64]
    warmup: int


def measure(
    frames: Iterator[Frame],
    analyze: Callable[[Frame], FrameResult],
    *,
    warmup: int = 0,
    clock: Clock | None = None,
) -> Measured:
    """Analyse frames one after the other and time them.

    Args:
        frames: Taking the next one is what `capture` times.
        analyze: One frame's analysis; see `analysis_of`.
        warmup: Frames to analyse first and not to count: caches fill, threads start, tracks begin.
        clock: For tests.
    """
    clock = clock or SystemClock()
    times: dict[str, list[float]] = {stage: [] for stage in STAGES}
    faces: list[int] = []
    while True:
        asked = clock.now()
        frame = next(frames, None)
        taken = clock.now()
        if frame is None:
            break
        result = analyze(frame)
        done = clock.now()
        times["capture"].append((taken - asked) * 1e3)
        times["total"].append((done - taken) * 1e3)
        for stage in INNER:
            times[stage].append(getattr(result.timing, f"{stage}_ms"))
        faces.append(len(result.faces))
    stages = {stage: np.array(values[warmup:], np.float64) for stage, values in times.items()}
    return Measured(stages, np.array(faces[warmup:], np.int64), min(warmup, len(faces)))


def analysis_of(source: Source, analyzer: StreamAnalyzer) -> Callable[[Frame], FrameResult]:
    """How a source's frames are analysed: pictures each for itself, the rest as one stream.

    A file's stream goes on in its own time when the file is played again, so that tracks see no jump backwards.
    """
    if source.stills:
        return lambda frame: analyzer.image(frame.image)
    if source.live:
        return lambda frame: analyzer.video(frame.image, frame.captured_at or 0.0)
    fps, played = source.fps or 25.0, count()
    return lambda frame: analyzer.video(frame.image, next(played) / fps)


def frames_of(source: Source, reopen: Callable[[], Source], wanted: int) -> Iterator[Frame]:
    """``wanted`` frames of a source, from the start again as often as it takes; a live one may end before.

    The source passed in is left open; those reopened are closed.
    """
    with closing(_endless(source, reopen)) as frames:
        yield from islice(frames, wanted)


def _endless(source: Source, reopen: Callable[[], Source]) -> Generator[Frame, None, None]:
    yield from iter(source.read, None)
    while not source.live:
        with reopen() as again:
            yield from iter(again.read, None)

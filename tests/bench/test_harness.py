"""The bench, with a clock that moves when told and an analyzer that takes the time it is told."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rtface.bench.harness import STAGES, analysis_of, frames_of, measure
from rtface.bench.report import percentiles, stage_rows, summary, table
from rtface.capture.source import Source
from rtface.testing import FakeClock
from rtface.types import Frame, FrameResult, Timing

PICTURE = np.zeros((2, 2, 3), np.uint8)


class FakeSource(Source):
    """Frames with numbers for times."""

    def __init__(self, count: int, *, live: bool = False, stills: bool = False, fps: float | None = 10.0) -> None:
        self.name, self.live, self.stills, self.fps = "fake", live, stills, fps
        self._left, self.closed = iter(range(count)), False

    def read(self) -> Frame | None:
        index = next(self._left, None)
        return None if index is None else Frame(PICTURE, index, captured_at=100.0 + index)

    def close(self) -> None:
        self.closed = True


class FakeAnalyzer:
    """Notes how it was called."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.stills = 0

    def image(self, image: np.ndarray) -> FrameResult:
        self.stills += 1
        return FrameResult(Frame(image))

    def video(self, image: np.ndarray, at: float) -> FrameResult:
        self.times.append(at)
        return FrameResult(Frame(image))


def test_times_capture_and_analysis_and_leaves_the_warm_up_out() -> None:
    clock = FakeClock()

    def frames() -> Iterator[Frame]:
        for index in range(4):
            clock.time += 0.002
            yield Frame(PICTURE, index)

    def analyze(frame: Frame) -> FrameResult:
        clock.time += 0.5 if frame.index == 0 else 0.010 * frame.index
        return FrameResult(frame, timing=Timing(detect_ms=3.0, engine_ms=2.0 * frame.index, total_ms=99.0))

    measured = measure(frames(), analyze, warmup=1, clock=clock)
    assert set(measured.stages) == set(STAGES)
    assert measured.stages["total"].tolist() == pytest.approx([10.0, 20.0, 30.0])
    assert measured.stages["capture"].tolist() == pytest.approx([2.0, 2.0, 2.0])
    assert measured.stages["engine"].tolist() == [2.0, 4.0, 6.0]
    assert (measured.warmup, measured.faces.tolist()) == (1, [0, 0, 0])
    said = summary(measured)
    assert said["frames"] == 3
    assert said["stages"]["total"]["p50_ms"] == 20.0
    assert said["fps"] == 50.0
    assert said["fps_with_capture"] == pytest.approx(45.5)


def test_percentiles_interpolate() -> None:
    assert percentiles(np.arange(101.0)) == {"p50_ms": 50.0, "p95_ms": 95.0, "p99_ms": 99.0}
    assert percentiles(np.array([1.0, 2.0]))["p95_ms"] == pytest.approx(1.95)


def test_no_frame_is_no_summary() -> None:
    with pytest.raises(ValueError, match="at least one"):
        summary(measure(iter(()), lambda frame: FrameResult(frame)))


def test_a_file_is_played_again_and_again_in_its_own_running_time() -> None:
    again: list[FakeSource] = []

    def reopen() -> FakeSource:
        again.append(FakeSource(3))
        return again[-1]

    first, analyzer = FakeSource(3), FakeAnalyzer()
    frames = frames_of(first, reopen, 7)
    analyze = analysis_of(first, analyzer)
    for frame in frames:
        analyze(frame)
    assert analyzer.times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    assert [source.closed for source in again] == [True, True]
    assert not first.closed


def test_a_live_source_ends_and_keeps_its_own_times() -> None:
    source, analyzer = FakeSource(3, live=True), FakeAnalyzer()
    analyze = analysis_of(source, analyzer)
    for frame in frames_of(source, lambda: pytest.fail("reopened"), 7):
        analyze(frame)
    assert analyzer.times == [100.0, 101.0, 102.0]


def test_pictures_are_no_stream() -> None:
    source, analyzer = FakeSource(2, stills=True), FakeAnalyzer()
    analyze = analysis_of(source, analyzer)
    for frame in frames_of(source, lambda: FakeSource(2), 2):
        analyze(frame)
    assert (analyzer.stills, analyzer.times) == (2, [])


def test_the_table_is_aligned() -> None:
    rows = stage_rows({"detect": {"p50_ms": 1.0, "p95_ms": 12.345, "p99_ms": 100.0}})
    assert rows == [("detect", "1.00", "12.35", "100.00")] or rows == [("detect", "1.00", "12.34", "100.00")]
    assert table(("ms", "p50"), [("detect", "1.00"), ("x", "100.00")]) == (
        "ms         p50\n------  ------\ndetect    1.00\nx       100.00"
    )

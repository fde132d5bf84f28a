"""What a kiosk's own loop may do with an Analyzer: times, threads, budgets, detection only."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import cv2
import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.capture.source import Source
from rtface.errors import InputError, UsageError
from rtface.options import Options
from rtface.stream import Stream
from rtface.system.opencv import OneThread
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame, SkipReason

FACE = Painted(110, 120, 30)
IMAGE = paint([FACE])


class Pictures(Source):
    """A file of so many equal frames."""

    name = "pictures"
    size_wh = (640, 480)

    def __init__(self, count: int) -> None:
        self.frames = [Frame(IMAGE, index=k, captured_at=k / 25, media_time=k / 25) for k in range(count)]

    def read(self) -> Frame | None:
        return self.frames.pop(0) if self.frames else None

    def close(self) -> None:
        """Nothing to release."""


def opened(clock: FakeClock | None = None, **options: object) -> Analyzer:
    engine = FakeEngine()
    return Analyzer(
        Options(**options),  # type: ignore[arg-type]
        detector=FakeDetector([FACE]),
        engine=engine,
        clock=clock,
    )


def test_a_budget_counts_from_at_alone() -> None:
    clock = FakeClock()
    analyzer = opened(clock, budget_ms=33)
    taken = clock.time
    clock.time += 0.050
    assert analyzer.video(IMAGE, at=taken).late
    assert not analyzer.video(IMAGE, at=clock.time).late


@pytest.mark.parametrize("offset", [-10.1, 0.1, 1e9])
def test_a_time_of_another_clock_is_refused_where_a_deadline_hangs_on_it(offset: float) -> None:
    clock = FakeClock()
    with pytest.raises(InputError, match=r"^at: expected time\.monotonic\(\)"):
        opened(clock, budget_ms=33).video(IMAGE, at=clock.time + offset)
    with pytest.raises(InputError, match=r"^at: expected time\.monotonic\(\)"):
        opened(clock, budget_ms=33).process(Frame(IMAGE, captured_at=clock.time + offset))
    opened(clock).video(IMAGE, at=clock.time + offset)  # without a budget any time will do


@pytest.mark.parametrize("at", [float("nan"), float("inf"), 10**400, None, "3", True, 1j])
def test_what_is_no_time_is_refused(at: object) -> None:
    with pytest.raises(InputError, match="expected finite seconds"):
        opened().video(IMAGE, at=at)  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [0, np.float32(0.5), np.float64(0.5), np.int64(3)])
def test_numbers_of_any_library_are_times(at: float) -> None:
    assert len(opened().video(IMAGE, at=at).faces) == 1
    with pytest.raises(InputError):
        opened().video(IMAGE, at=Decimal(1))  # type: ignore[arg-type]


def test_a_frame_brings_its_own_time() -> None:
    clock = FakeClock()
    analyzer = opened(clock, budget_ms=33)
    assert not analyzer.process(Frame(IMAGE, captured_at=clock.time)).late
    clock.time += 1 / 30
    assert analyzer.process(Frame(IMAGE, index=1)).faces[0].track_id == 1  # without a time: now
    file = opened(clock, budget_ms=33)
    results = [file.process(Frame(IMAGE, index=k, media_time=k / 25)) for k in range(3)]
    assert not any(result.late for result in results)  # a file has no deadline
    assert {result.faces[0].track_id for result in results} == {1}


def test_the_first_frame_is_not_refused_for_costs_that_nobody_knows() -> None:
    clock = FakeClock()
    analyzer = opened(clock, budget_ms=33)
    taken = clock.time
    clock.time += 0.2  # opening the camera took its time
    result = analyzer.video(IMAGE, at=taken)
    assert result.late and result.faces[0].landmarks is not None
    assert not any("needs 0.0 ms" in skip.detail for skip in result.skips)


def test_another_thread_is_refused_at_once_until_reset() -> None:
    analyzer = opened()
    analyzer.video(IMAGE, at=0.0)
    with ThreadPoolExecutor(1) as other:
        with pytest.raises(UsageError, match="belongs to another thread or Stream"):
            other.submit(analyzer.video, IMAGE, 0.1).result()
        analyzer.video(IMAGE, at=0.1)
        analyzer.reset()
        assert other.submit(analyzer.video, IMAGE, 0.0).result().faces[0].track_id == 1
    with pytest.raises(UsageError):
        analyzer.video(IMAGE, at=0.2)


def test_eight_threads_share_an_analyzer_for_stills_and_never_see_each_others_faces() -> None:
    class OneAtATime(FakeEngine):
        busy = threading.Lock()

        def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:  # type: ignore[override]
            assert self.busy.acquire(blocking=False), "two calls at a time"
            try:
                return super().run(batch, names)
            finally:
                self.busy.release()

    people = [Painted(150 + 40 * k, 120 + 20 * k, 24 + 2 * k) for k in range(8)]
    pictures = [paint([person]) for person in people]

    class Looking:
        def detect(self, image: np.ndarray, *, still: bool = False) -> object:
            which = next(k for k, picture in enumerate(pictures) if np.array_equal(picture, image))
            return FakeDetector([people[which]]).detect(image, still=still)

    analyzer = Analyzer(detector=Looking(), engine=OneAtATime())  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(lambda k: (k, analyzer.image(pictures[k])), list(range(8)) * 5))
    for k, result in results:
        assert result.faces[0].points5[2] == pytest.approx(people[k].points5[2], abs=2.0)


def test_two_streams_on_one_analyzer_are_refused() -> None:
    analyzer = opened()
    with Stream(Pictures(3), live=False, analyzer=analyzer) as first:
        next(iter(first))
        with (
            pytest.raises(UsageError, match="belongs to another thread or Stream"),
            Stream(Pictures(1), live=False, analyzer=analyzer),
        ):
            pass
    with Stream(Pictures(2), live=False, analyzer=analyzer) as second:
        assert [result.faces[0].track_id for result in second] == [1, 1]  # nothing of the first stream is left


def test_detection_only_calls_no_engine_and_looks_at_every_frame() -> None:
    detector = FakeDetector([FACE])
    analyzer = Analyzer(Options(tasks=()), detector=detector)
    results = [analyzer.video(IMAGE, at=k / 30) for k in range(6)]
    assert detector.calls == 6
    for result in results:
        (face,) = result.faces
        assert (face.track_id, face.landmarks, face.age_ms) == (1, None, {})
        assert face.points5 == pytest.approx(FACE.points5, abs=0.5)
    assert analyzer.describe()["models"] == {}
    still = analyzer.image(IMAGE)
    assert len(still.faces) == 1 and still.tasks == () and still.to_dict()["faces"][0]["quality"] is None


def test_skips_are_data() -> None:
    clock = FakeClock()

    class Slow(FakeEngine):
        def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:  # type: ignore[override]
            clock.time += 0.02
            return super().run(batch, names)

    analyzer = Analyzer(Options(budget_ms=10), detector=FakeDetector([FACE]), engine=Slow(), clock=clock)
    for _ in range(5):
        clock.time += 1 / 30
        result = analyzer.video(IMAGE, at=clock.time)
        if result.skips:
            break
    assert result.skips[0].reason is SkipReason.BUDGET
    record = result.to_dict()
    assert [skip["task"] for skip in record["skips"]] == list(record["skipped"]) == list(result.skipped)


def test_opencv_gets_its_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OneThread, "_holders", 0)  # of other tests' analyzers
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        first, second = opened(), opened()
        assert cv2.getNumThreads() == 1
        first.close()
        first.close()
        assert cv2.getNumThreads() == 1
        second.close()
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)

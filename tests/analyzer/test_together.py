"""Several streams through the networks side by side answer as each would alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rtface
from rtface.analyzer.together import StreamFrame, StreamPipeline, Together
from rtface.errors import EngineError
from rtface.geometry.crop import Crop, warp_crops
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint

TWO = [Painted(200, 160), Painted(460, 300)]
FACES: tuple[list[Painted], ...] = ([Painted(160, 240)], TWO, [], [Painted(320, 240, 20)])
PICTURES = [paint(faces) for faces in FACES]


def faces_of(image: Any) -> Sequence[Painted]:
    return next(faces for faces, picture in zip(FACES, PICTURES, strict=True) if np.array_equal(image, picture))


class Rig:
    def __init__(self, **options: Any) -> None:
        self.clock, self.engine, self.detector = FakeClock(), FakeEngine(), FakeDetector(faces_of)
        self.options = rtface.Options(**options)
        networks: Any = {"detector": self.detector, "engine": self.engine, "clock": self.clock}
        self.analyzer = rtface.Analyzer(self.options, **networks)
        self.together: Together = self.analyzer.together()
        self.streams = [self.together.stream(self.options) for _ in FACES]

    def frame(self, row: int, deadline: float | None = None, stream: StreamPipeline | None = None) -> StreamFrame:
        at = self.clock.time
        frame = rtface.Frame(PICTURES[row], captured_at=at)
        return StreamFrame(stream or self.streams[row], frame, at, deadline, self.options.tasks)

    def all(self, deadlines: Sequence[float | None] = (None,) * 4) -> dict[int, rtface.FrameResult]:
        frames = [self.frame(row, deadline) for row, deadline in enumerate(deadlines)]
        found = {}
        for one, result in self.together.process(frames):
            assert isinstance(result, rtface.FrameResult)
            found[frames.index(one)] = result
        return found


@pytest.fixture
def rig() -> Iterator[Rig]:
    rig = Rig()
    with rig.analyzer:
        yield rig


def test_all_faces_go_into_one_engine_call_and_all_frames_into_one_detector_call(rig: Rig) -> None:
    rig.all()
    assert rig.detector.batches == [4]
    assert rig.engine.batches == [4]


def test_each_camera_gets_what_it_would_get_alone(rig: Rig) -> None:
    for _ in range(4):
        found = rig.all()
        rig.clock.time += 1 / 30
    for row, faces in enumerate(FACES):
        alone = Rig()
        with alone.analyzer:
            for _ in range(4):
                result = alone.analyzer.process(
                    rtface.Frame(PICTURES[row], captured_at=alone.clock.time), at=alone.clock.time
                )
                alone.clock.time += 1 / 30
        assert len(result) == len(found[row]) == len(faces)
        for one, other in zip(found[row], result, strict=True):
            assert one.track_id == other.track_id  # of its camera
            assert one.landmarks is not None and other.landmarks is not None
            np.testing.assert_array_equal(one.landmarks.points, other.landmarks.points)
            assert one.parsing is not None and other.parsing is not None
            np.testing.assert_array_equal(one.parsing.labels, other.parsing.labels)
            np.testing.assert_array_equal(one.parsing.to_frame, other.parsing.to_frame)


def test_where_not_all_are_parsed_each_mask_goes_to_its_own_face() -> None:
    rig = Rig(level=1)  # parsing on every third frame
    with rig.analyzer:
        parsed = []
        for _ in range(6):
            found = rig.all()
            parsed.append([face.age_ms.get("parsing") == 0.0 for row in range(4) for face in found[row]])
            rig.clock.time += 1 / 30
        assert all(any(turn) for turn in zip(*parsed, strict=True))  # everybody's turn comes
        assert not all(all(turn) for turn in parsed)
        for row in (0, 1, 3):
            for face in found[row]:
                assert face.parsing is not None
                x, y = face.parsing.to_frame @ (64, 64, 1)
                box = face.box_xyxy
                assert box[0] < x < box[2] and box[1] < y < box[3]


def test_the_earliest_deadline_is_answered_first(rig: Rig) -> None:
    now = rig.clock.time
    frames = [rig.frame(row, now + later) for row, later in enumerate((0.4, 0.2, 0.1, 0.3))]
    order = [frames.index(one) for one, _ in rig.together.process(frames)]
    assert order[0] == 2 and order.index(1) < order.index(3) < order.index(0)


def test_a_stage_is_counted_once_for_all_and_shared_between_them(rig: Rig) -> None:
    class Slow(FakeEngine):
        def run(self, batch: Any, names: Sequence[str]) -> dict[str, Any]:
            rig.clock.time += 0.006
            return super().run(batch, names)

    slow = Slow()
    with rtface.Analyzer(rig.options, detector=rig.detector, engine=slow, clock=rig.clock) as analyzer:
        together = analyzer.together()
        streams = [together.stream(rig.options) for _ in FACES]
        began = rig.clock.time
        results = [result for _, result in together.process([rig.frame(row, None, streams[row]) for row in range(4)])]
        spent = [result.timing.engine_ms for result in results if isinstance(result, rtface.FrameResult)]
        assert sum(spent) == pytest.approx(1e3 * (rig.clock.time - began)) == pytest.approx(6.0)
        assert sorted(spent) == pytest.approx([0.0, 1.5, 1.5, 3.0])  # by faces
        for result in results:
            assert isinstance(result, rtface.FrameResult)
            assert result.timing.total_ms == pytest.approx(result.timing.engine_ms)


class Ahead(FakeEngine):
    """Computes every output at each call, and answers a call after another has begun; notes what happens when."""

    prunes = False

    def __init__(self, log: list[str], cuts: bool = False) -> None:
        super().__init__()
        self.log, self.cuts, self.error, self.begun = log, cuts, {}, 0

    def submits(self) -> bool:
        return True

    def crops_itself(self, count: int) -> bool:
        return self.cuts

    def submit(self, batch: Any, names: Sequence[str]) -> Any:
        self.begun += 1
        number, error = self.begun, self.error.get(self.begun)
        if error == "begin":
            raise EngineError("engine", "does not begin", "Mend it")
        self.log.append(f"begin {number}: {len(batch)}")
        answers = self.run(batch.copy(), names)  # the batch may be written to at once

        def collect() -> dict[str, Any]:
            self.log.append(f"collect {number}")
            if error == "collect":
                raise EngineError("engine", "does not answer", "Mend it")
            return answers

        return SimpleNamespace(collect=collect)

    def submit_crops(self, image: Any, crops: Sequence[Crop], names: Sequence[str]) -> Any:
        return self.submit(warp_crops(image, crops), names)

    def run_crops(self, image: Any, crops: Sequence[Crop], names: Sequence[str]) -> dict[str, Any]:
        raise AssertionError("several streams begin calls, they do not wait for each")


def ahead(cuts: bool = False, **options: Any) -> tuple[Rig, Ahead, list[str]]:
    log, rig = list[str](), Rig(**options)
    engine = Ahead(log, cuts)
    rig.analyzer = rtface.Analyzer(rig.options, detector=rig.detector, engine=engine, clock=rig.clock)
    rig.together = rig.analyzer.together()
    rig.streams = [rig.together.stream(rig.options) for _ in FACES]
    return rig, engine, log


@pytest.mark.parametrize("cuts", [False, True], ids=["the CPU cuts faces out", "the GPU does"])
def test_on_a_gpu_frames_go_on_while_it_works_on_the_next_call(cuts: bool) -> None:
    rig, _, log = ahead(cuts)
    with rig.analyzer:
        for one, result in rig.together.process([rig.frame(row) for row in range(4)]):
            assert isinstance(result, rtface.FrameResult)
            log.append(f"result {rig.streams.index(one.stream)}")
    two = ["begin 1: 3", "begin 2: 1", "collect 1", "result 0", "result 1", "collect 2", "result 3"]
    each = ["begin 1: 1", "begin 2: 2", "collect 1", "result 0", "begin 3: 1", "collect 2", "result 1", "collect 3"]
    assert log == ["result 2", *([*each, "result 3"] if cuts else two)], "nobody is in the third picture"


@pytest.mark.parametrize("cuts", [False, True], ids=["the CPU cuts faces out", "the GPU does"])
@pytest.mark.parametrize("level", [0, 1])
def test_calls_that_overlap_give_what_one_call_gives(cuts: bool, level: int) -> None:
    mine, _, _ = ahead(cuts, level=level)
    plain = Rig(level=level)
    plain.engine.prunes = False
    with mine.analyzer, plain.analyzer:
        for _ in range(6):
            ours, theirs = mine.all(), plain.all()
            for row in range(4):
                assert len(ours[row]) == len(theirs[row]) == len(FACES[row])
                for face, other in zip(ours[row], theirs[row], strict=True):
                    assert face.track_id == other.track_id and face.age_ms == other.age_ms
                    np.testing.assert_array_equal(face.points5, other.points5)
                    assert (face.parsing is None) == (other.parsing is None)
                    if face.parsing is not None and other.parsing is not None:
                        np.testing.assert_array_equal(face.parsing.labels, other.parsing.labels)
            mine.clock.time += 1 / 30
            plain.clock.time += 1 / 30


@pytest.mark.parametrize("when", ["begin", "collect"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_call_that_fails_is_its_frames_answer_alone(when: str, number: int) -> None:
    rig, engine, _ = ahead()
    with rig.analyzer:
        engine.error = {number: when}
        frames = [rig.frame(row) for row in range(4)]
        failed = {frames.index(one) for one, result in rig.together.process(frames) if isinstance(result, EngineError)}
        assert failed == ({0, 1} if number == 1 else {3})
        engine.error = {}
        assert [len(rig.all()[row]) for row in range(4)] == [len(faces) for faces in FACES]


def test_the_time_of_overlapping_calls_is_shared_by_their_own_frames() -> None:
    rig, engine, _ = ahead()
    submit = engine.submit

    def slow(batch: Any, names: Sequence[str]) -> Any:
        rig.clock.time += 0.001
        ticket = submit(batch, names)
        collect = ticket.collect

        def waited() -> Any:
            rig.clock.time += 0.005
            return collect()

        return SimpleNamespace(collect=waited)

    engine.submit = slow  # type: ignore[method-assign]
    with rig.analyzer:
        results = rig.all()
    assert [results[row].timing.engine_ms for row in range(4)] == pytest.approx([2.0, 4.0, 0.0, 6.0])
    for result in results.values():
        assert result.timing.total_ms == pytest.approx(result.timing.engine_ms)


def test_one_level_for_all_and_a_floor_for_one() -> None:
    rig = Rig(max_faces=2)
    with rig.analyzer:
        rig.streams[0].set_floor(1)
        for _ in range(60):
            late = [rig.clock.time - 0.001] * 4
            found = rig.all(late)
            rig.clock.time += 1 / 30
        assert rig.together.level > 1
        assert found[0].level == 1
        assert found[1].level > 1


def test_what_came_late_from_its_source_does_not_count_against_the_level() -> None:
    rig = Rig()
    with rig.analyzer:
        for _ in range(90):
            frames = [rig.frame(row, rig.clock.time + (0.05 if row else -0.1)) for row in range(4)]
            frames[0].judged = False
            for _ in rig.together.process(frames):
                pass
            rig.clock.time += 1 / 30
        assert rig.together.level == 0


def test_one_frame_that_fails_fails_alone(rig: Rig) -> None:
    class Broken(FakeDetector):
        def detect(self, image: Any, *, still: bool = False) -> Any:
            if np.array_equal(image, PICTURES[1]):
                raise EngineError("detector", "cannot", "Mend it")
            return super().detect(image, still=still)

        detect_batch = None  # type: ignore[assignment]

    with rtface.Analyzer(rig.options, detector=Broken(faces_of), engine=rig.engine, clock=rig.clock) as analyzer:
        together = analyzer.together()
        frames = [rig.frame(row, None, together.stream(rig.options)) for row in range(4)]
        found = {frames.index(one): result for one, result in together.process(frames)}
        assert isinstance(found[1], EngineError)
        assert all(isinstance(found[row], rtface.FrameResult) for row in (0, 2, 3))


def test_detection_waits_for_a_later_frame_when_all_together_would_be_late() -> None:
    rig = Rig()

    class Slow(FakeDetector):
        def detect(self, image: Any, *, still: bool = False) -> Any:
            rig.clock.time += 0.010
            return super().detect(image, still=still)

    with rtface.Analyzer(rig.options, detector=Slow(faces_of), engine=rig.engine, clock=rig.clock) as analyzer:
        together = analyzer.together()
        streams = [together.stream(rig.options) for _ in FACES]
        looked = []
        for _ in range(30):
            frames = [rig.frame(row, rig.clock.time + 0.033, streams[row]) for row in range(4)]
            results = [result for _, result in together.process(frames)]
            looked.append(
                sum(result.timing.detect_ms > 0 for result in results if isinstance(result, rtface.FrameResult))
            )
            rig.clock.time += 1 / 30
        assert looked[0] == 4  # nothing was measured yet
        assert max(looked[2:]) <= 3 and sum(looked[2:]) >= 8
        assert together.level == 0  # a detection a few frames later breaks no promise

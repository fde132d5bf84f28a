"""A detector that looks beside the engine: its answer is met at the next frame, and belongs to the frame before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.analyzer.together import StreamFrame
from rtface.detect import Detections
from rtface.errors import EngineError
from rtface.options import Options
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame, FrameResult

FPS = 30


class Beside(FakeDetector):
    """Looks beside the engine where it may; what it saw is of the picture that it was given.

    Attributes:
        begun: Numbers of the calls that were not waited for.
        met: How many of them were asked for their answer.
    """

    def __init__(self, faces: Any = (), able: bool = True) -> None:
        super().__init__(faces)
        self.able, self.begun, self.met, self.error = able, 0, 0, None

    def begin_detect(self, image: np.ndarray) -> Callable[[], Detections] | None:
        if not self.able:
            return None
        self.begun += 1
        found, error = self.detect(image), self.error

        def answer() -> Detections:
            self.met += 1
            if error is not None:
                raise error
            return found

        return answer


def run(
    pictures: Sequence[Sequence[Painted]], detector: FakeDetector, fps: float = FPS, **options: Any
) -> list[FrameResult]:
    """A result for each picture; the detector sees what the picture shows."""
    given = {"smooth": False, **options}
    with Analyzer(Options(**given), detector=detector, engine=FakeEngine(), clock=FakeClock()) as analyzer:
        results = []
        for index, faces in enumerate(pictures):
            if not callable(detector.faces):
                detector.faces = list(faces)
            results.append(analyzer.video(paint(faces), at=index / fps))
        return results


def walk(count: int, step: float = 6.0) -> list[list[Painted]]:
    """Two faces that go opposite ways, with the second a little slower."""
    return [[Painted(120 + step * at, 160), Painted(520 - 0.5 * step * at, 330)] for at in range(count)]


def test_faces_go_on_as_they_do_with_a_detector_that_is_waited_for() -> None:
    pictures = walk(45)
    later, waited = Beside(), FakeDetector()
    mine, theirs = run(pictures, later), run(pictures, waited)
    assert later.begun >= 4 and later.met == later.begun and later.calls == waited.calls
    for faces, ours, expected in zip(pictures, mine, theirs, strict=True):
        assert [face.track_id for face in ours] == [face.track_id for face in expected] == [1, 2]
        for face, painted in zip(ours, faces, strict=True):
            np.testing.assert_allclose(face.points5, painted.points5, atol=1.0)
            np.testing.assert_allclose(face.box_xyxy, painted.box, atol=2.0)  # never drawn back by an old box


def test_only_the_frame_after_waits_for_the_answer() -> None:
    detector, events = Beside(), list[str]()

    class Noted(FakeEngine):
        def run(self, batch: Any, names: Any) -> Any:
            events.append(f"engine {detector.begun} begun, {detector.met} met")
            return super().run(batch, names)

    with Analyzer(Options(detect_every_ms=100), detector=detector, engine=Noted(), clock=FakeClock()) as analyzer:
        for index, faces in enumerate(walk(8)):
            detector.faces = list(faces)
            analyzer.video(paint(faces), at=index / FPS)
    assert events[3:5] == ["engine 1 begun, 0 met", "engine 1 begun, 1 met"], "due on the fourth frame, after 100 ms"


def test_a_newcomer_is_there_one_frame_later_and_where_it_is_then() -> None:
    pictures = walk(20)
    for at in range(9, 20):
        pictures[at].append(Painted(300 + 8 * at, 90, 20))
    later, waited = Beside(), FakeDetector()
    mine, theirs = run(pictures, later, detect_every_ms=300), run(pictures, waited, detect_every_ms=300)
    first = [next(index for index, result in enumerate(results) if len(result) == 3) for results in (mine, theirs)]
    assert first == [10, 9]
    for result, faces in zip(mine[10:], pictures[10:], strict=True):
        assert [face.track_id for face in result] == [1, 2, 3]
        np.testing.assert_allclose(result.faces[2].points5, faces[2].points5, atol=1.5)


@pytest.mark.parametrize(
    ("why", "fps", "options"),
    [
        ("frames are far apart", 10, {}),
        ("faces are blurred by what was seen on the very frame", FPS, {"privacy": "blur"}),
        ("nothing else is asked for", FPS, {"tasks": ()}),
    ],
)
def test_it_is_waited_for_where_the_frame_needs_it(why: str, fps: float, options: dict[str, Any]) -> None:
    detector = Beside()
    run(walk(12), detector, fps, **options)
    assert detector.calls > 1 and detector.begun == 0, why


def test_it_is_waited_for_while_nobody_is_there_or_somebody_is_in_doubt() -> None:
    nobody = Beside()
    run([[]] * 6, nobody)
    assert nobody.calls == 6 and nobody.begun == 0
    doubtful = Beside()
    pictures = walk(14)
    for at in range(4, 10):
        pictures[at] = pictures[at][:1]  # the engine misses the other face: every frame is looked at, and waited for
    run(pictures, doubtful, detect_every_ms=3000)
    assert doubtful.calls > 5 and doubtful.begun == 0


def test_what_was_gone_by_the_next_frame_is_no_face() -> None:
    pictures = walk(30)
    shows = [index for index in range(1, 30) if index % 3 == 0]
    detector = Beside()
    found, real = detector.detect, list[int]()

    def with_ghost(image: np.ndarray, *, still: bool = False) -> Detections:
        """A face that is there on a single frame: when the engine looks for it, it is not."""
        real.append(len(real))
        before = detector.faces
        assert not callable(before)
        detector.faces = [*before, Painted(420, 60, 25)]
        try:
            return found(image)
        finally:
            detector.faces = before

    begin = detector.begin_detect

    def begin_with_ghost(image: np.ndarray) -> Callable[[], Detections] | None:
        detector.detect = with_ghost  # type: ignore[method-assign]
        try:
            return begin(image)
        finally:
            detector.detect = found  # type: ignore[method-assign]

    detector.begin_detect = begin_with_ghost  # type: ignore[method-assign]
    results = run(pictures, detector, detect_every_ms=100)
    assert len(real) == detector.begun >= 3 and shows
    assert {face.track_id for result in results for face in result} == {1, 2}
    assert all(len(result) == 2 for result in results)


def test_the_engines_word_of_the_frame_stands() -> None:
    """A face that the engine has just denied is not brought back by what the detector saw on the same frame."""
    detector = Beside()
    with Analyzer(Options(detect_every_ms=100), detector=detector, engine=FakeEngine(), clock=FakeClock()) as analyzer:
        shown = list[list[bool]]()
        for index, faces in enumerate(walk(8)):
            detector.faces = list(faces)
            hidden = index >= 3  # from the frame on of which the detector's look is not waited for
            result = analyzer.video(paint(faces[:1] if hidden else faces), at=index / FPS)
            shown.append([face.predicted for face in result])
    assert detector.begun == 1
    assert shown[3] == shown[4] == [False, True]


def test_where_it_cannot_now_it_is_waited_for_and_the_records_are_the_same() -> None:
    pictures = walk(30)
    able, waited = Beside(able=False), FakeDetector()
    mine, theirs = run(pictures, able), run(pictures, waited)
    assert able.begun == 0 and able.calls == waited.calls
    for ours, expected in zip(mine, theirs, strict=True):
        for face, other in zip(ours, expected, strict=True):
            assert np.array_equal(face.box_xyxy, other.box_xyxy) and np.array_equal(face.points5, other.points5)


@pytest.mark.parametrize("what", ["another size", "another form", "time set back", "reset", "the end", "a long pause"])
def test_an_answer_of_another_scene_harms_nobody(what: str) -> None:
    detector = Beside()
    pictures = walk(5)
    with Analyzer(Options(detect_every_ms=100), detector=detector, engine=FakeEngine(), clock=FakeClock()) as analyzer:
        for index, faces in enumerate(pictures[:4]):
            detector.faces = list(faces)
            analyzer.video(paint(faces), at=index / FPS)
        assert (detector.begun, detector.met) == (1, 0)
        faces = pictures[4]
        if what == "the end":
            return
        if what == "reset":
            analyzer.reset()
        scale = 0.5 if what == "another size" else 1.0
        now = [Painted(face.x * scale, face.y * scale, face.half * scale) for face in faces]
        size = {"another size": (320, 240), "another form": (640, 400)}.get(what, (640, 480))
        detector.faces = now
        at = {"time set back": 0.01, "a long pause": 20.0}.get(what, 4 / FPS)
        result = analyzer.video(paint(now, *size), at=at)
        assert detector.met == (0 if what == "reset" else 1)
        assert len(result) == 2
        for face, painted in zip(sorted(result, key=lambda face: face.box_xyxy[0]), now, strict=True):
            np.testing.assert_allclose(face.points5, painted.points5, atol=1.5)


def test_a_network_that_fails_meanwhile_is_said_at_the_next_frame_and_only_there() -> None:
    detector = Beside()
    pictures = walk(7)
    with Analyzer(Options(detect_every_ms=100), detector=detector, engine=FakeEngine(), clock=FakeClock()) as analyzer:
        for index, faces in enumerate(pictures):
            detector.faces = list(faces)
            detector.error = EngineError("detector", "broke", "Mend it") if index == 3 else None
            if index == 4:
                with pytest.raises(EngineError, match="detector: broke"):
                    analyzer.video(paint(faces), at=index / FPS)
                continue
            assert len(analyzer.video(paint(faces), at=index / FPS)) == 2
    assert (detector.begun, detector.met) == (1, 1)


def test_several_streams_meet_each_its_own_answer() -> None:
    scenes = [walk(20), [faces[::-1] for faces in walk(20, 3.0)], [[Painted(320, 240 + at, 40)] for at in range(20)]]
    at_frame = 0

    def shown(image: np.ndarray) -> Sequence[Painted]:
        return next(scene[at_frame] for scene in scenes if np.array_equal(paint(scene[at_frame]), image))

    detector, clock = Beside(shown), FakeClock()
    options = Options(smooth=False)
    with Analyzer(options, detector=detector, engine=FakeEngine(), clock=clock) as analyzer:
        together = analyzer.together()
        streams = [together.stream(options) for _ in scenes]
        for at_frame in range(20):
            frames = [
                StreamFrame(stream, Frame(paint(scene[at_frame])), at_frame / FPS, None, options.tasks)
                for stream, scene in zip(streams, scenes, strict=True)
            ]
            for one, result in together.process(frames):
                assert isinstance(result, FrameResult)
                scene = scenes[frames.index(one)]
                assert len(result) == len(scene[at_frame])
                seen = sorted(result, key=lambda face: float(face.box_xyxy[0]))
                for face, painted in zip(seen, sorted(scene[at_frame]), strict=True):
                    np.testing.assert_allclose(face.points5, painted.points5, atol=1.0)
            clock.time += 1 / FPS
    assert detector.begun >= 3 and detector.met == detector.begun

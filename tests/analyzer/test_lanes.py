"""Stills a few at a time: in order, and each with the result that it has alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest

import rtface
from rtface.analyzer import Analyzer
from rtface.analyzer.lanes import TOGETHER, StillLanes
from rtface.capture.images import PictureSource
from rtface.errors import SourceError
from rtface.options import Options
from rtface.stream import MANY_STILLS, Stream
from rtface.system.clock import SystemClock
from rtface.testing import FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame

OPTIONS = Options(threads=1, still_tta=1)  # the fake's faces are not symmetric


@pytest.fixture
def analyzer() -> Iterator[Analyzer]:
    with Analyzer(OPTIONS, detector=FakeDetector([Painted(200, 180)]), engine=FakeEngine()) as opened:
        yield opened


@pytest.fixture(scope="module")
def demo() -> list[Frame]:
    """Pictures with a real face, one without, and one of another size."""
    with rtface.frames("demo", tasks=()) as results:
        frames = [result.frame for result in islice(results, 0, 18, 6)]
    half = Frame(np.ascontiguousarray(frames[0].image[:, 100:500]), index=98)
    return [*frames, Frame(np.zeros((480, 640, 3), np.uint8), index=99), half]


def taking(frames: list[Frame], end: Exception) -> Callable[[], Frame]:
    left = iter(frames)

    def take() -> Frame:
        frame = next(left, None)
        if frame is None:
            raise end
        return frame

    return take


def test_several_at_once_have_the_results_that_they_have_alone(demo: list[Frame]) -> None:
    with Analyzer(Options(threads=1)) as analyzer:
        together = analyzer.images(demo)
        alone = [analyzer.image(frame.image) for frame in demo]
        assert [result.frame.index for result in together] == [frame.index for frame in demo]
        assert [len(result) for result in together] == [1] * (len(demo) - 2) + [0, 1]
        for one, other in zip(together, alone, strict=True):
            for face, again in zip(one, other, strict=True):
                assert np.array_equal(face.landmarks.points, again.landmarks.points)
                assert np.array_equal(face.parsing.labels, again.parsing.labels)
                assert (face.score, face.quality, face.pose) == (again.score, again.quality, again.pose)
        assert all(face.landmarks is None for face in analyzer.images(demo[:2], tasks=())[0])


def test_each_has_its_share_of_the_time(analyzer: Analyzer) -> None:
    frames = [Frame(paint([Painted(200, 180)]), index=index) for index in range(3)]
    timings = [result.timing for result in analyzer.images(frames)]
    assert timings[0] == timings[1] == timings[2]
    assert timings[0].total_ms > 0


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order_and_before_what_ended_them(analyzer: Analyzer, count: int) -> None:
    frames = [Frame(paint([Painted(200, 180)]), index=index) for index in range(3 * TOGETHER + 1)]
    lost = SourceError("disk", "was pulled out", "Put it back")
    seen = []
    with StillLanes(analyzer, count, lambda frame: frame) as lanes:
        take = taking(frames, lost)
        with pytest.raises(SourceError, match="was pulled out"):
            while True:
                frame, result = lanes.next(take, ("landmarks",))
                seen.append((frame.index, result.frame.index))
    assert seen == [(index, index) for index in range(len(frames))]


def test_a_folder_is_analysed_by_lanes_and_its_rows_are_those_of_its_pictures(
    tmp_path: Path, demo: list[Frame]
) -> None:
    for number in range(MANY_STILLS):
        cv2.imwrite(str(tmp_path / f"{number}.png"), demo[number % 3].image)
    (tmp_path / "3.png").write_bytes(b"no picture")
    options = Options(threads=2, still_tta=1, still_refine=1, tasks=("landmarks", "pose"))
    with Stream(tmp_path, live=False, options=options) as stream:
        results = list(stream)
    assert [Path(result.source).stem for result in results] == [str(n) for n in range(MANY_STILLS) if n != 3]
    assert [result.frame.index for result in results] == list(range(MANY_STILLS - 1))
    assert stream.summary["corrupt"] == 1 and "3.png" in stream.summary["unreadable"][0]
    alone = rtface.analyze(tmp_path / "4.png", options=options)
    for face, again in zip(results[3], alone, strict=True):
        assert np.allclose(face.landmarks.points, again.landmarks.points, atol=1e-3)


def test_a_run_on_pictures_can_be_left_early(tmp_path: Path, analyzer: Analyzer) -> None:
    for number in range(20):
        cv2.imwrite(str(tmp_path / f"{number}.png"), paint([Painted(200, 180)]))
    with Stream(tmp_path, live=False, options=OPTIONS, analyzer=analyzer, max_frames=5) as stream:
        assert len(list(stream)) == 5
    with Stream(tmp_path, live=False, options=OPTIONS, analyzer=analyzer) as stream:
        next(stream)
    assert stream.summary["frames"] == 1


def test_pictures_are_decoded_ahead_in_order_with_the_damaged_named(tmp_path: Path) -> None:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.full((20, 30, 3), number, np.uint8))
    (tmp_path / "00.png").write_bytes(b"")
    (tmp_path / "07.png").write_bytes(b"no picture")
    with PictureSource("folder", sorted(tmp_path.iterdir()), SystemClock()) as source:
        read = list(iter(source.read, None))
    assert [int(frame.image[0, 0, 0]) for frame in read] == [1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert [frame.index for frame in read] == list(range(10))
    assert [Path(path).name for path in source.errors] == ["00.png", "07.png"]
    assert source.read() is None

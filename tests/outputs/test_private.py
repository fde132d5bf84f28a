from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.capture.source import Source
from rtface.errors import UsageError
from rtface.options import Options
from rtface.outputs.fanout import Fanout
from rtface.outputs.jsonl import JsonlSink
from rtface.outputs.private import private_result, without_picture
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.visits import VisitsSink
from rtface.stream import Stream
from rtface.system.clock import SystemClock
from rtface.testing import COLOURS, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame


class Kept(Sink):
    """Keeps what it is given, as an output that shows pictures would."""

    name = "kept"

    def __init__(self):
        self.results = []

    def open(self, info):
        pass

    def write(self, result):
        self.results.append(result)


def colours_in(image: np.ndarray) -> int:
    """Pixels of the dots that make a painted face."""
    return int(sum((np.abs(image.astype(int) - colour).max(axis=2) < 40).sum() for colour in COLOURS))


def analyzed(privacy: str, frames: int = 30, **options):
    detector = FakeDetector()
    with Analyzer(Options(privacy=privacy, max_faces=1, **options), detector=detector, engine=FakeEngine()) as analyzer:
        rng = np.random.default_rng(1)
        for index in range(frames):
            x, y = rng.uniform(120, 500), rng.uniform(120, 360)
            detector.faces = [Painted(x, y, 30), Painted(70, 70, 20)]
            yield analyzer.video(paint(detector.faces), index / 30, index=index), detector


def test_the_detector_looks_at_every_frame_that_is_blurred():
    results = [result for result, _ in analyzed("blur")]
    assert all(result.possible_xyxy is not None and len(result.possible_xyxy) == 2 for result in results)
    *_, (_, detector) = analyzed("blur")
    assert detector.calls == 30


def test_no_face_leaves_however_fast_it_moves_and_beyond_the_most_faces():
    for result, _ in analyzed("blur"):
        assert colours_in(result.frame.image) > 300
        assert colours_in(private_result(result, "blur").frame.image) == 0
        assert not without_picture(result).frame.image.any()
        whole = private_result(replace(result, possible_xyxy=None), "blur").frame.image
        assert len(np.unique(whole.reshape(-1, 3), axis=0)) <= 12 * 9
        assert not private_result(result, "aggregate").frame.image.any()
        assert private_result(result, "full").frame.image is not None


@pytest.fixture
def source():
    class Painted3(Source):
        name, size_wh, fps = "painted", (640, 480), 30.0

        def __init__(self):
            self.index = 0

        def read(self):
            self.index += 1
            if self.index > 12:
                return None
            faces = [Painted(200 + 20 * self.index, 200)]
            now = SystemClock().now()
            return Frame(paint(faces), self.index - 1, now, self.index / 30)

        def close(self):
            pass

    return Painted3()


class Everywhere(FakeDetector):
    """Sees the painted face by its dots."""

    def detect(self, image, *, still=False):
        rows, columns = np.nonzero(np.abs(image.astype(int) - COLOURS[2]).max(axis=2) < 40)
        self.faces = [Painted(columns.mean(), rows.mean())] if len(rows) else []
        return super().detect(image, still=still)


def test_outputs_of_a_stream_get_blurred_pictures_and_its_user_the_original(source, tmp_path):
    options = Options(privacy="blur", audience=True)
    kept = Kept()
    with Analyzer(options, detector=Everywhere(), engine=FakeEngine()) as analyzer:
        outputs = [kept, tmp_path / "faces.jsonl"]
        with Stream(source, live=False, options=options, analyzer=analyzer, outputs=outputs) as stream:
            originals = [colours_in(result.frame.image) for result in stream]
    assert min(originals) > 300
    assert len(kept.results) == 12
    assert max(colours_in(result.frame.image) for result in kept.results) == 0
    assert all(result.faces for result in kept.results[2:])


def test_only_outputs_that_tell_of_groups_run_in_aggregate_mode(source, tmp_path):
    options = Options(privacy="aggregate")
    with Analyzer(options, detector=Everywhere(), engine=FakeEngine()) as analyzer:
        for output in (Kept(), JsonlSink(tmp_path / "faces.jsonl")):
            stream = Stream(source, live=False, options=options, analyzer=analyzer, outputs=[output])
            with pytest.raises(UsageError, match=r"visits\.db"), stream:
                pass
        assert not (tmp_path / "faces.jsonl").exists()
        with Stream(
            source, live=False, options=options, analyzer=analyzer, outputs=[VisitsSink(tmp_path / "v.db")]
        ) as s:
            list(s)


def test_what_ctrl_c_leaves_over_is_blurred_too():
    class Interrupted(Kept):
        own_thread = False

        def write(self, result):
            raise KeyboardInterrupt

    kept = Kept()
    info = RunInfo("walk", live=False, stills=False, fps=None, frame_count=None, header={})
    fanout = Fanout([Interrupted(), kept], info, live=False, privacy="blur")
    result, _ = next(iter(analyzed("blur")))
    with pytest.raises(KeyboardInterrupt):
        fanout.put(result)
    fanout.finish({})
    assert [colours_in(one.frame.image) for one in kept.results] == [0]

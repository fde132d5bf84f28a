"""Runs from end to end on painted faces: threads, outputs, ends and errors."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtface
from rtface.analyzer import Analyzer
from rtface.capture.source import Source
from rtface.errors import InputError, ModelError, OptionError, OutputError, SourceError, UsageError
from rtface.options import Options
from rtface.outputs.sink import RunInfo, Sink
from rtface.stream import Stream
from rtface.testing import FakeClock, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame, FrameResult

FACE = Painted(200, 180)
OPTIONS = Options(threads=1)


class PaintedSource(Source):
    """Painted frames at 25 fps; after ``fails_at`` frames it breaks off."""

    name = "painted"
    fps = 25.0
    size_wh = (640, 480)

    def __init__(self, frames: int, *, live: bool = False, stills: bool = False, fails_at: int | None = None) -> None:
        self.frame_count, self.live, self.stills = frames, live, stills
        self._fails_at = fails_at
        self.given = 0
        self.closed = False

    def read(self) -> Frame | None:
        if self.given == self._fails_at:
            raise SourceError(self.name, "broke off", "mend")
        if self.given == self.frame_count:
            return None
        self.given += 1
        index = self.given - 1
        media_time = None if self.live or self.stills else index / 25.0
        return Frame(paint([FACE._replace(x=200.0 + index)]), index, 100.0 + index / 25.0, media_time)

    def close(self) -> None:
        self.closed = True


class Keep(Sink):
    """Keeps the results; may do something at each."""

    name = "keep"
    own_thread = False

    def __init__(self, at_each: Callable[[FrameResult], None] = lambda result: None) -> None:
        self.results: list[FrameResult] = []
        self.summary: dict[str, Any] | None = None
        self.info: RunInfo | None = None
        self.at_each = at_each

    def open(self, info: RunInfo) -> None:
        self.info = info

    def write(self, result: FrameResult) -> None:
        self.results.append(result)
        self.at_each(result)

    def finish(self, summary: dict[str, Any]) -> None:
        self.summary = summary


@pytest.fixture
def analyzer() -> Analyzer:
    return Analyzer(OPTIONS, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=FakeClock())


def stream(source: object, analyzer: Analyzer | None, *, live: bool = False, **more: Any) -> Stream:
    more.setdefault("options", OPTIONS)
    return Stream(source, live=live, analyzer=analyzer, clock=FakeClock(), **more)  # type: ignore[arg-type]


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_file_is_analysed_whole_into_every_output(tmp_path: Path, analyzer: Analyzer) -> None:
    lines, video, keep, source = tmp_path / "out.jsonl", tmp_path / "out.mp4", Keep(), PaintedSource(20)
    with stream(source, analyzer, outputs=[lines, video, keep]) as run:
        assert [result.frame.index for result in run] == list(range(20))
    header, *frames, summary = records(lines)
    assert header["kind"] == "header"
    assert header["source"] == {"name": "painted", "width_px": 640, "height_px": 480, "fps": 25.0, "frame_count": 20}
    assert header["options"]["threads"] == 1
    assert [frame["index"] for frame in frames] == list(range(20))
    assert {face["track_id"] for frame in frames for face in frame["faces"]} == {1}
    assert summary["kind"] == "summary"
    assert summary["complete"] and not summary["interrupted"]
    assert (summary["frames"], summary["faces"], summary["dropped"]) == (20, 20, 0)
    assert run.summary == {name: value for name, value in summary.items() if name != "lost"}
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == 20
    assert keep.summary is not None
    assert source.closed


def test_the_files_own_time_moves_the_tracks_and_no_deadline_holds(analyzer: Analyzer) -> None:
    keep = Keep()
    with stream(PaintedSource(3), analyzer, outputs=[keep], options=Options(threads=1, budget_ms=1.0)) as run:
        list(run)
    assert [result.frame.media_time for result in keep.results] == [0.0, 0.04, 0.08]
    assert not any(result.late or result.skipped for result in keep.results)


def test_stills_have_nothing_to_do_with_one_another(analyzer: Analyzer) -> None:
    with stream(PaintedSource(3, stills=True), analyzer) as run:
        results = list(run)
    assert [result.frame.index for result in results] == [0, 1, 2]
    assert [face.track_id for result in results for face in result.faces] == [None] * 3


def test_live_takes_the_newest_frame_and_counts_the_others(analyzer: Analyzer) -> None:
    source = PaintedSource(30, live=True)
    with stream(source, analyzer, live=True) as run:
        run._grabber._thread.join(timeout=10)  # the camera is ahead of us
        (result,) = list(run)
    assert result.frame.index == 29
    assert result.dropped == 29
    assert run.summary["dropped"] == 29


def test_live_says_how_old_a_result_is_and_whether_it_is_late(analyzer: Analyzer) -> None:
    options = Options(threads=1, budget_ms=50.0)
    clock = FakeClock()
    clock.time = 101.2
    run = Stream(PaintedSource(30, live=True), live=True, analyzer=analyzer, clock=clock, options=options)
    with run:
        run._grabber._thread.join(timeout=10)
        (result,) = list(run)
    assert result.timing.age_ms == pytest.approx((101.2 - 101.16) * 1000)
    assert result.timing.capture_ms == pytest.approx(40.0)
    assert not result.late
    clock.time = 101.3
    with Stream(PaintedSource(1, live=True), live=True, analyzer=analyzer, clock=clock, options=options) as run:
        (result,) = list(run)
    assert result.late
    assert run.summary["late"] == 1


def test_a_file_played_live_comes_at_its_own_speed(analyzer: Analyzer) -> None:
    clock = FakeClock()
    with Stream(PaintedSource(10), live=True, analyzer=analyzer, clock=clock, options=OPTIONS) as run:
        run._grabber._thread.join(timeout=10)
        list(run)
    assert clock.time == pytest.approx(100.0 + 9 / 25)


def test_it_ends_after_so_many_frames(analyzer: Analyzer) -> None:
    source = PaintedSource(1000)
    with stream(source, analyzer, max_frames=5) as run:
        assert len(list(run)) == 5
        assert list(run) == []
    assert source.closed
    assert source.given < 50
    assert run.summary["complete"]


def test_it_ends_when_an_output_wants_no_more(analyzer: Analyzer) -> None:
    keep = Keep()
    keep.at_each = lambda result: setattr(keep, "done", result.frame.index == 2)
    with stream(PaintedSource(1000), analyzer, outputs=[keep]) as run:
        assert len(list(run)) == 3


@pytest.mark.parametrize("live", [False, True])
def test_a_source_that_breaks_off_leaves_whole_outputs(tmp_path: Path, analyzer: Analyzer, live: bool) -> None:
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    source = PaintedSource(20, fails_at=4)
    with (
        pytest.raises(SourceError, match="broke off"),
        stream(source, analyzer, outputs=[lines, video], live=live) as run,
    ):
        list(run)
    *_, summary = records(lines)
    assert summary["error"] == "painted: broke off. mend"
    assert not summary["complete"]
    assert 1 <= summary["frames"] <= 4
    assert cv2.VideoCapture(str(video)).read()[0]


def test_ctrl_c_leaves_whole_outputs(tmp_path: Path, analyzer: Analyzer) -> None:
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"

    def interrupt(result: FrameResult) -> None:
        if result.frame.index == 6:
            raise KeyboardInterrupt

    with (
        pytest.raises(KeyboardInterrupt),
        stream(PaintedSource(1000), analyzer, outputs=[lines, video, Keep(interrupt)]) as run,
    ):
        list(run)
    *_, last, summary = records(lines)
    assert (last["index"], summary["frames"]) == (6, 7)
    assert summary["interrupted"] and not summary["complete"]
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == 7


def test_an_output_that_fails_ends_the_run(tmp_path: Path, analyzer: Analyzer) -> None:
    def fail(result: FrameResult) -> None:
        raise OutputError("disk", "is full", "make room")

    lines, source = tmp_path / "out.jsonl", PaintedSource(1000)
    with (
        pytest.raises(OutputError, match="is full"),
        stream(source, analyzer, outputs=[lines, Keep(fail)]) as run,
    ):
        list(run)
    assert records(lines)[-1]["error"] == "disk: is full. make room"
    assert source.closed


def test_nothing_is_written_or_left_open_where_the_run_cannot_start(tmp_path: Path) -> None:
    lines = tmp_path / "out.jsonl"
    lines.write_text("of before")
    with pytest.raises(SourceError), stream(tmp_path / "none.mp4", None, outputs=[lines], overwrite=True):
        pass
    source = PaintedSource(3)
    options = Options(models_dir=str(tmp_path))
    with pytest.raises(ModelError), stream(source, None, outputs=[lines], overwrite=True, options=options):
        pass
    assert source.closed
    with pytest.raises(OutputError, match="exists already"), stream(source, None, outputs=[lines]):
        pass
    assert lines.read_text() == "of before"


def test_a_stream_is_used_in_a_with_statement(analyzer: Analyzer) -> None:
    with pytest.raises(UsageError, match="Use it in a with statement"):
        next(stream(PaintedSource(3), analyzer))


def test_pictures_of_a_source_of_ones_own_are_turned_too(analyzer: Analyzer) -> None:
    with stream(PaintedSource(1), analyzer, options=Options(threads=1, rotate=90)) as run:
        assert [result.frame.image.shape for result in run] == [(640, 480, 3)]


def test_a_stream_runs_once(analyzer: Analyzer) -> None:
    run = stream(PaintedSource(3), analyzer)
    with run:
        list(run)
    with pytest.raises(UsageError, match="a stream runs once"), run:
        pass


class SilentCamera(Source):
    """Gives one frame, then nothing until it is closed or another second has passed."""

    live = True

    def __init__(self) -> None:
        self.wake, self.given, self.waiting = threading.Event(), 0, threading.Event()

    def read(self) -> Frame | None:
        if self.given:
            self.waiting.set()
            self.wake.wait(20.0)
            return None
        self.given += 1
        return Frame(paint([FACE]))

    def close(self) -> None:
        self.wake.set()


def test_any_thread_may_stop_a_stream_that_waits_for_a_silent_camera(analyzer: Analyzer) -> None:
    camera = SilentCamera()
    run = Stream(camera, live=True, analyzer=analyzer, options=OPTIONS)

    def stop() -> None:
        camera.waiting.wait(20.0)
        run.stop()
        camera.wake.set()

    thread = threading.Thread(target=stop)
    with run:
        assert next(run).frame.index == 0
        thread.start()
        assert list(run) == []
    thread.join()
    assert run.summary["complete"]
    run.stop()  # afterwards too


def test_a_stream_that_was_stopped_before_it_began_gives_nothing(analyzer: Analyzer) -> None:
    run = stream(PaintedSource(3), analyzer)
    run.stop()
    with run:
        assert list(run) == []


def test_a_silent_camera_has_a_heartbeat(analyzer: Analyzer) -> None:
    camera, beats = SilentCamera(), []

    def beat(silent_s: float) -> None:
        beats.append(silent_s)
        if len(beats) == 2:
            run.stop()
            camera.wake.set()

    run = Stream(camera, live=True, analyzer=analyzer, options=OPTIONS, on_idle=beat)
    with run:
        list(run)
    assert 0.0 < beats[0] < beats[1]


def test_budget_and_tasks_change_between_two_frames(analyzer: Analyzer) -> None:
    seen: list[tuple[int, tuple[str, ...]]] = []
    with stream(PaintedSource(4), analyzer, live=False) as run:
        for result in run:
            seen.append((result.frame.index, result.tasks))
            if result.frame.index == 1:
                run.update(tasks=["pose"])
    assert [tasks for index, tasks in seen if index <= 1] == [rtface.TASKS] * 2
    assert [tasks for index, tasks in seen if index >= 2] == [("pose",)] * 2
    live = Stream(PaintedSource(4, live=True), live=True, analyzer=analyzer, options=OPTIONS)
    live.update(budget_ms=50.0)
    assert (live.options.budget_ms, live.options.tasks) == (50.0, rtface.TASKS)
    live.update(budget_ms=None, tasks=("pose",))
    assert (live.options.budget_ms, live.options.tasks) == (None, ("pose",))
    with pytest.raises(AttributeError):
        live.options = OPTIONS  # type: ignore[misc]
    with pytest.raises(OptionError, match="budget_ms: expected"):
        live.update(budget_ms=-1)
    with pytest.raises(InputError, match="task 'smile'"):
        live.update(tasks=["smile"])
    with pytest.raises(UsageError, match="no deadline"):
        run.update(budget_ms=50.0)


def test_a_budget_that_is_taken_away_holds_no_longer(analyzer: Analyzer) -> None:
    options = Options(threads=1, budget_ms=1.0)
    clock = FakeClock(tick=0.001)
    tight = Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=clock)
    updated = threading.Event()

    class Waiting(PaintedSource):
        def read(self) -> Frame | None:
            return None if self.given and not updated.wait(20.0) else super().read()

    with tight, Stream(Waiting(6), live=True, analyzer=tight, clock=clock, options=options) as run:
        first = next(run)
        run.update(budget_ms=None)
        updated.set()
        rest = list(run)
    assert first.late
    assert rest and not any(result.late or result.skips for result in rest)


def test_a_live_result_has_the_time_of_its_grab_in_utc(tmp_path: Path, analyzer: Analyzer) -> None:
    lines = tmp_path / "out.jsonl"
    before = datetime.now(timezone.utc)
    source = PaintedSource(3, live=True)
    with Stream(source, live=True, analyzer=analyzer, clock=FakeClock(), options=OPTIONS, outputs=[lines]) as run:
        results = list(run)
    for result in results:
        assert result.time is not None
        grabbed = result.time + timedelta(milliseconds=result.timing.age_ms)
        assert before <= grabbed <= datetime.now(timezone.utc)
    header, frame, *_ = records(lines)
    assert before.isoformat()[:16] <= header["started_at"][:16]
    assert frame["time"].endswith("Z")


def test_a_file_has_times_of_day_where_it_is_known_when_it_began(tmp_path: Path, analyzer: Analyzer) -> None:
    lines = tmp_path / "out.jsonl"
    with stream(PaintedSource(3), analyzer, started_at="2026-07-01T12:00:00+02:00", outputs=[lines]) as run:
        list(run)
    header, *frames, _ = records(lines)
    assert header["started_at"] == "2026-07-01T10:00:00.000Z"
    assert [frame["time"] for frame in frames] == [f"2026-07-01T10:00:00.{ms:03}Z" for ms in (0, 40, 80)]
    with stream(PaintedSource(3), analyzer, outputs=[lines], overwrite=True) as run:
        list(run)
    header, *frames, _ = records(lines)
    assert header["started_at"] is None
    assert {frame["time"] for frame in frames} == {None}
    with pytest.raises(OptionError, match="started_at: expected a time such as"):
        stream(PaintedSource(3), analyzer, started_at="yesterday")


def test_each_result_names_its_source(analyzer: Analyzer) -> None:
    with stream(PaintedSource(1), analyzer) as run:
        assert [result.source for result in run] == ["painted"]


class Unfinished:
    """A source and a sink that lacks most of either."""

    def read(self) -> None:
        return None

    def open(self, info: RunInfo) -> None:
        pass


@pytest.mark.parametrize(
    ("source", "outputs", "says"),
    [
        (Unfinished(), [], r"source: expected .* or a rtface.Source, got a Unfinished without close\(\)\. Derive it"),
        (PaintedSource, [], r"got the class PaintedSource itself, not an object of it: PaintedSource\(…\)"),
        (3.5, [], "got a float without close"),
        (PaintedSource(1), [Unfinished()], r"or a rtface.Sink, got a Unfinished without write\(\)\. Derive it from"),
    ],
)
def test_what_is_no_source_or_sink_is_refused_in_one_line(
    analyzer: Analyzer, source: Any, outputs: list[Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught, stream(source, analyzer, outputs=outputs):
        pass
    assert "\n" not in str(caught.value)


def test_a_source_of_ones_own_that_gives_no_frames_is_named(analyzer: Analyzer) -> None:
    class Arrays(PaintedSource):
        def read(self) -> Any:
            return np.zeros((480, 640, 3), np.uint8)

    with (
        pytest.raises(UsageError, match=r"read\(\) gave a ndarray, expected a rtface.Frame"),
        stream(Arrays(1), analyzer) as run,
    ):
        list(run)


def test_the_callers_analyzer_stays_open(analyzer: Analyzer) -> None:
    with stream(PaintedSource(1), analyzer) as run:
        list(run)
    assert not analyzer.engine.closed  # type: ignore[attr-defined]


def test_arguments_become_options() -> None:
    live = rtface.live("demo", budget_ms=33, tasks=("pose",), options=OPTIONS, wait=True)
    assert live.options.wait
    assert (live._options.budget_ms, live._options.tasks, live._options.threads) == (33.0, ("pose",), 1)
    with pytest.raises(OptionError, match="budget_ms: expected"):
        rtface.live("demo", budget_ms=-1)
    with pytest.raises(OptionError, match="max_frames: expected"):
        rtface.run("demo", max_frames=0)


def test_analyze_takes_arrays_and_paths_and_keeps_its_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rtface import api

    made: list[Options] = []

    def make(options: Options) -> Analyzer:
        made.append(options)
        plain = replace(options, still_tta=1)  # the fake's faces are not symmetric
        return Analyzer(plain, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=FakeClock())

    monkeypatch.setattr(api, "Analyzer", make)
    monkeypatch.setattr(api, "_kept", None)
    image = paint([FACE])
    path = tmp_path / "face.png"
    cv2.imwrite(str(path), image)
    for given in (image, path, str(path)):
        (face,) = rtface.analyze(given).faces
        assert np.allclose(face.points5, FACE.points5, atol=2)
    boxed = rtface.analyze(image, [[140, 120, 260, 240]], ["pose"])
    assert boxed.tasks == ("pose",)
    assert rtface.analyze(image, tasks="emotion").tasks == ("emotion",)
    assert len(boxed.faces) == 1
    assert len(made) == 1
    rtface.analyze(image, options=Options(max_faces=1))
    assert [options.max_faces for options in made] == [8, 1]

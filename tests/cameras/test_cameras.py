"""Several cameras on one set of networks, through all threads; no networks, no sleeping."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rtface
import rtface.cameras.camera
from rtface.cameras import Cameras
from rtface.capture import named as named_sources
from rtface.capture.named import NamedSource
from rtface.errors import OutputError, SourceError, UsageError
from rtface.options import Options
from rtface.outputs.sink import RunInfo, Sink
from rtface.testing import FakeCamera, FakeDetector, FakeEngine, Painted, paint
from rtface.types import Event, FrameResult

PLACES = [Painted(160, 240), Painted(320, 240), Painted(480, 240)]
PICTURES = [paint([place]) for place in PLACES]


def faces_of(image: Any) -> Sequence[Painted]:
    return [place for place, picture in zip(PLACES, PICTURES, strict=True) if np.array_equal(image, picture)]


def analyzer(options: Options | None = None) -> rtface.Analyzer:
    return rtface.Analyzer(options or Options(), detector=FakeDetector(faces_of), engine=FakeEngine())


def camera(row: int = 0, **facts: Any) -> FakeCamera:
    return FakeCamera([PLACES[row]], **{"live": True, "frames": 12, **facts})


def by_camera(results: Iterable[FrameResult]) -> dict[str, list[FrameResult]]:
    found: dict[str, list[FrameResult]] = defaultdict(list)
    for result in results:
        found[result.camera].append(result)
    return found


class Collect(Sink):
    own_thread = False
    many_cameras = True

    def __init__(self, name: str = "collect") -> None:
        self.name = name
        self.results: list[FrameResult] = []
        self.info: RunInfo | None = None
        self.summary: dict[str, Any] = {}

    def open(self, info: RunInfo) -> None:
        self.info = info

    def write(self, result: FrameResult) -> None:
        self.results.append(result)

    def finish(self, summary: dict[str, Any]) -> None:
        self.summary = summary


class Gated(FakeCamera):
    """Gives its frames only while it may."""

    def __init__(self, row: int = 0, **facts: Any) -> None:
        super().__init__([PLACES[row]], live=True, **facts)
        self.may = threading.Event()
        self.over = False

    def read(self) -> rtface.Frame | None:
        self.may.wait(20)
        return None if self.over else super().read()

    def close(self) -> None:
        super().close()
        self.over = True
        self.may.set()


def until(cameras: Cameras, happened: Callable[[], bool], most: int = 5000) -> list[FrameResult]:
    """Results until something holds."""
    seen = []
    for result in cameras:
        seen.append(result)
        if happened():
            return seen
        assert len(seen) < most
    assert happened()
    return seen


def test_each_result_has_its_camera_and_ids_are_of_each() -> None:
    with analyzer() as own, Cameras([camera(0), camera(1), camera(2)], analyzer=own) as cameras:
        found = by_camera(cameras)
    assert list(found) and set(found) == {"fake-camera", "fake-camera-2", "fake-camera-3"}
    for row, name in enumerate(("fake-camera", "fake-camera-2", "fake-camera-3")):
        assert found[name][-1].frame.index == 11
        (face,) = found[name][-1].faces
        assert face.track_id == 1
        assert face.box_xyxy[:2] == pytest.approx(PLACES[row].box[:2], abs=25)
    assert cameras.summary["frames"] == sum(len(results) for results in found.values())
    assert list(cameras.summary["cameras"]) == ["fake-camera", "fake-camera-2", "fake-camera-3"]


def test_live_with_a_list_is_cameras_and_with_names_too() -> None:
    assert isinstance(rtface.live([camera(0), camera(1)]), Cameras)
    with_names = rtface.live({"door": camera(0), "hall": camera(1)}, budget_ms=50)
    assert isinstance(with_names, Cameras) and with_names.names == ("door", "hall")
    assert with_names.options.budget_ms == 50


def test_outputs_by_camera_and_of_all(tmp_path: Path) -> None:
    every = Collect()
    outputs: list[str | Path | Sink] = [str(tmp_path / "{camera}.jsonl"), tmp_path / "all.jsonl", every]
    with (
        analyzer() as own,
        Cameras({"door": camera(0), "hall": camera(1)}, analyzer=own, outputs=outputs) as cameras,
    ):
        count = sum(1 for _ in cameras)
    for name in ("door", "hall"):
        header, *frames, summary = map(json.loads, (tmp_path / f"{name}.jsonl").read_text().splitlines())
        assert header["camera"] == name and header["kind"] == "header"
        assert {frame["camera"] for frame in frames} == {name}
        assert summary["complete"] and frames[-1]["index"] == 11
    header, *frames, summary = map(json.loads, (tmp_path / "all.jsonl").read_text().splitlines())
    assert header["source"]["cameras"] == ["door", "hall"]
    assert {frame["camera"] for frame in frames} == {"door", "hall"}
    assert summary["frames"] == count == len(every.results)
    assert set(summary["cameras"]) == {"door", "hall"}
    assert {event["camera"] for frame in frames for event in frame["events"]} <= {"door", "hall"}


def test_it_ends_after_so_many_results_of_all_together(tmp_path: Path) -> None:
    every, sources = Collect(), [Gated(0), Gated(1), Gated(2)]
    for source in sources:
        source.may.set()
    outputs: list[str | Path | Sink] = [every, str(tmp_path / "{camera}.jsonl")]
    with analyzer() as own, Cameras(sources, analyzer=own, outputs=outputs, max_frames=5) as cameras:
        assert len(list(cameras)) == 5
    records = [json.loads(line) for file in tmp_path.iterdir() for line in file.read_text().splitlines()]
    assert sum(record["kind"] == "frame" for record in records) == 5
    assert len(every.results) == 5 and every.summary["frames"] == 5


def test_an_output_of_one_camera_only_is_refused_before_the_start(tmp_path: Path) -> None:
    with (
        analyzer() as own,
        pytest.raises(OutputError, match=r"\{camera\}"),
        Cameras([camera(0), camera(1)], analyzer=own, outputs=[tmp_path / "faces.mp4"]),
    ):
        pass
    assert not (tmp_path / "faces.mp4").exists()


def test_a_camera_that_breaks_off_harms_no_other() -> None:
    events: list[Event] = []
    sources = {"door": camera(0, fails_at=3), "hall": camera(1, frames=40)}
    with analyzer() as own, Cameras(sources, analyzer=own, on_event=events.append) as cameras:
        found = by_camera(cameras)
        assert cameras.state("door") == "failed"
    assert found["hall"][-1].frame.index == 39
    (failed,) = [event for event in events if event.kind == "camera_failed"]
    assert failed.camera == "door" and "broke off" in failed.what
    assert cameras.summary["cameras"]["door"]["error"] is not None
    assert cameras.summary["cameras"]["hall"]["error"] is None


def test_a_camera_whose_source_raises_nonsense_harms_no_other() -> None:
    class Nonsense(FakeCamera):
        def read(self) -> rtface.Frame | None:
            raise ZeroDivisionError("nonsense")

    sources = {"door": Nonsense(PLACES[:1], live=True), "hall": camera(1, frames=40)}
    with analyzer() as own, Cameras(sources, analyzer=own) as cameras:
        found = by_camera(cameras)
    assert found["hall"][-1].frame.index == 39 and "door" not in found


def test_when_the_only_camera_fails_the_run_does() -> None:
    with (
        analyzer() as own,
        pytest.raises(SourceError, match="broke off"),
        Cameras([camera(0, fails_at=0)], analyzer=own) as cameras,
    ):
        list(cameras)


def test_a_file_that_is_not_there_is_said_before_the_start(tmp_path: Path) -> None:
    with (
        analyzer() as own,
        pytest.raises(SourceError, match=r"nothing\.mp4"),
        Cameras([camera(0), str(tmp_path / "nothing.mp4")], analyzer=own),
    ):
        pass


def test_a_camera_that_is_not_there_is_waited_for_while_others_run() -> None:
    events: list[Event] = []
    with (
        analyzer() as own,
        Cameras({"door": "/dev/video97", "hall": camera(1)}, analyzer=own, on_event=events.append) as cameras,
    ):
        first = next(iter(cameras))
        assert first.camera == "hall"
        assert cameras.state("door") == "opening"
    assert [event.camera for event in events if event.kind == "source_awaited"] == ["door"]


def test_where_no_camera_is_there_it_is_an_error_unless_they_are_waited_for() -> None:
    with analyzer() as own, pytest.raises(SourceError, match="97"), Cameras(["/dev/video97"], analyzer=own):
        pass
    two = ["/dev/video97", "door=rtsp://127.0.0.1:9/door"]
    with (
        analyzer() as own,
        pytest.raises(SourceError, match=r"door.*: none is there\. --wait waits"),
        Cameras(two, analyzer=own),
    ):
        pass


def test_cameras_come_and_go_while_it_runs(tmp_path: Path) -> None:
    first, second = Gated(0), Gated(1)
    first.may.set()
    second.may.set()
    with (
        analyzer() as own,
        Cameras({"door": first}, analyzer=own, outputs=[str(tmp_path / "{camera}.jsonl")]) as cameras,
    ):
        assert next(cameras).camera == "door"
        assert cameras.add(second, "hall") == "hall"
        seen = until(cameras, lambda: cameras.summary["cameras"].get("hall", {}).get("frames", 0) > 2)
        assert {result.camera for result in seen} == {"door", "hall"}
        cameras.remove("door")
        assert cameras.names == ("hall",)
        until(cameras, lambda: first.closed)
        with pytest.raises(UsageError, match="Its cameras are: hall"):
            cameras.remove("door")
    assert second.closed
    for name in ("door", "hall"):
        lines = (tmp_path / f"{name}.jsonl").read_text().splitlines()
        assert json.loads(lines[-1])["complete"]


def test_what_a_removed_camera_held_goes_at_once_not_when_the_collector_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = Gated(0), Gated(1)
    freed: list[bool] = []
    monkeypatch.setattr(rtface.cameras.camera, "give_back", lambda: freed.append(pipeline() is None))
    first.may.set()
    second.may.set()
    with analyzer() as own, Cameras({"door": first, "hall": second}, analyzer=own) as cameras:
        until(cameras, lambda: cameras.summary["cameras"].get("door", {}).get("frames", 0) > 1)
        camera = cameras._roster.known("door")
        assert camera._stream is not None
        pipeline = weakref.ref(camera._stream.pipeline.pipeline)
        gc.disable()
        try:
            cameras.remove("door")
            until(cameras, lambda: camera.closed and pipeline() is None)
        finally:
            gc.enable()
        assert freed == [True]  # and then the system has it


def test_a_camera_switched_off_is_closed_and_its_file_is_left_whole_when_it_is_on_again(tmp_path: Path) -> None:
    clip, hall = FakeCamera([PLACES[0]], live=True), Gated(1)
    hall.may.set()
    with (
        analyzer() as own,
        Cameras({"door": clip, "hall": hall}, analyzer=own, outputs=[str(tmp_path / "{camera}.jsonl")]) as cameras,
    ):
        until(cameras, lambda: cameras.summary["cameras"].get("door", {}).get("frames", 0) > 1)
        cameras.enable("door", False)
        assert cameras.state("door") == "off"
        until(cameras, lambda: clip.closed)
        cameras.enable("door", True)
        until(cameras, lambda: (tmp_path / "door-2.jsonl").exists() and cameras.state("door") == "on")
    assert json.loads((tmp_path / "door.jsonl").read_text().splitlines()[-1])["kind"] == "summary"
    assert json.loads((tmp_path / "door-2.jsonl").read_text().splitlines()[0])["camera"] == "door"


def test_a_camera_that_is_taken_away_and_comes_back_leaves_what_was_written_whole(tmp_path: Path) -> None:
    first, second, third, hall = sources = [Gated(0), Gated(0), Gated(0), Gated(1)]
    for source in sources:
        source.may.set()
    outputs = [str(tmp_path / "{camera}.jsonl")]
    with (
        analyzer() as own,
        Cameras({"door": first, "hall": hall}, analyzer=own, outputs=outputs, overwrite=True) as cameras,
    ):
        for source in (second, third):
            until(cameras, lambda: cameras.summary["cameras"].get("door", {}).get("frames", 0) > 1)
            cameras.remove("door")
            cameras.add(source, "door")
        until(cameras, lambda: (tmp_path / "door-3.jsonl").exists() and cameras.state("door") == "on")
    for name in ("door", "door-2"):
        header, *_, summary = map(json.loads, (tmp_path / f"{name}.jsonl").read_text().splitlines())
        assert header["camera"] == "door" and summary["kind"] == "summary"


def test_the_file_is_watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_sources, "WATCH_S", 0.0)
    events: list[Event] = []
    file = tmp_path / "cameras.toml"
    file.write_text('[a]\nsource = "demo"\nloop = true\n')
    with analyzer() as own, Cameras(file=file, analyzer=own, on_event=events.append) as cameras:
        next(cameras)
        file.write_text('[b]\nsource = "demo"\nloop = true\npriority = 2\n[c]\nsource = "demo"\nenabled = false\n')
        until(cameras, lambda: cameras.names == ("b", "c") and cameras.state("b") == "on")
        assert cameras.state("c") == "off"
        file.write_text("[b\n")
        until(cameras, lambda: any(event.kind == "cameras_unread" for event in events))
        assert cameras.names == ("b", "c")  # as it was


def test_what_was_switched_off_stays_off_when_the_file_changes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_sources, "WATCH_S", 0.0)
    a, b = '[a]\nsource = "demo"\nloop = true\n', '[b]\nsource = "demo"\nloop = true\n'
    file = tmp_path / "cameras.toml"
    file.write_text(a + b)
    with analyzer() as own, Cameras(file=file, analyzer=own) as cameras:
        next(cameras)
        cameras.enable("a", False)
        for change in ('[c]\nsource = "demo"\n', '[d]\nsource = "demo"\n'):
            file.write_text(a + "mirror = true\n" * ("[d]" in change) + b + change)
            until(cameras, lambda: change[1] in cameras.names)  # noqa: B023
            assert cameras.state("a") == "off"
        file.write_text(a + "enabled = false\n" + b)
        until(cameras, lambda: cameras.names == ("a", "b"))
        assert cameras.state("a") == "off"
        file.write_text(a + b)
        until(cameras, lambda: cameras.state("a") == "on")


def test_a_stop_from_another_thread_ends_it_and_all_sources() -> None:
    sources = [Gated(0), Gated(1)]  # give nothing
    with analyzer() as own, Cameras(sources, analyzer=own) as cameras:

        def end() -> None:
            cameras.stop()
            for source in sources:
                source.over = True
                source.may.set()

        threading.Timer(0.05, end).start()
        assert list(cameras) == []
    assert all(source.closed for source in sources)


def test_an_output_that_fails_ends_its_camera_only() -> None:
    class Full(Collect):
        def write(self, result: FrameResult) -> None:
            raise OutputError("door.jsonl", "cannot be written (disk full)", "Make room")

    sinks: dict[str, Sink] = {"door": Full("door"), "hall": Collect("hall")}
    sources = {"door": camera(0, frames=30), "hall": camera(1, frames=30)}
    with (
        analyzer() as own,
        pytest.raises(OutputError, match="disk full"),
        Cameras(sources, analyzer=own, sinks_of=lambda name: [sinks[name]]) as cameras,
    ):
        found = by_camera(cameras)
    assert found["hall"][-1].frame.index == 29


def test_another_budget_and_other_tasks_for_all() -> None:
    sources = [Gated(0), Gated(1)]
    for source in sources:
        source.may.set()
    with analyzer() as own, Cameras(sources, analyzer=own) as cameras:
        next(cameras)
        cameras.update(budget_ms=200, tasks=["pose"])
        seen = until(cameras, lambda: cameras.options.tasks == ("pose",))
        while seen[-1].tasks != ("pose",):
            seen.append(next(cameras))
        assert cameras.options.budget_ms == 200


def test_there_must_be_a_camera_and_each_must_be_one() -> None:
    with pytest.raises(UsageError, match="there is none"):
        Cameras([])
    with pytest.raises(UsageError):
        Cameras([None])  # type: ignore[list-item]
    with pytest.raises(UsageError, match="names two cameras"):
        Cameras([NamedSource(0, "door"), "door=1"])
    with pytest.raises(UsageError, match="not open"):
        next(Cameras([0]))


def test_pictures_are_no_camera(tmp_path: Path) -> None:
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), PICTURES[0])
    with analyzer() as own, pytest.raises(SourceError, match="rtface run"), Cameras([str(tmp_path)], analyzer=own):
        pass


def test_a_camera_that_is_silent_lets_its_outputs_know_while_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.cameras.camera.WAIT_S", 0.02)

    class Patient(Collect):
        idles = 0

        def idle(self) -> None:
            self.idles += 1

    sinks, silent, busy = {"door": Patient("door"), "hall": Patient("hall")}, Gated(0), Gated(1)
    busy.may.set()
    with (
        analyzer() as own,
        Cameras({"door": silent, "hall": busy}, analyzer=own, sinks_of=lambda name: [sinks[name]]) as cameras,
    ):
        until(cameras, lambda: sinks["door"].idles >= 2)
        silent.may.set()


def test_a_changed_priority_and_floor_are_taken_over_without_a_new_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_sources, "WATCH_S", 0.0)
    events: list[Event] = []
    file = tmp_path / "cameras.toml"
    file.write_text('[a]\nsource = "demo"\nloop = true\n')
    with analyzer() as own, Cameras(file=file, analyzer=own, on_event=events.append) as cameras:
        next(cameras)
        file.write_text('[a]\nsource = "demo"\nloop = true\npriority = 3\nmax_level = 1\n')
        camera = cameras._roster.known("a")
        until(cameras, lambda: camera.spec.priority == 3)
        assert cameras._roster.known("a") is camera
        file.write_text('[a]\nsource = "demo"\nloop = true\nmirror = true\n')
        until(cameras, lambda: cameras._roster.known("a") is not camera and cameras.state("a") == "on")
    assert [event.kind for event in events if event.kind.startswith("camera_")] == ["camera_on", "camera_on"]

"""What the head does for cameras elsewhere, on a cluster that is made up: who has which, outputs, pictures."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtface.capture.named import NamedSource
from rtface.cluster.actors import Placement
from rtface.cluster.cameras import ClusterCameras
from rtface.cluster.group import Batch, CameraGroup
from rtface.errors import OutputError
from rtface.options import Options
from rtface.types import Event
from tests.cluster.fake_ray import faked
from tests.cluster.simulated import SimulatedCamera

OPTIONS = Options(tasks=(), detect_width=64, threads=1)


def sources(count: int) -> list[NamedSource]:
    return [NamedSource(SimulatedCamera(f"c{number}", 20.0), f"c{number}") for number in range(count)]


def how(events: list[Event]) -> dict[str, Any]:
    return {"options": OPTIONS, "address": "auto", "on_event": events.append}


def until(results: Any, seen: Counter[str], over: Any) -> None:
    end = time.monotonic() + 60.0
    while not over():
        seen[next(results).camera] += 1
        assert time.monotonic() < end, f"it does not come: {dict(seen)}"


def test_one_that_stands_by_takes_the_cameras_of_one_that_dies(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no room to begin it again: the node is gone, and the others are full."""
    ray = faked(monkeypatch, a=1, b=1, c=1)
    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(4), **how(events), placement=Placement(cameras=2)) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: len(seen) == 4 and cameras.standing_by == 1)
        before = dict(cameras.nodes)
        victims = {name for name, node in before.items() if node == before["c0"]}
        ray.lose(before["c0"])
        until(results, seen, lambda: sum(event.kind == "camera_moved" for event in events) == len(victims))
        assert cameras.standing_by == 0
        assert {cameras.nodes[name] for name in victims} == {"a", "b", "c"} - set(before.values())
        ray.add("d", 1)  # the dead one is begun again, and stands by
        until(results, seen, lambda: cameras.standing_by == 1)
        assert not any(actor.object._cameras.names for actor in ray.actors if actor.node == "d")
    for kind in ("source_lost", "source_back", "camera_moved"):
        assert sorted(event.camera for event in events if event.kind == kind) == sorted(victims)
    assert len(set(seen)) == 4


def test_without_one_that_stands_by_the_cameras_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = faked(monkeypatch, a=1)
    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(2), **how(events), placement=Placement(spares=0)) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: len(seen) == 2)
        cameras.enable("c1", False)
        ray.lose("a")
        ray.add("b", 1)
        until(results, seen, lambda: cameras.nodes["c0"] == "b")
        seen.clear()
        until(results, seen, lambda: seen["c0"] > 3)
        assert set(seen) == {"c0"}  # what was switched off was not opened again
        assert [actor.object._cameras.state("c1") for actor in ray.actors] == ["off"]
        cameras.enable("c1", True)
        until(results, seen, lambda: seen["c1"] > 0)
        assert [actor.name for actor in ray.actors] == [f"rtface-cameras-{cameras.run}-0"]


def test_one_that_was_only_away_gives_its_cameras_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ran on, unheard: no camera may be open twice."""
    ray = faked(monkeypatch, a=1, b=1)
    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(1), **how(events), placement=Placement(cameras=1)) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: bool(seen) and cameras.standing_by == 1)
        actor = next(one for one in ray.actors if one.node == cameras.nodes["c0"])
        unheard, actor.object = actor.object, None
        until(results, seen, lambda: any(event.kind == "camera_moved" for event in events))
        actor.object = unheard
        until(results, seen, lambda: not unheard._cameras.names)
        assert cameras.standing_by == 1


def test_an_output_of_one_camera_that_fails_ends_that_camera_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    faked(monkeypatch, a=1)
    events: list[Event] = []
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(2), outputs=[str(tmp_path / "{camera}.jsonl")], **how(events)) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: len(seen) == 2)

        def failing(result: object) -> None:
            raise OutputError("c0.jsonl", "cannot be written", "Make room")

        monkeypatch.setattr(cameras._outputs._each["c0"][0], "put", failing)
        until(results, seen, lambda: cameras.names == ("c1",))
        seen.clear()
        until(results, seen, lambda: seen["c1"] > 2)
        assert set(seen) == {"c1"}
    assert [event.camera for event in events if event.kind == "camera_failed"] == ["c0"]


def test_a_camera_that_is_not_there_harms_no_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    faked(monkeypatch, a=1)
    events: list[Event] = []
    seen: Counter[str] = Counter()
    cameras = [NamedSource(tmp_path / "none.mp4", "gone"), *sources(1)]
    with ClusterCameras(cameras, **how(events)) as run:
        until(iter(run), seen, lambda: seen["c0"] > 2)
    assert [event.camera for event in events if event.kind == "camera_failed"] == ["gone"]


def test_a_cameras_time_does_not_go_back_however_long_answers_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who counts visitors begins anew where it does."""
    faked(monkeypatch, a=1)
    took_s, take = itertools.cycle((0.1, 0.2, 0.0, 0.3)), CameraGroup.take

    def slow(*args: Any) -> Batch:
        batch = take(*args)
        return replace(batch, now=batch.now - next(took_s))  # so much later it comes

    monkeypatch.setattr(CameraGroup, "take", slow)
    with ClusterCameras(sources(2), **how([])) as cameras:
        times = [(result.camera, result.captured_at) for result in itertools.islice(cameras, 60)]
        assert times[-1][1] <= time.monotonic()
    for name in ("c0", "c1"):
        own = [at for camera, at in times if camera == name]
        assert len(own) > 10 and own == sorted(own)


def opened(events: list[Event]) -> list[str]:
    return [event.camera for event in events if event.kind == "camera_on"]


def test_the_file_is_read_again_while_it_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ray = faked(monkeypatch, a=2)
    file = tmp_path / "cameras.toml"
    text = '[{}]\nsource = "demo"\nloop = true\n'
    file.write_text(text.format("door"))
    events: list[Event] = []
    seen: Counter[str] = Counter()
    place, own = Placement(cameras=1, spares=0), [str(tmp_path / "{camera}.jsonl")]
    with ClusterCameras(file=file, outputs=own, placement=place, **how(events)) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: seen["door"] > 2)
        file.write_text(text.format("door") + text.format("hall"))
        until(results, seen, lambda: seen["hall"] > 2)
        assert cameras.listed == ("door", "hall")
        cameras.enable("hall", False)
        file.write_text(text.format("door") + "mirror = true\n" + text.format("hall"))
        until(results, seen, lambda: opened(events).count("door") == 2)
        assert opened(events).count("hall") == 1  # it stays off
        cameras.enable("hall", True)
        file.write_text("[door")
        until(results, seen, lambda: any(event.kind == "cameras_unread" for event in events))
        assert cameras.listed == ("door", "hall")
        file.write_text(text.format("hall"))
        until(results, seen, lambda: cameras.names == ("hall",))
        seen.clear()
        until(results, seen, lambda: seen["hall"] > 2)
        assert set(seen) == {"hall"}
        assert len(ray.actors) == 1  # the other's is given back
    assert [event.camera for event in events if event.kind == "camera_removed"] == ["door"]
    for name in ("door", "hall"):
        lines = [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()]
        assert lines[0]["source"]["cameras"] == [name] and lines[-1]["kind"] == "summary"
        assert {line["camera"] for line in lines[1:-1]} == {name}


def test_pictures_travel_while_somebody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    faked(monkeypatch, a=1)
    seen: Counter[str] = Counter()
    with ClusterCameras(sources(1), **how([])) as cameras:
        results = iter(cameras)
        until(results, seen, lambda: seen["c0"] == 3)
        assert not cameras._pictures
        until(results, seen, lambda: cameras.look("c0", "full") is not None)
        found = cameras.look("c0", "full")
        assert found is not None
        result, picture = found
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None and image.shape == result.frame.image.shape and abs(int(image.mean()) - 90) <= 1
        assert cameras.look("c0", "blur") is None  # that one was not blurred


def test_outputs_that_need_pictures_are_refused(tmp_path: Path) -> None:
    for output in ("all.mp4", "{camera}.mp4"):
        with pytest.raises(OutputError, match="needs pictures"), ClusterCameras(["demo"], outputs=[tmp_path / output]):
            pass

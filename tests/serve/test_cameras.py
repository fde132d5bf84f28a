"""`rtface serve` with several cameras: the API, the metrics, switching; no networks."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("uvicorn", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("prometheus_client", reason="needs pip install 'rtface[serve]'")
websockets = pytest.importorskip("websockets", reason="needs pip install 'rtface[serve]'")

import rtface.cameras.cameras  # noqa: E402
import rtface.capture.named  # noqa: E402
from rtface.analyzer import Analyzer  # noqa: E402
from rtface.options import Options  # noqa: E402
from rtface.serve.server import ServeOptions, Serving  # noqa: E402
from rtface.testing import FakeDetector, FakeEngine, Painted  # noqa: E402

FACES = [Painted(320, 240, 40)]


class Sure(FakeEngine):
    """Takes every crop of the clip for a face."""

    def run(self, batch: Any, names: Any) -> dict[str, Any]:
        answer = super().run(batch, names)
        return {**answer, "face": answer["face"] * 0 + 1}


@contextlib.contextmanager
def serving(monkeypatch: pytest.MonkeyPatch, *sources: str, file: Path | None = None) -> Iterator[Serving]:
    def make(options: Options, streams: int = 1) -> Analyzer:
        return Analyzer(options, detector=FakeDetector(FACES), engine=Sure(), streams=streams)

    monkeypatch.setattr(rtface.cameras.cameras, "Analyzer", make)
    options = Options(audience=True, loop=True, tasks=("pose",))
    with Serving(sources, options, ServeOptions(port=0), cameras=file) as running:
        yield running


def ask(served: Serving, path: str, method: str = "GET", body: Any = None) -> tuple[int, Any]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)) as connection:
        headers = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, body=None if body is None else json.dumps(body), headers=headers)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if answer.getheader("content-type", "").startswith(
            "application/json"
        ) else text


def wait_for(happened: Callable[[], Any], seconds: float = 20.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := happened()):
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.02)
    return found


def states(served: Serving) -> dict[str, Any]:
    return {one["name"]: one for one in ask(served, "/api/v1/cameras")[1]}


def test_cameras_are_told_apart_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, "door=demo", "demo") as served:
        assert list(states(served)) == ["door", "demo"]
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        for name in ("door", "demo"):
            status, record = ask(served, f"/api/v1/result?camera={name}")
            assert status == 200 and record["camera"] == name
        metrics = wait_for(
            lambda: (
                (text := ask(served, "/metrics")[1].decode()) and 'rtface_frames_total{camera="door"}' in text and text
            )
        )
        assert 'rtface_source_up{camera="demo"} 1.0' in metrics
        people = wait_for(
            lambda: len({one.get("camera") for one in ask(served, "/api/v1/audience")[1]["now"]["visitors"]}) == 2
        )
        assert people
        status, error = ask(served, "/api/v1/cameras/door", "PATCH", {"enabled": False})
        assert status == 422 and "--cameras" in error["error"]  # not listed in a file


def test_a_viewer_of_all_gets_each_camera_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look(port: int) -> list[str]:
        seen = []
        async with websockets.connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
            for _ in range(8):
                await socket.send(json.dumps({"next": True, "camera": "*", "picture": False}))
                record = json.loads(await asyncio.wait_for(socket.recv(), 10))
                assert record["kind"] == "frame" and record["picture"] is False
                seen.append(record["camera"])
        return seen

    with serving(monkeypatch, "door=demo", "hall=demo") as served:
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        seen = asyncio.run(look(served.port))
        assert set(seen) == {"door", "hall"}
        assert 3 <= seen.count("door") <= 5


def test_a_listed_camera_is_switched_off_and_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "cameras.toml"
    file.write_text('[door]\nsource = "demo"\n[hall]\nsource = "demo"\n')
    with serving(monkeypatch, file=file) as served:
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        assert all(one["switchable"] for one in states(served).values())
        status, state = ask(served, "/api/v1/cameras/door", "PATCH", {"enabled": False})
        assert status == 200 and state["off"] and not state["up"]
        wait_for(lambda: ask(served, "/readyz")[0] == 200)  # what is off keeps nobody from being ready
        index = lambda: ask(served, "/api/v1/result?camera=door")[1]["index"]  # noqa: E731
        wait_for(lambda: len({index() for _ in range(10)}) == 1)  # no more results come, but those on their way
        assert states(served)["door"]["off"]
        ask(served, "/api/v1/cameras/door", "PATCH", {"enabled": True})
        wait_for(lambda: states(served)["door"]["up"])
        for body, words in (({"enabled": 1}, "enabled"), ({"on": True}, "enabled"), ([], "enabled")):
            status, error = ask(served, "/api/v1/cameras/door", "PATCH", body)
            assert status == 422 and words in error["error"]
        assert ask(served, "/api/v1/cameras/shed", "PATCH", {"enabled": True})[0] == 404


def test_a_listed_camera_that_is_off_at_first_is_told_as_off_and_switched_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(rtface.capture.named, "WATCH_S", 0.05)
    file = tmp_path / "cameras.toml"
    file.write_text('[door]\nsource = "demo"\n[hall]\nsource = "demo"\nenabled = false\n')
    with serving(monkeypatch, file=file) as served:
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        assert states(served)["hall"]["off"] and states(served)["hall"]["why"] == "switched off"
        ask(served, "/api/v1/cameras/hall", "PATCH", {"enabled": True})
        wait_for(lambda: states(served)["hall"]["up"])
        more = '[yard]\nsource = "none.mp4"\n[shed]\nsource = "demo"\nenabled = false\n'
        file.write_text(file.read_text() + more)
        wait_for(lambda: states(served).get("shed", {}).get("off"))
        wait_for(lambda: states(served).get("yard", {}).get("why") == "does not exist")


def test_a_camera_that_leaves_the_file_leaves_the_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rtface.capture.named, "WATCH_S", 0.05)
    file = tmp_path / "cameras.toml"
    file.write_text('[door]\nsource = "demo"\n[hall]\nsource = "demo"\n')
    with serving(monkeypatch, file=file) as served:
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        file.write_text('[hall]\nsource = "demo"\n[yard]\nsource = "demo"\n')
        wait_for(lambda: list(states(served)) == ["hall", "yard"])
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        assert 'rtface_source_up{camera="door"}' not in ask(served, "/metrics")[1].decode()


def test_another_budget_reaches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(monkeypatch, "door=demo", "hall=demo") as served:
        wait_for(lambda: ask(served, "/readyz")[0] == 200)
        status, record = ask(served, "/api/v1/options", "PATCH", {"budget_ms": 400, "tasks": ["landmarks"]})
        assert status == 200 and record["budget_ms"] == 400
        for name in ("door", "hall"):
            wait_for(lambda name=name: "landmarks_px" in str(ask(served, f"/api/v1/result?camera={name}")[1]))  # type: ignore[misc]

"""VTube Studio's API, as its README describes it, on a server of the websockets package."""

from __future__ import annotations

import json
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtface.labels import EMOTIONS
from rtface.outputs import vtube_studio
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.vtube_studio import VTubeStudioSink
from rtface.system.backoff import Backoff
from rtface.types import Event
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import wait_for

pytest.importorskip("websockets.sync.server", reason="needs websockets (pip install 'rtface[vts]')")

DEFAULTS = (
    "FaceAngleX",
    "FaceAngleY",
    "FaceAngleZ",
    "FacePositionX",
    "MouthSmile",
    "MouthOpen",
    "EyeOpenLeft",
    "EyeOpenRight",
)
TOKEN = "0123456789abcdef" * 4


class VTubeStudio:
    """Answers as the API's documentation says; the user allows the plugin or not."""

    def __init__(self, allows: bool = True) -> None:
        from websockets.sync.server import serve

        self.allows, self.asked_user = allows, 0
        self.custom: list[str] = []
        self.injected: list[dict[str, Any]] = []
        self.authenticated = False
        self.server = serve(self._talk, "127.0.0.1", 0)
        self.port = self.server.socket.getsockname()[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _talk(self, socket: Any) -> None:
        self.authenticated = False
        for message in socket:
            request = json.loads(message)
            assert (request["apiName"], request["apiVersion"]) == ("VTubeStudioPublicAPI", "1.0")
            kind, data = self._answer(request["messageType"], request["data"])
            answer = {**request, "messageType": kind, "data": data, "timestamp": 0}
            socket.send(json.dumps(answer))

    def _answer(self, kind: str, data: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if kind == "AuthenticationTokenRequest":
            self.asked_user += 1
            assert 3 <= len(data["pluginName"]) <= 32 and 3 <= len(data["pluginDeveloper"]) <= 32
            if not self.allows:
                return "APIError", {"errorID": 50, "message": "User has denied API access"}
            return "AuthenticationTokenResponse", {"authenticationToken": TOKEN}
        if kind == "AuthenticationRequest":
            self.authenticated = data["authenticationToken"] == TOKEN
            return "AuthenticationResponse", {"authenticated": self.authenticated, "reason": ""}
        if not self.authenticated:
            return "APIError", {"errorID": 8, "message": "Request requires authentication"}
        if kind == "ParameterCreationRequest":
            name = data["parameterName"]
            assert 4 <= len(name) <= 32 and name.isalnum() and data["min"] < data["max"]
            self.custom.append(name)
            return "ParameterCreationResponse", {"parameterName": name}
        if kind == "InputParameterListRequest":
            return "InputParameterListResponse", {
                "defaultParameters": [{"name": name} for name in DEFAULTS],
                "customParameters": [{"name": name} for name in self.custom],
            }
        assert kind == "InjectParameterDataRequest"
        ids = [one["id"] for one in data["parameterValues"]]
        if set(ids) - {*DEFAULTS, *self.custom} or len(ids) > 100:
            return "APIError", {"errorID": 453, "message": "Parameter not found"}
        assert all(-1_000_000 <= one["value"] <= 1_000_000 for one in data["parameterValues"])
        self.injected.append(
            {"found": data["faceFound"], **{one["id"]: one["value"] for one in data["parameterValues"]}}
        )
        return "InjectParameterDataResponse", {}


@pytest.fixture
def studio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[VTubeStudio]:
    monkeypatch.setattr(vtube_studio, "cache_dir", lambda: tmp_path)
    one = VTubeStudio()
    yield one
    one.server.shutdown()


def sink_to(studio: VTubeStudio, settings: str = "") -> VTubeStudioSink:
    sink = VTubeStudioSink(parse_output_url(f"vts://127.0.0.1:{studio.port}{settings}"))
    sink._backoff = Backoff(0.01, 0.02)
    return sink


def test_a_face_moves_the_avatar(studio: VTubeStudio, tmp_path: Path) -> None:
    with sink_to(studio) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        sink.write(a_result(a_face(pose=(20.0, 10.0, 5.0))))
        wait_for(lambda: studio.injected)
        sink.finish({"frames": 1})
    values = studio.injected[0]
    assert values["found"] and values["FaceAngleX"] == pytest.approx(-20) and values["FaceAngleY"] == pytest.approx(10)
    assert values["EyeOpenLeft"] == 1.0 and values["RtfaceHappiness"] == pytest.approx(0.7)
    assert len(studio.custom) == len(EMOTIONS)
    (token,) = (tmp_path / "tokens").iterdir()
    assert token.read_text() == TOKEN and stat.S_IMODE(token.stat().st_mode) == 0o600


def test_the_user_is_asked_once_only(studio: VTubeStudio) -> None:
    for _ in range(2):
        with sink_to(studio) as sink:
            sink.open(a_run())
            wait_for(lambda sink=sink: sink.connected)  # type: ignore[misc]
    assert studio.asked_user == 1


def test_a_user_who_does_not_allow_it_is_said(studio: VTubeStudio) -> None:
    studio.allows = False
    told: list[Event] = []
    with sink_to(studio) as sink:
        sink.open(a_run(on_event=told.append))
        wait_for(lambda: told)
    assert "User has denied API access; press Allow in VTube Studio" in told[0].what


def test_control_is_kept_while_no_frame_comes(studio: VTubeStudio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(VTubeStudioSink, "beat_s", 0.02)
    with sink_to(studio) as sink:
        sink.open(a_run())
        sink.write(a_result(a_face()))
        wait_for(lambda: len(studio.injected) > 3)


def test_a_face_that_is_gone_rests_with_open_eyes(studio: VTubeStudio) -> None:
    with sink_to(studio) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        sink.write(a_result(a_face(pose=(20.0, 0.0, 0.0)), at=0.0))
        wait_for(lambda: studio.injected)
        sink.write(a_result(at=5.0))
        wait_for(lambda: not studio.injected[-1]["found"])
    assert (studio.injected[-1]["FaceAngleX"], studio.injected[-1]["EyeOpenLeft"]) == (0.0, 1.0)

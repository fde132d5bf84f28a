"""VTube Studio's plugin API: a Live2D avatar is moved by the tracking that comes from here.

WebSocket with JSON (github.com/DenchiSoft/VTubeStudio). The first time the user allows the plugin in VTube Studio; the
token that it gives is kept in the cache folder, for this user's eyes only.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtface.errors import require
from rtface.labels import EMOTIONS
from rtface.outputs.blend_shapes import BlendShapes
from rtface.outputs.eyes import RANGE_DEG, eyes_of
from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.head import GLIDE, Head, head_of
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.system.files import cache_dir, write_private
from rtface.types import Face, FrameResult

PORT = 8001
PLUGIN, DEVELOPER = "rtface", "rtface maintainers"
#: Seconds for an answer; for the user to press Allow.
ANSWER_S, ALLOW_S = 5.0, 120.0
#: Control is lost where nothing comes for a second.
KEEP_S = 0.4
#: Its own inputs that we fill: name → lowest and highest value.
RANGES: Mapping[str, tuple[float, float]] = {
    "FaceAngleX": (-30, 30),
    "FaceAngleY": (-30, 30),
    "FaceAngleZ": (-90, 90),
    "FacePositionX": (-15, 15),
    "FacePositionY": (-15, 15),
    "FacePositionZ": (-10, 10),
    "MouthSmile": (0, 1),
    "MouthOpen": (0, 1),
    "EyeOpenLeft": (0, 1),
    "EyeOpenRight": (0, 1),
    **dict.fromkeys(("EyeLeftX", "EyeLeftY", "EyeRightX", "EyeRightY"), (-1, 1)),
    "Brows": (0, 1),
    "BrowLeftY": (0, 1),
    "BrowRightY": (0, 1),
}
#: Inputs of a face at rest that are not 0.
REST: Mapping[str, float] = {
    **dict.fromkeys(("EyeOpenLeft", "EyeOpenRight"), 1.0),
    **dict.fromkeys(("Brows", "BrowLeftY", "BrowRightY"), 0.5),
}
#: Added to its inputs, from 0 to 1: what rtface knows besides.
OWN = tuple(f"Rtface{name.capitalize()}" for name in EMOTIONS)


class VTubeStudioSink(NetworkSink[FrameResult]):
    """One person's head and face as VTube Studio's inputs.

    As its own trackers do, the avatar moves like a mirror image: turned to the owner's right is to the screen's right
    (+ of Live2D's angles X and Z). `mirror` exchanges left and right.

    Args:
        url: ``vts://host:8001?face=ID&mirror=1``.
    """

    beat_s = KEEP_S
    picture = "none"

    def __init__(self, url: OutputUrl) -> None:
        url.only("face", "mirror")
        require("websockets", "vts")
        super().__init__(url.shown)
        self._address = f"ws://{url.host or '127.0.0.1'}:{url.port or PORT}"
        self._token_file = cache_dir() / "tokens" / f"vts-{url.host}-{url.port or PORT}"
        self._mirror = url.switch("mirror")
        self._follower = FaceFollower(url.whole("face", None))
        self._shapes = BlendShapes(self._mirror)
        self._stack = ExitStack()
        self._socket: Any = None
        self._rest: Head | None = None
        self._values: dict[str, float] = {}
        self._known: set[str] = set()
        self._found = False

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        client: Any = require("websockets.sync.client", "vts")
        self._stack = ExitStack()
        connecting = client.connect(self._address, open_timeout=ANSWER_S, close_timeout=1.0, max_size=2**22)
        self._socket = self._stack.enter_context(connecting)
        token = _read(self._token_file)
        if token is None or not self._authenticate(token):
            token = self._ask("AuthenticationTokenRequest", _plugin(), timeout_s=ALLOW_S)["authenticationToken"]
            write_private(self._token_file, token.encode())
            self._token_file.chmod(0o600)
            if not self._authenticate(token):
                raise ConnectionError("VTube Studio does not take the token that it gave")
        for name in OWN:
            parameter = {"parameterName": name, "explanation": "From rtface", "min": 0, "max": 1, "defaultValue": 0}
            self._ask("ParameterCreationRequest", parameter)
        # One unknown id makes it refuse a whole message, so it is asked which it has.
        inputs = self._ask("InputParameterListRequest", {})
        self._known = {one["name"] for one in (*inputs["defaultParameters"], *inputs["customParameters"])}

    def _authenticate(self, token: str) -> bool:
        answer = self._ask("AuthenticationRequest", {**_plugin(), "authenticationToken": token})
        return bool(answer.get("authenticated"))

    def _ask(self, kind: str, data: dict[str, Any], *, timeout_s: float = ANSWER_S) -> dict[str, Any]:
        request = {
            "apiName": "VTubeStudioPublicAPI",
            "apiVersion": "1.0",
            "requestID": uuid.uuid4().hex,
            "messageType": kind,
            "data": data,
        }
        self._socket.send(json.dumps(request))
        while True:
            answer = json.loads(self._socket.recv(timeout=timeout_s))
            if answer.get("requestID") == request["requestID"]:
                break
        if answer["messageType"] == "APIError":
            what = answer["data"]
            denied = "; press Allow in VTube Studio" if what.get("errorID") == 50 else ""
            raise ConnectionError(f"VTube Studio says: {what.get('message', 'error')}{denied}")
        found: dict[str, Any] = answer["data"]
        return found

    def send(self, item: FrameResult) -> None:
        at = frame_time(item.frame, self.info.live)
        face = self._follower.update(item, at)
        self._found = face is not None
        if face is not None:
            height, width = item.frame.image.shape[:2]
            head = head_of(face, (width, height))
            if head.is_finite:  # else it keeps what it has
                self._values = self._inputs(face, head, at)
        else:
            goals = ((name, REST.get(name, 0.0), value) for name, value in self._values.items())
            self._values = {name: goal + (value - goal) * GLIDE for name, goal, value in goals}
        self._inject()

    def beat(self) -> None:
        self._inject()

    def _inject(self) -> None:
        values = [
            {"id": name, "value": round(value, 4)}
            for name, value in self._values.items()
            if name in self._known and math.isfinite(value)  # one that is not makes it refuse the whole message
        ]
        if values:
            data = {"faceFound": self._found, "mode": "set", "parameterValues": values}
            self._ask("InjectParameterDataRequest", data)

    def _inputs(self, face: Face, head: Head, at: float) -> dict[str, float]:
        self._rest = self._rest or head
        head = head.mirrored() if self._mirror else head
        rest = self._rest.mirrored() if self._mirror else self._rest
        shapes = self._shapes.of(face, at)
        brows = {
            side: 0.5 + 0.5 * (max(shapes["browInnerUp"], shapes[f"browOuterUp{side}"]) - shapes[f"browDown{side}"])
            for side in ("Left", "Right")
        }
        values = {
            "FaceAngleX": head.yaw,
            "FaceAngleY": head.pitch,
            "FaceAngleZ": head.roll,
            "FacePositionX": head.x - rest.x,
            "FacePositionY": head.y - rest.y,
            "FacePositionZ": head.z - rest.z,
            "MouthSmile": (shapes["mouthSmileLeft"] + shapes["mouthSmileRight"]) / 2.0,
            "MouthOpen": shapes["jawOpen"],
            "EyeOpenLeft": 1.0 - shapes["eyeBlinkLeft"],
            "EyeOpenRight": 1.0 - shapes["eyeBlinkRight"],
            "Brows": (brows["Left"] + brows["Right"]) / 2.0,
            "BrowLeftY": brows["Left"],
            "BrowRightY": brows["Right"],
        }
        eyes = eyes_of(face)
        if eyes is not None:  # else they are VTube Studio's own to move
            left, right = eyes.mirrored() if self._mirror else eyes
            values |= {"EyeLeftX": left.yaw / RANGE_DEG, "EyeLeftY": left.pitch / RANGE_DEG}
            values |= {"EyeRightX": right.yaw / RANGE_DEG, "EyeRightY": right.pitch / RANGE_DEG}
        values = {name: min(max(value, RANGES[name][0]), RANGES[name][1]) for name, value in values.items()}
        if face.emotion is not None:
            values |= zip(OWN, face.emotion.probs.tolist(), strict=True)
        return values

    def disconnect(self) -> None:
        self._stack.close()
        self._socket = None


def _plugin() -> dict[str, Any]:
    return {"pluginName": PLUGIN, "pluginDeveloper": DEVELOPER}


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (OSError, UnicodeDecodeError):  # of another kind: it asks for a new one
        return None


def open_output(url: OutputUrl) -> VTubeStudioSink:
    """The output for an address."""
    return VTubeStudioSink(url)

"""A VTube Studio that has only its plugin API, for tests only.

Rebuilt from the published API (DenchiSoft/VTubeStudio: README, Files/ErrorID.cs); it answers and refuses as documented.
Signs of the head, by Live2D's standard parameter list (`ParamAngleX` and `ParamAngleZ`: + to the right of the screen,
`ParamAngleY`: + up), to which VTube Studio maps `FaceAngleX`, `Z`, `Y`: an avatar that behaves as a mirror shows the
picture's left on the screen's right, so that the nose to the picture's left is a positive `FaceAngleX`, and the top of
the head there a positive `FaceAngleZ`.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

API = {"apiName": "VTubeStudioPublicAPI", "apiVersion": "1.0"}
KEPT_S = 1.0
"""A value that is not sent again for so long is lost."""
LIMIT = 1_000_000
DEFAULTS: dict[str, tuple[float, float]] = {  # as a real one listed them (the face's)
    **dict.fromkeys(("FacePositionX", "FacePositionY"), (-15.0, 15.0)),
    "FacePositionZ": (-10.0, 10.0),
    **dict.fromkeys(("FaceAngleX", "FaceAngleY"), (-30.0, 30.0)),
    "FaceAngleZ": (-90.0, 90.0),
    **dict.fromkeys(("EyeLeftX", "EyeLeftY", "EyeRightX", "EyeRightY", "MouthX"), (-1.0, 1.0)),
    **dict.fromkeys(("MouthSmile", "MouthOpen", "Brows", "BrowLeftY", "BrowRightY"), (0.0, 1.0)),
    **dict.fromkeys(("TongueOut", "CheekPuff", "FaceAngry"), (0.0, 1.0)),
    **dict.fromkeys(("EyeOpenLeft", "EyeOpenRight", "VoiceVolume", "VoiceFrequency"), (0.0, 1.0)),
    **dict.fromkeys(("VoiceVolumePlusMouthOpen", "VoiceFrequencyPlusMouthSmile"), (0.0, 1.0)),
}


class Refused(Exception):
    """An APIError with its number."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number = number


@dataclass(slots=True)
class Session:
    plugin: tuple[str, str] | None = None


@dataclass(slots=True)
class Injection:
    """One accepted InjectParameterDataRequest: when, whether a face is there, and its values."""

    at: float
    face_found: bool
    values: dict[str, float]


@dataclass(slots=True)
class VTubeStudio:
    """Use as a context manager; `url` is where it listens. `allow` is what the user clicks."""

    allow: bool = True
    clock: Callable[[], float] = time.monotonic
    requests: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[tuple[int, str]] = field(default_factory=list)
    injections: list[Injection] = field(default_factory=list)
    custom: dict[str, tuple[tuple[str, str], dict[str, Any]]] = field(default_factory=dict)
    tokens: dict[str, tuple[str, str]] = field(default_factory=dict)
    asked_users: int = 0
    _server: Server | None = None
    _thread: threading.Thread | None = None
    _owner: dict[str, tuple[tuple[str, str], float]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.socket.getsockname()[1])

    def __enter__(self) -> VTubeStudio:
        self._server = serve(self._talk, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None and self._thread is not None
        self._server.shutdown()
        self._thread.join(10)

    def revoke(self) -> None:
        """The user takes access back: tokens and the plugins' parameters are gone."""
        self.tokens.clear()
        self.custom.clear()

    def value(self, name: str) -> float | None:
        """What moves the model now; None when nothing was sent for a second."""
        for one in reversed(self.injections):
            if self.clock() - one.at > KEPT_S:
                return None
            if name in one.values:
                return one.values[name]
        return None

    def _talk(self, connection: ServerConnection) -> None:
        session = Session()
        try:
            for message in connection:
                connection.send(json.dumps(self.answer(message, session)))
        except ConnectionClosed:
            pass

    def answer(self, message: str | bytes, session: Session) -> dict[str, Any]:
        """The response to one message of a session, as the dict that is sent."""
        request: Any = {}
        try:
            request = _parsed(message)
            self.requests.append(request)
            kind, data = self._handle(request, session)
        except Refused as error:
            self.refusals.append((error.number, str(error)))
            kind, data = "APIError", {"errorID": error.number, "message": str(error)}
        number = request.get("requestID") if isinstance(request, dict) else None
        head = {**API, "timestamp": int(time.time() * 1000), "messageType": kind, "requestID": number or "made-up"}
        return {**head, "data": data}

    def _handle(self, request: dict[str, Any], session: Session) -> tuple[str, dict[str, Any]]:
        _check_envelope(request)
        kind, data = request["messageType"], request.get("data") or {}
        handler = _HANDLERS.get(kind)
        if handler is None:
            raise Refused(7, f"unknown request {kind}")
        if kind not in _OPEN:
            if session.plugin is None:
                raise Refused(8, f"{kind} needs authentication")
            if session.plugin not in self.tokens.values():
                raise Refused(50, "the user has revoked access")
        return kind.replace("Request", "Response"), handler(self, data, session)

    def _state(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        known = session.plugin is not None
        return {"active": True, "vTubeStudioVersion": "1.9.0", "currentSessionAuthenticated": known}

    def _token(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        for key, number in (("pluginName", 52), ("pluginDeveloper", 53)):
            if not isinstance(data.get(key), str) or not 3 <= len(data[key]) <= 32:
                raise Refused(number, f"{key} has to be 3 to 32 characters")
        self.asked_users += 1
        if not self.allow:
            raise Refused(50, "the user has denied access")
        token = f"token-{len(self.tokens)}-{data['pluginName'].encode().hex()}"[:64]
        self.tokens[token] = (data["pluginName"], data["pluginDeveloper"])
        return {"authenticationToken": token}

    def _authenticate(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        for key, number in (("authenticationToken", 100), ("pluginName", 101), ("pluginDeveloper", 102)):
            if not data.get(key):
                raise Refused(number, f"{key} is missing")
        plugin = (data["pluginName"], data["pluginDeveloper"])
        fits = self.tokens.get(data["authenticationToken"]) == plugin
        session.plugin = plugin if fits else None
        return {"authenticated": fits, "reason": "token valid" if fits else "token invalid or revoked"}

    def _create(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        name, plugin = data.get("parameterName"), session.plugin
        assert plugin is not None
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9]{4,32}", name):
            raise Refused(350, f"parameterName {name!r} has to be 4 to 32 letters and digits")
        if not all(_is_number(data.get(key)) for key in ("min", "max", "defaultValue")):
            raise Refused(351, f"min, max and defaultValue of {name} have to be numbers within +-{LIMIT}")
        if name in DEFAULTS:
            raise Refused(354, f"{name} is a default parameter")
        if name in self.custom and self.custom[name][0] != plugin:
            raise Refused(352, f"{name} belongs to another plugin")
        if len(data.get("explanation") or "") >= 256:
            raise Refused(353, f"the explanation of {name} is too long")
        if name not in self.custom and sum(owner == plugin for owner, _ in self.custom.values()) >= 100:
            raise Refused(355, "100 parameters a plugin")
        if name not in self.custom and len(self.custom) >= 300:
            raise Refused(356, "300 parameters")
        self.custom[name] = (plugin, data)
        return {"parameterName": name}

    def _inject(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        plugin, values = session.plugin, data.get("parameterValues")
        assert plugin is not None
        if not isinstance(values, list) or not values:
            raise Refused(450, "no parameterValues")
        if data.get("mode", "set") not in ("set", "add"):
            raise Refused(455, f"mode {data['mode']!r}")
        now = self.clock()
        for one in values:
            self._check_value(one, plugin, now, data.get("mode", "set"))
        self._owner.update({one["id"]: (plugin, now) for one in values if data.get("mode", "set") == "set"})
        sent = {one["id"]: float(one["value"]) for one in values}
        self.injections.append(Injection(now, bool(data.get("faceFound", False)), sent))
        return {}

    def _check_value(self, one: dict[str, Any], plugin: tuple[str, str], now: float, mode: str) -> None:
        name = one.get("id")
        if not _is_number(one.get("value")):
            raise Refused(451, f"value of {name}: {one.get('value')!r}")
        if "weight" in one and not (_is_number(one["weight"]) and 0 <= one["weight"] <= 1):
            raise Refused(452, f"weight of {name}: {one['weight']!r}")
        if name not in DEFAULTS and name not in self.custom:
            raise Refused(453, f"no parameter {name!r}")
        owner, at = self._owner.get(name, (plugin, now))
        if mode == "set" and owner != plugin and now - at <= KEPT_S:
            raise Refused(454, f"{name} is another plugin's")

    def _list(self, data: dict[str, Any], session: Session) -> dict[str, Any]:
        made = {name: ("VTube Studio", low, high, 0.0) for name, (low, high) in DEFAULTS.items()}
        own = {name: (who[0], one["min"], one["max"], one["defaultValue"]) for name, (who, one) in self.custom.items()}
        head = {"modelLoaded": False, "modelName": "", "modelID": ""}
        return {**head, "customParameters": self._listed(own), "defaultParameters": self._listed(made)}

    def _listed(self, parameters: dict[str, tuple[str, float, float, float]]) -> list[dict[str, Any]]:
        keys = ("name", "addedBy", "min", "max", "defaultValue", "value")
        rows = ((name, *rest, self.value(name) or rest[-1]) for name, rest in parameters.items())
        return [dict(zip(keys, row, strict=True)) for row in rows]


_HANDLERS: dict[str, Callable[[VTubeStudio, dict[str, Any], Session], dict[str, Any]]] = {
    "APIStateRequest": VTubeStudio._state,
    "AuthenticationTokenRequest": VTubeStudio._token,
    "AuthenticationRequest": VTubeStudio._authenticate,
    "ParameterCreationRequest": VTubeStudio._create,
    "InjectParameterDataRequest": VTubeStudio._inject,
    "InputParameterListRequest": VTubeStudio._list,
}
_OPEN = {"APIStateRequest", "AuthenticationTokenRequest", "AuthenticationRequest"}


def _parsed(message: str | bytes) -> dict[str, Any]:
    try:
        request = json.loads(message, parse_constant=_no_constant)
    except ValueError as error:
        raise Refused(2, f"no JSON: {error}") from error
    if not isinstance(request, dict):
        raise Refused(2, "no JSON object")
    return request


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _check_envelope(request: dict[str, Any]) -> None:
    if request.get("apiName") != API["apiName"]:
        raise Refused(3, f"apiName {request.get('apiName')!r}")
    if request.get("apiVersion") != API["apiVersion"]:
        raise Refused(4, f"apiVersion {request.get('apiVersion')!r}")
    number = request.get("requestID", "left out")
    if not isinstance(number, str) or not number.isascii() or not 1 <= len(number) <= 64:
        raise Refused(5, f"requestID {number!r}")
    if not request.get("messageType"):
        raise Refused(6, "no messageType")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LIMIT <= value <= LIMIT

"""Results for who connects here: JSON over a WebSocket (``ws://:8766``) or as Server-Sent Events (``sse://:8767``).

The messages are the lines of a ``.jsonl``: the header, a record a frame, the summary. Only the newest result waits: a
client that is slow misses results, and nobody waits for it. Who may ask is decided as `rtface serve` does: by lists
of hosts and origins, and beyond this machine by a token.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from operator import attrgetter
from typing import Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.audience.events import Audience, other_events
from rtface.errors import UsageError
from rtface.outputs.follow import frame_time
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.secrets import secret_of
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.http_access import LOOPBACK, Guard, access_to
from rtface.system.http_server import HEARTBEAT_S, Bell, HttpServer, listen, sse_message
from rtface.types import Event, FrameResult, utc_text

PORTS = {"ws": 8766, "sse": 8767}
TOKEN_VARIABLE = "RTFACE_TOKEN"
#: Letters of a token at least; clients at a time; events that a client may lag behind by.
TOKEN_LETTERS, CLIENTS, EVENTS = 8, 32, 256
#: What the system keeps of results that a client has not read: half a second of a few faces.
SEND_BYTES = 32_768
#: Seconds that the end of a run waits for clients to take the last message.
GOODBYE_S = 1.0
_to_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
#: Options that name places of this machine.
PRIVATE = ("models_dir", "calibration_dir", "profile")


class Told:
    """A message and its number, which grows.

    It is written out when the first client takes it, once for all of them: for clients that do not keep up most
    results would be written out in vain.
    """

    __slots__ = ("_make", "_text", "kind", "number")

    def __init__(self, number: int, kind: str, make: Callable[[], Mapping[str, Any]]) -> None:
        self.number, self.kind, self._make = number, kind, make
        self._text: str | None = None

    @property
    def text(self) -> str:
        """As JSON. Asked for by the thread of the server only.

        Raises:
            ValueError: The record holds a number that JSON has not.
        """
        if self._text is None:
            self._text = _to_json(self._make())
        return self._text


class Feed:
    """What clients are told, each at its own pace: every event of the last few, and the newest result of each camera.

    Written by the thread of the output, read by that of the server.
    """

    def __init__(self) -> None:
        self.bell = Bell()
        self.number = 0
        self._lock = threading.Lock()
        self._events: deque[Told] = deque(maxlen=EVENTS)
        self._newest: dict[str, Told] = {}

    def put(self, kind: str, make: Callable[[], Mapping[str, Any]], camera: str | None = None) -> None:
        """An event, or of a camera its newest result; `make` makes its record."""
        with self._lock:
            told = Told(self.number + 1, kind, make)
            if camera is None:
                self._events.append(told)
            else:
                self._newest[camera] = told
            self.number += 1
        self.bell.ring()

    def since(self, number: int) -> list[Told]:
        """What is new after that number and still there, oldest first."""
        with self._lock:
            found = [told for told in self._newest.values() if told.number > number]
            if self._events and self._events[-1].number > number:
                found += [told for told in self._events if told.number > number]
        return sorted(found, key=attrgetter("number"))


class ResultServerSink(Sink):
    """Listens, on this machine alone unless a host is named, and tells each client what comes.

    Args:
        url: ``ws://127.0.0.1:8766/path?what=results,events&allow_origin=http://localhost:8000&tokenfile=FILE``, or
            ``sse://``.
    """

    picture = "none"
    many_cameras = True

    def __init__(self, url: OutputUrl) -> None:
        url.only("what", "tokenfile", "parsing", "allow_host", "allow_origin")
        self.name = url.shown
        if url.user is not None:
            raise UsageError(url.shown, "takes no user and no password", "Use a token: tokenfile=FILE")
        self._url, self._host = url, url.host or "127.0.0.1"
        self._what = url.some_of("what", "results", "events", default=("results",))
        self.own_thread = "events" in self._what  # to find them takes a moment; a result is handed over as it is
        self._parsing = url.switch("parsing")
        self._origins = tuple(_origin(url, one) for one in url.settings.get("allow_origin", "").split(",") if one)
        self._token = _token(url, self._host)
        self._feed = Feed()
        self._missed = 0
        self._clients: dict[object, int] = {}  # each with the number of what it was told last
        self._nobody = threading.Event()
        self._nobody.set()
        self._server: HttpServer | None = None

    @property
    def lost(self) -> int:  # type: ignore[override]
        """Messages that clients were too slow for; what waits for one is not lost yet."""
        return self._missed + sum(max(self._feed.number - place - 1, 0) for place in list(self._clients.values()))

    @property
    def port(self) -> int:
        """Where it listens; from ``open`` on."""
        assert self._server is not None
        return self._server.port

    # The run's side

    def open(self, info: RunInfo) -> None:
        self._info = info
        self._audience = Audience(info.control.options.audience_rules, live=info.live)
        options = {name: value for name, value in info.header.get("options", {}).items() if name not in PRIVATE}
        self._header = json.dumps({**info.header, "options": options}, separators=(",", ":"))
        port = self._url.port if self._url.port is not None else PORTS[self._url.scheme]
        mend = f"Name an address and a port of this machine, as {self._url.scheme}://:0"
        listening = listen(self._host, port, mend, SEND_BYTES)
        access = access_to(
            self._host,
            int(listening.getsockname()[1]),
            hosts=[one for one in self._url.settings.get("allow_host", "").split(",") if one],
            origins=self._origins,
            token=self._token,
            has_page=False,
        )
        path = self._url.path or "/"
        if self._url.scheme == "ws":
            routes: list[Any] = [WebSocketRoute(path, self._websocket), Route(path, _upgrade, methods=["GET"])]
        else:
            routes = [Route(path, self._events, methods=["GET"])]
        self._server = HttpServer(Guard(Starlette(routes=routes), access), listening)

    def write(self, result: FrameResult) -> None:
        if "events" in self._what:
            at = frame_time(result.frame, self._info.live)
            for event in (*other_events(result), *self._audience.observe(result, at=at)):
                self._feed.put(event.kind, partial(_event_record, event, result))
        if "results" in self._what and self._clients:
            self._feed.put("frame", partial(result.to_dict, parsing=self._parsing), result.camera)

    def finish(self, summary: dict[str, Any]) -> None:
        self._feed.put("summary", lambda: summary)
        self._feed.bell.stop()
        self._nobody.wait(GOODBYE_S)

    def close(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            self._feed.bell.stop()
            server.close()

    # The server's side

    async def _websocket(self, socket: WebSocket) -> None:
        if len(self._clients) >= CLIENTS:
            await socket.close(1013, "too many clients")
            return
        await socket.accept()
        reading = asyncio.ensure_future(_hung_up(socket))
        reading.add_done_callback(lambda _: self._feed.bell.ring())
        try:
            await socket.send_text(self._header)
            async for told in self._news(self._feed.number, reading):
                if told is not None:
                    await socket.send_text(told.text)
            await socket.close()
        except (WebSocketDisconnect, RuntimeError, OSError):  # gone in the middle of a message
            pass
        finally:
            reading.cancel()

    async def _events(self, request: Request) -> Response:
        if len(self._clients) >= CLIENTS:
            return PlainTextResponse(f"{CLIENTS} clients are served already", 503)
        last = request.headers.get("last-event-id", "")
        stream = self._stream(int(last) if last.isdecimal() and int(last) <= self._feed.number else self._feed.number)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _stream(self, last: int) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n" + sse_message(last, "header", self._header)
        async for told in self._news(last, None):
            yield b": still here\n\n" if told is None else sse_message(told.number, told.kind, told.text)

    async def _news(self, last: int, gone: asyncio.Future[None] | None) -> AsyncIterator[Told | None]:
        """What comes after a number, to the end of the run or of the client; None = nothing for a while."""
        feed, client = self._feed, object()
        self._clients[client] = last
        self._nobody.clear()
        if self._server is not None:
            self._server.keep_no_backlog()

        def is_awake() -> bool:
            return feed.number > self._clients[client] or (gone is not None and gone.done())

        try:
            while gone is None or not gone.done():
                over = feed.bell.stopped
                for told in feed.since(last):
                    self._missed += told.number - last - 1
                    self._clients[client] = last = told.number
                    yield told
                if over:
                    return
                if not await feed.bell.until(is_awake, HEARTBEAT_S):
                    yield None
        finally:
            self._missed += max(feed.number - last - 1, 0)
            del self._clients[client]
            if not self._clients:
                self._nobody.set()


async def _hung_up(socket: WebSocket) -> None:
    """Until the client is gone; what it says is of no interest."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _upgrade(request: Request) -> Response:
    text = "Results come over a WebSocket here; -o sse:// gives them over plain HTTP\n"
    return PlainTextResponse(text, 426, headers={"upgrade": "websocket", "connection": "upgrade"})


def _event_record(event: Event, result: FrameResult) -> dict[str, Any]:
    camera = {"camera": result.camera} if result.camera else {}
    return {**event.to_dict(), **camera, "time": utc_text(result.time)}


def _origin(url: OutputUrl, text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits or text != f"{parts.scheme}://{parts.netloc}":
        raise UsageError(url.shown, f"{text!r} is no origin", "Write it as allow_origin=http://localhost:8000")
    return text


def _token(url: OutputUrl, host: str) -> str | None:
    """What clients have to know; needed where others than this machine can connect."""
    token = secret_of(url, "tokenfile", TOKEN_VARIABLE)
    mend = f"Write {TOKEN_LETTERS} letters or more into a file and add tokenfile=FILE, or set {TOKEN_VARIABLE}"
    if token is None and host not in LOOPBACK:
        raise UsageError(url.shown, "listens for other machines and has no token", mend)
    if token is not None and len(token) < TOKEN_LETTERS:
        raise UsageError(url.shown, "its token is too short to be a secret", mend)
    return token


def open_output(url: OutputUrl) -> ResultServerSink:
    """The output for an address."""
    return ResultServerSink(url)

"""The page, the WebSocket, MJPEG, the HTTP API and the metrics, as one Starlette application."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.errors import RtfaceError
from rtface.serve.analyze import BODY_BYTES, PATH, Analyze
from rtface.serve.control import Control
from rtface.serve.hub import Camera, Hub
from rtface.serve.openapi import document
from rtface.serve.pages import TYPES, page_file
from rtface.serve.pictures import Pictures, PicturesElsewhere, Shot
from rtface.system.http_access import Access, App, Guard, TooLarge
from rtface.system.http_server import HEARTBEAT_S, sse_message
from rtface.system.json_text import parse_json
from rtface.types import FrameResult

#: Viewers of pictures and events at a time.
VIEWERS = 32
#: Most pictures a second of /stream.mjpg.
MJPEG_FPS = 15.0
BOUNDARY = "frame"
#: Asks the WebSocket for the cameras' results by turns.
EVERY = "*"

Handler = Callable[[Request], Awaitable[Response]]


class Server:
    """Handlers around a hub.

    Args:
        hub: Where results come from.
        control: What may be read and changed of the analysis.
        pictures: Encoder of frames.
        analyze: Looks at pictures that are sent.
    """

    def __init__(self, hub: Hub, control: Control, pictures: Pictures | PicturesElsewhere, analyze: Analyze) -> None:
        self._hub, self._control, self._pictures, self._analyze = hub, control, pictures, analyze
        self._viewers = 0
        self._messages: dict[tuple[str, bool], tuple[int, str]] = {}

    def app(self, access: Access) -> App:
        """The application, guarded."""
        get = {
            "/healthz": self.health,
            "/readyz": self.ready,
            "/metrics": self.metrics,
            "/stream.mjpg": self.mjpeg,
            "/openapi.json": self.openapi,
            "/api/v1/result": self.result,
            "/api/v1/faces": self.faces,
            "/api/v1/events": self.events,
            "/api/v1/audience": self.audience,
            "/api/v1/cameras": self.cameras,
            "/api/v1/timeline": self.timeline,
            "/api/v1/snapshot.jpg": self.snapshot,
        }
        routes: list[Any] = [Route(path, handler, methods=["GET"]) for path, handler in get.items()]
        routes.append(Route("/api/v1/options", self.options, methods=["GET", "PATCH"]))
        routes.append(Route("/api/v1/cameras/{camera}", self.switch, methods=["PATCH"]))
        routes.append(Route(PATH, self.analyze, methods=["POST"]))
        routes.append(WebSocketRoute("/ws", self.websocket))
        routes += [Route(path, self.page, methods=["GET"]) for path in TYPES]
        handlers = {HTTPException: _failed, TooLarge: _too_large, ClientDisconnect: _gone, RtfaceError: _unfit}
        return Guard(Starlette(routes=routes, exception_handlers=handlers), access)

    async def page(self, request: Request) -> Response:
        """A file of the page."""
        body, kind = page_file(request.url.path)
        return Response(body, media_type=kind, headers={"cache-control": "no-cache"})

    async def health(self, request: Request) -> Response:
        """It runs."""
        return JSONResponse({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Every source gave a result, and gives more."""
        why = {one.name: one.why for one in self._hub.cameras.values() if one.why}
        ready = self._hub.ready
        return JSONResponse({"status": "ready" if ready else "not ready", "why": why}, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._hub.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(self, request: Request) -> Response:
        """What can be asked."""
        return JSONResponse(document())

    async def result(self, request: Request) -> Response:
        """The newest result."""
        parsing = request.query_params.get("parsing", "0") in ("1", "true")
        return Response(self._newest_record(request, parsing=parsing), media_type="application/json")

    async def faces(self, request: Request) -> Response:
        """The newest result's faces."""
        record = json.loads(self._newest_record(request))
        return JSONResponse({name: record[name] for name in ("camera", "index", "width_px", "height_px", "faces")})

    async def audience(self, request: Request) -> Response:
        """Who is here, and today's windows."""
        return JSONResponse(self._hub.audience())

    async def cameras(self, request: Request) -> Response:
        """The sources' health."""
        return JSONResponse([self._state_of(one) for one in list(self._hub.cameras.values())])

    def _state_of(self, camera: Camera) -> dict[str, Any]:
        return {**_camera_record(camera), "off": camera.off, "switchable": self._control.may_switch(camera.name)}

    async def switch(self, request: Request) -> Response:
        """A camera on or off."""
        camera = self._hub.cameras.get(request.path_params["camera"])
        if camera is None:
            raise HTTPException(404, "There is no such camera; GET /api/v1/cameras lists them")
        self._control.switch(camera.name, await _json_of(request))
        return JSONResponse(self._state_of(camera))

    async def timeline(self, request: Request) -> Response:
        """Age, level and faces of the last minutes' results."""
        camera = self._camera(request, needs_result=False)
        columns = list(zip(*list(camera.timeline), strict=True)) or [(), (), (), ()]
        names = ("time_s", "age_ms", "level", "faces")
        record = {name: [round(value, 3) for value in column] for name, column in zip(names, columns, strict=True)}
        if self._hub.privacy == "aggregate":
            record.pop("faces")
        return JSONResponse(record)

    async def options(self, request: Request) -> Response:
        """What the analysis does; another budget, other tasks, stricter privacy."""
        if request.method != "PATCH":
            return JSONResponse(self._control.record())
        return JSONResponse(self._control.change(await _json_of(request)))

    async def analyze(self, request: Request) -> Response:
        """The faces of a picture that is sent."""
        if self._hub.privacy == "aggregate":
            raise _aggregate()
        return JSONResponse(await self._analyze(request.headers.get("content-type", ""), request.stream()))

    async def snapshot(self, request: Request) -> Response:
        """The newest picture."""
        camera = self._camera(request)
        shot = await self._pictures.jpeg(camera)
        if shot.picture is None:
            raise HTTPException(503, "This frame's picture may not be shown; ask again")
        return Response(shot.picture, media_type="image/jpeg")

    async def mjpeg(self, request: Request) -> Response:
        """Pictures one after the other, for an <img>."""
        camera = self._camera(request)
        self._room()
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return StreamingResponse(self._parts(camera), media_type=kind)

    async def _parts(self, camera: Camera) -> AsyncIterator[bytes]:
        self._enter(1)
        number = -1
        try:
            while not self._hub.stopped:
                before = number
                await self._hub.until(lambda before=before: camera.sequence > before, HEARTBEAT_S)  # type: ignore[misc]
                number, _, picture = await self._pictures.jpeg(camera)
                if self._hub.privacy == "aggregate":
                    return
                if picture is not None and number > before:
                    head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    yield head.encode() + picture + b"\r\n"
                await asyncio.sleep(1.0 / MJPEG_FPS)
        finally:
            self._enter(-1)

    async def events(self, request: Request) -> Response:
        """Events as they happen (Server-Sent Events)."""
        self._room()
        last = request.headers.get("last-event-id", "")
        headers = {"x-accel-buffering": "no"}
        stream = self._told(int(last) if last.isdecimal() else None)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _told(self, last: int | None) -> AsyncIterator[bytes]:
        self._enter(1)
        try:
            yield b"retry: 2000\n\n"
            if last is not None and last > self._newest():  # of an earlier run
                last = None
            while not self._hub.stopped:
                news = self._hub.since(last)
                for told in news:
                    yield sse_message(told.number, told.kind, json.dumps(told.record))
                last = news[-1].number if news else last or 0
                if not await self._hub.until(lambda last=last: self._newest() > last, HEARTBEAT_S):  # type: ignore[misc]
                    yield b": still here\n\n"
        finally:
            self._enter(-1)

    def _newest(self) -> int:
        return self._hub.events[-1].number if self._hub.events else 0

    async def websocket(self, socket: WebSocket) -> None:
        """A result as JSON text, and its picture as bytes, whenever the client asks for the next."""
        if self._viewers >= VIEWERS:
            await socket.close(1013, "too many viewers")
            return
        await socket.accept()
        self._enter(1)
        try:
            await self._serve(socket)
        except (WebSocketDisconnect, RuntimeError):  # gone in the middle of a message
            pass
        finally:
            self._enter(-1)

    async def _serve(self, socket: WebSocket) -> None:
        last: dict[str, int] = {}
        while not self._hub.stopped:
            asked = _asked(await socket.receive_text())
            if asked is None:
                await socket.send_text(json.dumps({"kind": "error", "error": 'Ask with {"next": true}'}))
                continue
            camera, news = self._next(str(asked.get("camera", "")), last)
            if camera is None:
                await socket.send_text(json.dumps({"kind": "waiting", "error": "There is no such camera"}))
                continue
            if not await self._hub.until(lambda news=news: news() is not None, 2.0):  # type: ignore[misc]
                await socket.send_text(json.dumps({"kind": "waiting", "camera": _camera_record(camera)}))
                continue
            fresh = news() or camera
            last[fresh.name] = last.pop(fresh.name, 0)  # its next turn comes after the others'
            last[fresh.name] = await self._send(socket, fresh, asked)

    def _next(self, name: str, last: dict[str, int]) -> tuple[Camera | None, Callable[[], Camera | None]]:
        """A camera, and what gives the one whose result a viewer has not had: of all (``*``) each has its turn."""
        if name != EVERY:
            camera = self._named(name)
            return camera, lambda: camera if camera is not None and camera.sequence > last.get(camera.name, 0) else None

        def news() -> Camera | None:
            cameras = self._hub.cameras
            turns = [*(one for one in list(cameras) if one not in last), *(one for one in last if one in cameras)]
            return next((cameras[one] for one in turns if cameras[one].sequence > last.get(one, 0)), None)

        return self._named(""), news

    async def _send(self, socket: WebSocket, camera: Camera, asked: dict[str, Any]) -> int:
        if self._hub.privacy == "aggregate":
            await socket.send_text(
                json.dumps({"kind": "aggregate", "camera": _camera_record(camera), "picture": False})
            )
            return camera.sequence
        if asked.get("picture", True):
            shot = await self._pictures.jpeg(camera)
        else:
            shot = Shot(*camera.newest, None)
        record = self._record(camera.name, shot.number, shot.result, bool(asked.get("parsing")))
        await socket.send_text(f'{record[:-1]},"picture":{"true" if shot.picture is not None else "false"}}}')
        if shot.picture is not None:
            await socket.send_bytes(shot.picture)
        return shot.number

    def _newest_record(self, request: Request, *, parsing: bool = False) -> str:
        camera = self._camera(request)
        return self._record(camera.name, *camera.newest, parsing)

    def _record(self, name: str, number: int, result: FrameResult | None, parsing: bool) -> str:
        """A result as JSON: made once for all viewers."""
        kept = self._messages.get((name, parsing))
        if kept is None or kept[0] != number:
            assert result is not None
            fps = round(self._hub.cameras[name].fps, 1)
            record = {**result.to_dict(parsing=parsing), "camera": name, "fps": fps}
            kept = (number, json.dumps(record, separators=(",", ":"), allow_nan=False))
            self._messages[name, parsing] = kept
        return kept[1]

    def _camera(self, request: Request, *, needs_result: bool = True) -> Camera:
        camera = self._named(request.query_params.get("camera", ""))
        if camera is None:
            raise HTTPException(404, "There is no such camera; GET /api/v1/cameras lists them")
        if needs_result and self._hub.privacy == "aggregate":
            raise _aggregate()
        if needs_result and camera.result is None:
            raise HTTPException(503, f"No result yet: {camera.why}")
        return camera

    def _named(self, name: str) -> Camera | None:
        return self._hub.cameras.get(name) if name else next(iter(self._hub.cameras.values()), None)

    def _room(self) -> None:
        if self._viewers >= VIEWERS:
            raise HTTPException(503, f"{VIEWERS} viewers are looking already")

    def _enter(self, count: int) -> None:
        self._viewers += count
        self._hub.metrics.viewers.set(self._viewers)


async def _json_of(request: Request) -> Any:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "Send Content-Type: application/json")
    try:
        return parse_json(await request.body())
    except ValueError as error:
        raise HTTPException(400, f"The body is not JSON ({error})") from error


def _asked(text: str) -> dict[str, Any] | None:
    try:
        asked = parse_json(text)
    except ValueError:
        return None
    return asked if isinstance(asked, dict) and asked.get("next") else None


def _camera_record(camera: Camera) -> dict[str, Any]:
    ages = sorted(age for _, age, _, _ in list(camera.timeline))
    size = None if camera.result is None else camera.result.frame.image.shape
    return {
        "name": camera.name,
        "up": camera.up,
        "why": camera.why,
        "fps": round(camera.fps, 1),
        "age_p95_ms": round(ages[int(0.95 * (len(ages) - 1))], 1) if ages else None,
        "level": None if camera.result is None else camera.result.level,
        "width_px": size[1] if size else None,
        "height_px": size[0] if size else None,
    }


def _aggregate() -> HTTPException:
    return HTTPException(403, "With --privacy aggregate only windows leave: GET /api/v1/audience")


async def _failed(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _too_large(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The body is too large"}, 413, headers={"connection": "close"})


async def _gone(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "The body ended before its end"}, 400)


async def _unfit(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 422)


#: Limits of bodies by path.
BODIES = {PATH: BODY_BYTES}

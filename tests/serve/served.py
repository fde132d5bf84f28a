"""A server around a hub that made people walk past, and what asks it: no networks, no camera."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("starlette", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("uvicorn", reason="needs pip install 'rtface[serve]'")
pytest.importorskip("prometheus_client", reason="needs pip install 'rtface[serve]'")

from rtface.bench.people import Person, results
from rtface.options import Options
from rtface.outputs.private import private_jpeg
from rtface.serve.analyze import Analyze
from rtface.serve.app import BODIES, Server
from rtface.serve.control import Control
from rtface.serve.hub import Hub
from rtface.serve.pictures import Pictures
from rtface.system.http_access import LOOPBACK, Access
from rtface.system.http_server import HttpServer
from rtface.types import Event

PEOPLE = [Person(1, here=[(0.5, 1e9)], looks=[(0.5, 1e9)], smiles=[(2.0, 4.0)], side=80)]


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    hub: Hub
    port: int
    updates: list[dict[str, Any]] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Answer:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, path, body=body, headers=names)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())

    def lines(self, path: str, enough: int, **headers: str) -> list[str]:
        """The first lines of an answer that has no end."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        assert answer.status == 200
        found = [answer.readline().decode().rstrip("\n") for _ in range(enough)]
        connection.close()
        return found


def feed(hub: Hub, stop: threading.Event, camera: str = "made") -> None:
    """Results at 20 frames a second, whose picture changes."""
    hub.add(camera)
    start = time.monotonic()
    for result in results(PEOPLE, 1e6, fps=20, start=start):
        if stop.wait(max(result.captured_at - time.monotonic(), 0)):
            return
        image = np.full((180, 320, 3), (40, 80, result.frame.index * 5 % 256), np.uint8)
        if result.frame.index == 30:
            hub.note(camera, Event("source_lost", time.monotonic(), "made so"))
            hub.note(camera, Event("source_back", time.monotonic(), "", duration_s=0.1))
        hub.put(camera, replace(result, frame=replace(result.frame, image=image)))


@contextmanager
def serving(*, fed: bool = True, privacy: str = "full", port: int = 0, **access: Any) -> Iterator[Served]:
    """A server on a free port of 127.0.0.1."""
    hub, stop = Hub(privacy=privacy), threading.Event()
    listening = socket.create_server(("127.0.0.1", port))
    served = Served(hub, listening.getsockname()[1])

    def update(changes: dict[str, Any]) -> Options:
        options = Options(**changes)
        served.updates.append(changes)
        return options

    pictures, analyze = Pictures(lambda result: private_jpeg(result, hub.privacy)), Analyze(Options())
    handlers = Server(hub, Control(Options(models_dir="/secret/place"), hub, update), pictures, analyze)
    known: dict[str, Any] = {"hosts": frozenset(LOOPBACK), "body_bytes": BODIES, **access}
    app = handlers.app(Access(served.port, **known))
    server = HttpServer(app, listening)
    feeder = threading.Thread(target=feed, args=(hub, stop), daemon=True)
    if fed:
        feeder.start()
    try:
        while fed and not hub.ready:
            time.sleep(0.01)
        yield served
    finally:
        stop.set()
        hub.close()
        if fed:
            feeder.join(5)
        server.close()
        pictures.close()
        analyze.close()

"""The threads of `rtface serve`: one analyses each source, one answers, and the caller waits."""

from __future__ import annotations

import logging
import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import uvicorn

from rtface.errors import RtfaceError, UsageError
from rtface.options import Options
from rtface.outputs.private import private_picture
from rtface.outputs.sink import Sink
from rtface.serve.analyze import Analyze
from rtface.serve.app import BODIES, Server
from rtface.serve.control import Control
from rtface.serve.hub import Hub, HubSink
from rtface.serve.pictures import Pictures
from rtface.serve.security import LOOPBACK, Access
from rtface.stream import Stream
from rtface.types import Event

#: A thread that only runs Python holds the others up for so long, s; Python's own 5 ms would be in every frame's age.
SWITCH_S = 0.0005
#: How long open streams may take to end.
GOODBYE_S = 1
WILDCARDS = ("0.0.0.0", "::", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How it is served.

    Attributes:
        host, port: Where it listens; port 0 = any that is free.
        token: What a client has to know; None = nothing on this machine, one that is made elsewhere.
        allow_hosts: Further names by which it is reached.
        allow_origins: Further origins, such as https://kiosk.example of a reverse proxy.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()


class Serving:
    """A running server and its analysis; a context manager.

    Args:
        sources: Cameras, files, URLs.
        options: Of the analysis.
        how: Of the server.
        outputs: Further outputs of the first source.
        overwrite: Whether those may be replaced.
        on_event: Called when a source is lost and back.

    Raises:
        UsageError: The address is taken, or cannot be listened on.
    """

    def __init__(
        self,
        sources: Sequence[int | str],
        options: Options,
        how: ServeOptions,
        *,
        outputs: Iterable[str | Sink] = (),
        overwrite: bool = False,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._sources, self._options, self._how = [str(source) for source in sources], options, how
        self._outputs, self._overwrite, self._on_event = tuple(outputs), overwrite, on_event
        local = how.host in LOOPBACK
        self.token = how.token or (None if local else secrets.token_urlsafe(24))
        self.failed: RtfaceError | None = None
        self.over = threading.Event()

    def __enter__(self) -> Serving:
        how = self._how
        self._socket = _listen(how.host, how.port)
        self.port = int(self._socket.getsockname()[1])
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self.hub = Hub(privacy=self._options.privacy, rules=self._options.audience_rules)
        self._pictures = Pictures(lambda result: private_picture(result, self.hub.privacy))
        self._analyze = Analyze(self._options)
        control = Control(self._options, self.hub, self._update)
        app = Server(self.hub, control, self._pictures, self._analyze).app(self._access())
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # or a client could choose the address that its rate is counted for
            lifespan="off",
            ws_max_size=4096,
            ws_per_message_deflate=False,  # JPEG does not shrink
            limit_concurrency=256,
            timeout_graceful_shutdown=GOODBYE_S,
        )
        self._uvicorn = uvicorn.Server(config)
        logging.getLogger("uvicorn.error").addFilter(_no_refusals)
        self._sinks = {name: HubSink(self.hub, name) for name in self._sources}
        for name in self._sources:
            self.hub.add(name)
        work: list[tuple[Callable[..., None], tuple[Any, ...], str]] = [
            (self._uvicorn.run, ([self._socket],), "rtface-http"),
            *((self._watch, (name, number == 0), f"rtface-{name}") for number, name in enumerate(self._sources)),
        ]
        self._threads = [threading.Thread(target=run, args=args, name=name, daemon=True) for run, args, name in work]
        for thread in self._threads:
            thread.start()
        return self

    @property
    def url(self) -> str:
        """Where to look."""
        host = self._how.host
        name = socket.gethostname() if host in WILDCARDS else f"[{host}]" if ":" in host else host
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def wait(self) -> None:
        """Until every source failed to open, or Ctrl-C.

        Raises:
            RtfaceError: A source or a network could not be opened.
        """
        while not self.over.wait(0.5):
            pass
        if self.failed is not None:
            raise self.failed

    def _access(self) -> Access:
        how = self._how
        wildcard = how.host in WILDCARDS
        names = {*LOOPBACK, *how.allow_hosts, *([] if wildcard else [how.host])}
        if wildcard:
            own = socket.gethostname().lower()
            names |= {own, f"{own}.local", own.partition(".")[0]}
        hosts = frozenset(name.lower().strip("[]") for name in names)
        return Access(self.port, hosts, wildcard, frozenset(how.allow_origins), self.token, BODIES)

    def _watch(self, name: str, first: bool) -> None:
        """Analyse one source until it ends."""
        try:
            stream = Stream(
                name,
                live=True,
                options=self._options,
                outputs=[*(self._outputs if first else ()), self._sinks[name]],
                overwrite=self._overwrite,
                on_event=lambda event: self._note(name, event),
            )
            with stream:
                for _ in stream:
                    pass
            self.hub.down(name, "the source is over")
        except RtfaceError as error:
            self.hub.down(name, error.why)
            if self.failed is None:
                self.failed = error
            self.over.set()

    def _note(self, name: str, event: Event) -> None:
        self.hub.note(name, event)
        if self._on_event is not None:
            self._on_event(event)

    def _update(self, changes: dict[str, Any]) -> Options:
        options = replace(self._options, **changes)  # refused as a whole, or taken by every stream
        for sink in self._sinks.values():
            if "budget_ms" in changes:
                sink.control.set_budget(options.budget_ms)
            if "tasks" in changes:
                sink.control.set_tasks(options.tasks)
        self._options = options
        return options

    def __exit__(self, *_: object) -> None:
        for sink in self._sinks.values():
            sink.stop()
        self.hub.close()
        self._uvicorn.should_exit = True
        for thread in self._threads:
            thread.join(5.0)
        self._pictures.close()
        self._analyze.close()
        self._socket.close()
        sys.setswitchinterval(self._switch)


def _no_refusals(record: logging.LogRecord) -> bool:
    """Leaves out what uvicorn says of each WebSocket that was refused: others could fill the log with it."""
    return "without completing handshake" not in record.getMessage()


def _listen(host: str, port: int) -> socket.socket:
    mend = f"Name another: --port {port + 1}" if port < 65535 else "Name another --port"
    try:
        family, kind, *_, address = socket.getaddrinfo(host or "0.0.0.0", port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
    except (OSError, OverflowError) as error:
        raise UsageError(f"{host}:{port}", f"is no address to listen on ({error})", mend) from error
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
    except OSError as error:
        listening.close()
        raise UsageError(f"{host}:{port}", f"cannot be listened on ({error.strerror})", mend) from error
    return listening

"""The threads of `rtface serve`: one analyses, one answers, and the caller waits."""

from __future__ import annotations

import secrets
import socket
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtface.cameras import Cameras
from rtface.capture.named import named
from rtface.cluster.actors import Placement
from rtface.cluster.cameras import ClusterCameras
from rtface.cluster.connection import LOCAL
from rtface.errors import RtfaceError
from rtface.options import Options
from rtface.outputs.private import private_jpeg
from rtface.outputs.sink import Sink
from rtface.serve.analyze import Analyze
from rtface.serve.app import BODIES, Server
from rtface.serve.control import Control
from rtface.serve.hub import Hub, HubSink
from rtface.serve.pictures import Pictures, PicturesElsewhere
from rtface.stream import Stream
from rtface.system.addresses import shown_address
from rtface.system.http_access import LOOPBACK, WILDCARDS, access_to
from rtface.system.http_server import HttpServer, listen
from rtface.types import Event

#: A thread that only runs Python holds the others up for so long, s; Python's own 5 ms would be in every frame's age.
SWITCH_S = 0.0005
#: Events by which a camera that the file has now is first heard of; one that is not open has told nothing else.
APPEARING = ("camera_on", "camera_off", "camera_failed", "source_awaited")


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


@dataclass(frozen=True, slots=True)
class OnCluster:
    """Cameras on a Ray cluster (`rtface.cluster.cameras`): its address, and what a group of cameras takes of a node."""

    address: str = LOCAL
    placement: Placement = field(default_factory=Placement)


Run = Stream | Cameras | ClusterCameras


class Serving:
    """A running server and its analysis; a context manager.

    Args:
        sources: Cameras, files, URLs; ``door=rtsp://…`` names one. Several share the networks.
        options: Of the analysis.
        how: Of the server.
        outputs: Further outputs; of several cameras as `rtface.cameras.Cameras` has them.
        overwrite: Whether those may be replaced.
        cameras: TOML file that lists cameras, and is watched.
        cluster: Where the cameras are analysed; None = here.
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
        cameras: Path | None = None,
        cluster: OnCluster | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        self._sources, self._options, self._how = list(sources), options, how
        self._file, self._cluster = cameras, cluster
        self._outputs, self._overwrite, self._on_event = tuple(outputs), overwrite, on_event
        local = how.host in LOOPBACK
        self.token = how.token or (None if local else secrets.token_urlsafe(24))
        self.failed: RtfaceError | None = None
        self.over = threading.Event()

    def __enter__(self) -> Serving:
        how = self._how
        self.hub = Hub(privacy=self._options.privacy, rules=self._options.audience_rules)
        several = self._file is not None or len(self._sources) > 1 or any(named(one).name for one in self._sources)
        self._run = run = self._open(several)
        mend = f"Name another: --port {how.port + 1}" if how.port < 65535 else "Name another --port"
        listening = listen(how.host, how.port, mend)
        self.port = int(listening.getsockname()[1])
        self._switch = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_S)
        self._pictures = self._pictures_of(run)
        self._analyze = Analyze(self._options)
        control = Control(self._options, self.hub, self._update, None if isinstance(run, Stream) else run)
        access = access_to(
            how.host,
            self.port,
            hosts=how.allow_hosts,
            origins=how.allow_origins,
            token=self.token,
            body_bytes=BODIES,
        )
        self._http = HttpServer(Server(self.hub, control, self._pictures, self._analyze).app(access), listening)
        self._thread = threading.Thread(target=self._watch, args=(run,), name="rtface-analysis", daemon=True)
        self._thread.start()
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

    def _open(self, several: bool) -> Run:
        if self._cluster is not None:
            return self._elsewhere(self._cluster)
        return self._several() if several else self._single()

    def _single(self) -> Stream:
        """One source, which goes by its own name."""
        name = shown_address(str(self._sources[0]))
        self.hub.add(name)
        return Stream(
            self._sources[0],
            live=True,
            options=self._options,
            outputs=[*self._outputs, HubSink(self.hub, name)],
            overwrite=self._overwrite,
            on_event=lambda event: self._note(name, event),
        )

    def _several(self) -> Cameras:
        cameras = Cameras(
            self._sources,
            file=self._file,
            options=self._options,
            outputs=self._outputs,
            overwrite=self._overwrite,
            sinks_of=lambda name: [HubSink(self.hub, name)],
            on_event=lambda event: self._note(event.camera, event),
        )
        for name in cameras.names:
            self.hub.add(name)
        return cameras

    def _elsewhere(self, cluster: OnCluster) -> ClusterCameras:
        """The cameras on a cluster: results come from there, pictures while somebody looks."""
        cameras = ClusterCameras(
            self._sources,
            file=self._file,
            options=self._options,
            address=cluster.address,
            placement=cluster.placement,
            outputs=self._outputs,
            overwrite=self._overwrite,
            on_event=lambda event: self._note(event.camera, event),
        )
        for name in cameras.names:
            self.hub.add(name)
        return cameras

    def _pictures_of(self, run: Run) -> Pictures | PicturesElsewhere:
        if isinstance(run, ClusterCameras):
            return PicturesElsewhere(run, lambda: self.hub.privacy)
        return Pictures(lambda result: private_jpeg(result, self.hub.privacy))

    def _watch(self, run: Run) -> None:
        """Analyse until all is over."""
        try:
            with run:
                for result in run:
                    if isinstance(run, ClusterCameras):
                        self.hub.put(result.camera, result)
            for name in list(self.hub.cameras):
                self.hub.down(name, "the source is over")
        except RtfaceError as error:
            for name in list(self.hub.cameras):
                self.hub.down(name, error.why)
            self.failed = self.failed or error
            self.over.set()

    def _note(self, name: str, event: Event) -> None:
        if name:
            if event.kind in APPEARING and not isinstance(self._run, Stream) and name in self._run.names:
                self.hub.add(name)
            self.hub.note(name, event)
        if self._on_event is not None:
            self._on_event(event)

    def _update(self, changes: dict[str, Any]) -> Options:
        options = replace(self._options, **changes)  # refused as a whole, or taken by every camera
        self._run.update(**changes)
        self._options = options
        return options

    def __exit__(self, *_: object) -> None:
        self._run.stop()
        self.hub.close()
        self._thread.join(5.0)
        self._http.close()
        self._pictures.close()
        self._analyze.close()
        sys.setswitchinterval(self._switch)

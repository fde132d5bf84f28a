"""What outputs over a network share: a thread that connects, sends and reconnects, and never holds a frame up."""

from __future__ import annotations

import socket
import threading
from abc import abstractmethod
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from rtface.outputs.sink import RunInfo, Sink
from rtface.system.addresses import shown_text
from rtface.system.backoff import Backoff
from rtface.system.clock import Clock, SystemClock
from rtface.system.handoff import Channel
from rtface.types import Event, FrameResult

T = TypeVar("T")

#: Seconds between two packets to a port where nobody listens.
PROBE_S = 0.25
#: Seconds that the end of a run waits for what is still to be sent.
LINGER_S = 2.0


class _Queue(Channel[T]):
    """A few slots: a newer item pushes out the oldest."""

    def _make_room(self) -> None:
        while len(self._items) >= self._capacity:
            self._items.popleft()


class NetworkSink(Sink, Generic[T]):
    """An output to another program. ``write`` only hands over, so a receiver that is slow or gone costs a frame
    nothing.

    A thread of its own connects, sends, and after a failure reconnects with back-off. What waits is bounded: the oldest
    is dropped and counted (``lost``). That the receiver is lost and back again are events of the run, not errors.

    Subclasses implement ``connect``, ``send`` and ``disconnect``, which that thread alone calls and which may block
    for a few seconds, and ``items``, which the analysis thread calls and which must be quick.

    Args:
        name: What messages call it, without secrets.
        waiting: How many items may wait; for the state of a face 1, since only the newest counts.
        clock: For tests.
    """

    own_thread = False

    #: Seconds after which ``beat`` is called where nothing is to be sent; None = never.
    beat_s: float | None = None

    def __init__(
        self, name: str, *, waiting: int = 1, clock: Clock | None = None, backoff: Backoff | None = None
    ) -> None:
        self.name = name
        self.sent = 0
        self.failures = 0
        self.connected = False
        self._clock = clock or SystemClock()
        self._backoff = backoff or Backoff()
        self._queue: _Queue[T] = _Queue(waiting)
        self._put = self._dropped = 0
        self._told_lost = False
        self._lost_at = 0.0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._info: RunInfo | None = None
        self._summary: dict[str, Any] | None = None

    @property
    def info(self) -> RunInfo:
        """The run; from ``open`` on."""
        assert self._info is not None
        return self._info

    @abstractmethod
    def items(self, result: FrameResult) -> Iterable[T]:
        """What is to be sent of a result."""

    @abstractmethod
    def connect(self) -> None:
        """Reach the receiver.

        Raises:
            Exception: It cannot be reached; it is tried again.
        """

    @abstractmethod
    def send(self, item: T) -> None:
        """Hand an item to the receiver.

        Raises:
            Exception: The receiver is lost; ``connect`` follows, and the item is not sent again.
        """

    def disconnect(self) -> None:
        """Let go of the receiver; it may be gone. Also called after a failed ``connect``."""

    def beat(self) -> None:
        """Nothing was to be sent for ``beat_s``. Failures count as those of ``send``."""

    def farewell(self, summary: dict[str, Any]) -> None:
        """The last words, sent where the receiver is there."""

    @property
    def lost(self) -> int:  # type: ignore[override]
        """Items that were dropped because the receiver did not take them in time."""
        return self._dropped

    def open(self, info: RunInfo) -> None:
        self._info = info
        self._thread = threading.Thread(target=self._run, name=f"rtface-{self.name}", daemon=True)
        self._thread.start()

    def write(self, result: FrameResult) -> None:
        for item in self.items(result):
            self._queue.put(item)
            self._put += 1

    def finish(self, summary: dict[str, Any]) -> None:
        self._summary = summary
        self._end(LINGER_S)

    def close(self) -> None:
        self._end(0.0)

    def _end(self, linger_s: float) -> None:
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._queue.close()
        if linger_s and not self._told_lost:  # connected, or still on the way there
            thread.join(linger_s)
        self._stop.set()
        thread.join(LINGER_S)  # a daemon: a receiver that hangs does not hold up the end for longer

    def _run(self) -> None:
        tries = 0
        while not self._stop.is_set():
            if not self.connected:
                if self._try_to_connect():
                    tries = 0
                elif self._queue.ended or self._clock.wait(self._stop, self._backoff.pause_s(tries)):
                    break
                else:
                    tries += 1
                continue
            taken = self._queue.take(self.beat_s)
            if taken is not None:
                self._dropped += taken.dropped
                self._try(lambda item=taken.item: self.send(item))
            elif self._queue.ended:
                break
            else:
                self._try(self.beat, counts=False)
        self._say_goodbye()

    def _say_goodbye(self) -> None:
        while (taken := self._queue.take(0.0)) is not None:
            self._dropped += taken.dropped + 1
        if self.connected and self._summary is not None:
            self._try(lambda: self.farewell(self._summary or {}), counts=False)
        self._let_go()

    def _try_to_connect(self) -> bool:
        try:
            self.connect()
        except Exception as error:
            self._failed(error)
            return False
        self.connected = True
        if self._told_lost:
            self._told_lost = False
            self._note("output_back", self.name, self._clock.now() - self._lost_at)
        return True

    def _try(self, act: Any, *, counts: bool = True) -> None:
        try:
            act()
            self.sent += counts
        except Exception as error:
            self._dropped += counts
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        self.failures += 1
        self._let_go()
        if not self._told_lost and not self._stop.is_set():
            self._told_lost = True
            self._lost_at = self._clock.now()
            self._note("output_lost", f"{self.name}: {shown_text(reason(error))}", None)

    def _let_go(self) -> None:
        self.connected = False
        with suppress(Exception):  # it is gone already
            self.disconnect()

    def _note(self, kind: str, what: str, duration_s: float | None) -> None:
        self.info.on_event(Event(kind, self._clock.now(), what, duration_s=duration_s))


class DatagramSink(NetworkSink[FrameResult]):
    """An output of small UDP packets. Nobody needs to listen: that nobody does is said once, and sending goes on, a
    packet every `PROBE_S` as long as this machine says that the port is closed: packets for nobody cost as much as
    others.

    Args:
        name: What messages call it.
        host, port: Where to.
    """

    picture = "none"
    beat_s = 0.5

    def __init__(self, name: str, host: str, port: int, *, clock: Clock | None = None) -> None:
        super().__init__(name, clock=clock)
        self._address = (host, port)
        self._socket: socket.socket | None = None
        self._told_nobody = False
        self._silent_until = 0.0

    @abstractmethod
    def packets(self, result: FrameResult) -> Iterable[bytes]:
        """The packets of a result."""

    def idle_packets(self) -> Iterable[bytes]:
        """The packets of half a second without a result."""
        return ()

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        host, port = self._address
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setblocking(False)
        self._socket.connect(address)

    def send(self, item: FrameResult) -> None:
        if self._clock.now() < self._silent_until:
            self._dropped += 1
        else:
            self._send_all(self.packets(item))

    def beat(self) -> None:
        self._send_all(self.idle_packets())

    def _send_all(self, packets: Iterable[bytes]) -> None:
        assert self._socket is not None
        for packet in packets:
            try:
                self._socket.send(packet)
            except BlockingIOError:
                self._dropped += 1
            except ConnectionRefusedError:  # the answer to an earlier packet
                self._silent_until = self._clock.now() + PROBE_S
                if not self._told_nobody:
                    self._told_nobody = True
                    self._note("output_lost", f"{self.name}: nobody listens there yet; sending goes on", None)

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def reason(error: BaseException) -> str:
    """What went wrong, in a few words: what the system says where it says anything, else the error's own text."""
    if isinstance(error, socket.gaierror):
        return "the host's name is not known"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return " ".join(str(error).split()) or type(error).__name__

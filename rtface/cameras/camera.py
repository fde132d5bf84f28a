"""One of several cameras: opened, read, delivered and closed without holding the others up."""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from rtface.analyzer import Analyzer
from rtface.analyzer.together import StreamFrame, Together
from rtface.budget.turns import Waiting
from rtface.cameras.stream import CameraStream
from rtface.capture.named import NamedSource
from rtface.capture.reconnecting import Reconnect
from rtface.errors import OutputError, RtfaceError, SourceError
from rtface.options import Options
from rtface.outputs.sink import Sink
from rtface.stream import WAIT_S
from rtface.system.clock import Clock
from rtface.system.memory import give_back
from rtface.types import Event, FrameResult

CLOSE_S = 15.0
"""A camera that is not closed after so long is left behind: a driver may block for ever."""


_NUMBERS = itertools.count()


class Camera:
    """A camera of a run; see `rtface.cameras.Cameras`.

    Args:
        spec: What it is; with a name.
        session: How often it was opened before in this run, and once more.
        from_file: The file lists it.

    Attributes:
        listed: As a list, such as the file, named it last; it may have been switched on or off since.
        tried: It was opened, or could not be at the first try.
        may_come: It was not there, and is tried again.
        failed: It is given up, and that was said.
        error: Why it is not there.
        closed: Everything of it is released.
        number: Higher than of cameras that were made before.
    """

    def __init__(self, spec: NamedSource, *, session: int = 1, from_file: bool = False) -> None:
        self.spec, self.name, self.from_file, self.listed = spec, spec.name, from_file, spec
        self.number = next(_NUMBERS)
        self._session = session
        self.tried = threading.Event()
        self.may_come = self.failed = self.closed = False
        self.error: RtfaceError | None = None
        self._lock = threading.RLock()
        self._stream: CameraStream | None = None
        self._entered = False
        self._opening: threading.Thread | None = None
        self._closing: threading.Thread | None = None
        self._served_at = self._idled_at = 0.0
        self._wake: Callable[[], None] = lambda: None
        self._met: OutputError | None = None
        self._summary: dict[str, Any] | None = None

    @property
    def next_session(self) -> int:
        """Of its next connection, which leaves alone what was written before."""
        return self._session + (self._opening is not None)

    def again(self, spec: NamedSource) -> Camera:
        """The same camera once more: a new connection, with outputs of its own."""
        camera = Camera(spec, session=self.next_session, from_file=self.from_file)
        camera.listed = self.listed
        return camera

    @property
    def state(self) -> str:
        """ "off", "opening", "on", "over" or "failed"."""
        if self.failed or (self.error is not None and not self.may_come):
            return "failed"
        if self._closing is not None:
            return "over"
        if self._opening is None:
            return "off"
        return "on" if self._entered else "opening"

    def open(
        self,
        options: Options,
        *,
        analyzer: Analyzer,
        together: Together,
        outputs: Callable[[int], Iterable[Sink]],
        on_event: Callable[[Event], None],
        clock: Clock,
        reconnect: Reconnect | None,
        wake: Callable[[], None],
    ) -> None:
        """Open it in a thread of its own; `tried` tells when that has come to something.

        Args:
            options: Of the box.
            analyzer, together: The networks.
            outputs: Its outputs, by the number of this session.
            on_event: Takes what happens to it.
            clock, reconnect: As for `Stream`.
            wake: Called when it has a frame, or is over.
        """
        spec = self.spec
        self._wake = wake
        changes: dict[str, Any] = {"wait": True, **spec.options}
        if spec.max_level is not None:
            changes["max_level"] = spec.max_level

        def work() -> None:
            try:
                own = replace(options, **changes)
                stream = self._stream = CameraStream(
                    spec.source,
                    together=together,
                    wake=wake,
                    on_awaited=self._await,
                    live=True,
                    options=own,
                    outputs=outputs(self._session),
                    analyzer=analyzer,
                    on_event=on_event,
                    clock=clock,
                    reconnect=reconnect,
                    camera=spec.name,
                )
                if self._closing is not None:
                    return
                stream.__enter__()
                self._served_at = clock.now()
                self.error, self.may_come, self._entered = None, False, True
                on_event(Event("camera_on", clock.now(), stream.source.name, camera=spec.name))
            except Exception as error:
                self.error, self.may_come = self.as_error(error), False
            finally:
                self.tried.set()
                wake()

        self._opening = threading.Thread(target=work, name=f"rtface-open-{spec.name}", daemon=True)
        self._opening.start()

    def _await(self, error: SourceError) -> None:
        self.error, self.may_come = error, True
        self.tried.set()
        self._wake()

    def _usable(self) -> CameraStream | None:
        """Its stream, while it is open; asked and used under the lock, as another thread may close it."""
        return self._stream if self._entered and self._closing is None else None

    def waiting(self) -> Waiting | None:
        """Its frame that waits; None = there is none."""
        with self._lock:
            stream = self._usable()
            deadline = None if stream is None else stream.deadline
            if stream is None or deadline is None:
                return None
            usual_s, came_at = stream.pipeline.usual_s, stream.arrivals.last_at
        return Waiting(deadline, usual_s, self._served_at, self.spec.priority, came_at)

    @property
    def expected_at(self) -> float:
        """When its next frame is expected; minus infinity = nothing is known."""
        with self._lock:
            stream = self._usable()
            return -math.inf if stream is None else stream.arrivals.next_at

    def take(self, now: float) -> StreamFrame | None:
        """The frame that waits, to be analysed; None = it is gone, or not wanted."""
        with self._lock:
            stream = self._usable()
            self._served_at = now
            return None if stream is None else stream.take_frame()

    def deliver(self, result: FrameResult) -> FrameResult | None:
        """The result of the frame that was taken, whole, and handed to the camera's own outputs; None = it is closed.

        Raises:
            OutputError: One of them failed.
        """
        with self._lock:
            stream = self._usable()
            return None if stream is None else stream.deliver(result)

    def idle_if_silent(self, now: float) -> None:
        """About twice a second while no frame of this camera comes: its outputs and its visitors go on.

        Raises:
            OutputError: One of its outputs failed.
        """
        if now - max(self._served_at, self._idled_at) < WAIT_S:
            return
        self._idled_at = now
        with self._lock:
            stream = self._usable()
            if stream is not None:
                stream.idle()

    def has_ended(self) -> bool:
        """Whether it gives no more frames, of itself; `error` then says why, if it should not have."""
        with self._lock:
            stream = self._usable()
            try:
                return stream is not None and stream.has_ended()
            except Exception as error:
                self.error = self.as_error(error)
                return False

    def as_error(self, error: Exception) -> RtfaceError:
        """What was met, as ours: of a source or an output of one's own anything may come."""
        if isinstance(error, RtfaceError):
            return error
        met = SourceError(self.name, f"failed with {type(error).__name__}: {error}", "Mend its source")
        met.__cause__ = error
        return met

    def change(self, spec: NamedSource) -> None:
        """Another priority, or another floor, from the next frame on."""
        self.spec = spec
        with self._lock:
            stream = self._usable()
            if stream is not None:
                stream.pipeline.set_floor(spec.max_level)

    def update(self, changes: dict[str, Any]) -> None:
        """Another budget, other tasks; see `Stream.update`."""
        own = {name: value for name, value in changes.items() if name not in self.spec.options}
        with self._lock:
            stream = self._usable()
            if stream is not None and own:
                stream.update(**own)

    def summary(self) -> dict[str, Any] | None:
        """Its figures so far, or whole; None = it was never open."""
        with self._lock:
            return self._stream.summary if self._stream is not None and self._entered else self._summary

    def close(self, error: BaseException | None = None) -> None:
        """Close it in a thread of its own; idempotent."""
        with self._lock:
            if self._closing is not None:
                return
            self._closing = threading.Thread(
                target=self._close, args=(error,), name=f"rtface-close-{self.name}", daemon=True
            )
        if self._stream is not None:
            self._stream.stop()
        self._closing.start()

    def _close(self, error: BaseException | None) -> None:
        if self._opening is not None:
            self._opening.join()
        try:
            if self._stream is not None and self._entered:
                error = error or self.error
                self._stream.__exit__(None if error is None else type(error), error, None)
        except RtfaceError as met:
            self.error = self.error or met
        if isinstance(self.error, OutputError):
            self._met = self.error
        self._let_go()
        self.closed = True

    def _let_go(self) -> None:
        """Release what it holds: in circles of references that would wait, frames and all, for Python's collector, and
        to the system, as cameras may come and go for months."""
        self._summary = self.summary()
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            vars(stream).clear()
        give_back()

    def wait_closed(self) -> OutputError | None:
        """Until it is closed; what one of its outputs met, once."""
        if self._closing is not None:
            self._closing.join(CLOSE_S)
        met, self._met = self._met, None
        return met

"""Hands each result to every output. A slow one holds up nobody in a live run, and loses only its own frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from rtface.errors import OutputError, RtfaceError
from rtface.outputs.private import check_groups_only, private_result, without_picture
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.handoff import BoundedQueue, Channel, Mailbox
from rtface.types import FrameResult

#: Seconds that an output may make no headway at the end of a run before it is given up.
GIVE_UP_S = 5.0


class _Newest(Mailbox[FrameResult]):
    """The newest result, with the events of those that nobody took: an output that is slow misses frames only."""

    def put(self, item: FrameResult) -> bool:
        with self._changed:
            if self._items and self._items[-1][1].events:
                item = replace(item, events=self._items[-1][1].events + item.events)
            return super().put(item)


MANY = 64
"""Results of several cameras that an output may lag behind by: eight cameras' quarter of a second."""


class _NewestOfMany(Channel[FrameResult]):
    """The newest results of several cameras, with the events of those that nobody took."""

    def __init__(self) -> None:
        super().__init__(MANY)

    def _make_room(self) -> None:
        while len(self._items) >= self._capacity:
            _, gone = self._items.popleft()
            if gone.events:  # each says of which camera it is
                sequence, oldest = self._items[0]
                self._items[0] = sequence, replace(oldest, events=gone.events + oldest.events)


class _Outlet:
    """One sink and the thread that writes it, to its end."""

    def __init__(self, sink: Sink, handoff: Channel[FrameResult]) -> None:
        self.sink = sink
        self.lost = 0
        self.error: Exception | None = None
        self._handoff = handoff
        self._moved_at = 0.0  # when it last made headway
        self._drained, self._told, self._ended = threading.Event(), threading.Event(), threading.Event()
        self._given_up = False
        self._summary: dict[str, Any] = {}
        self._thread = threading.Thread(target=self._run, name=f"rtface-{sink.name}", daemon=True)
        self._thread.start()

    def put(self, result: FrameResult) -> None:
        if not self._handoff.put(result):
            self.check()

    def check(self) -> None:
        """
        Raises:
            Exception: What the sink met.
        """
        if self.error is not None:
            raise self.error

    def idle(self) -> None:
        """Its thread waits by itself."""

    def close(self, last: FrameResult | None, count: int) -> None:
        """No more results come after the last, the `count`th."""
        if last is not None:
            self._handoff.put_late(last, count)
        self._handoff.close()

    def drain(self, since: float) -> None:
        """Waits until everything that was put is written, or the sink has made no headway for too long `since`."""
        self._wait(self._drained, since)

    def finish(self, summary: dict[str, Any]) -> None:
        """Lets the sink finish and close."""
        self._summary = summary
        self._told.set()

    def end(self, since: float) -> None:
        """Waits until the sink is closed, or has made no headway for too long `since`."""
        self._wait(self._ended, since)

    def _wait(self, what: threading.Event, since: float) -> None:
        while not self._given_up:
            left_s = max(self._moved_at, since) + GIVE_UP_S - time.monotonic()
            if what.wait(max(left_s, 0.0)):
                return
            self._given_up = left_s <= 0.0
        if self.error is None:
            why = f"made no headway for {GIVE_UP_S:g} s and was given up; what it had not written is lost"
            self.error = OutputError(self.sink.name, why, "Check what it writes to")

    def _run(self) -> None:
        try:
            self._write()
        finally:
            self._drained.set()
            self._told.wait()
            if self.error is None:
                self.error = _attempt(self.sink, lambda: self.sink.finish(self._summary))
            closing = _attempt(self.sink, self.sink.close)
            self.error = self.error or closing
            self._ended.set()

    def _write(self) -> None:
        try:
            while (taken := self._handoff.take()) is not None:
                self.lost += taken.dropped
                self.sink.write(taken.item)
                self._moved_at = time.monotonic()
        except BaseException as error:  # raised again by put, check and finish
            self.error = _as_output_error(self.sink, error)
            self._handoff.close()


class _Direct:
    """A sink that is written by the thread that analyses."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.lost = 0
        self.error: Exception | None = None

    def put(self, result: FrameResult) -> None:
        try:
            self.sink.write(result)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self.error = _as_output_error(self.sink, error)
            raise self.error from error

    def check(self) -> None:
        """It raises where it is written."""

    def idle(self) -> None:
        self.sink.idle()

    def close(self, last: FrameResult | None, count: int) -> None:
        """Nothing is waiting."""

    def drain(self, since: float) -> None:
        """Nothing is waiting."""

    def end(self, since: float) -> None:
        """It has ended when it has finished."""

    def finish(self, summary: dict[str, Any]) -> None:
        if self.error is None:
            self.error = _attempt(self.sink, lambda: self.sink.finish(summary))
        closing = _attempt(self.sink, self.sink.close)
        self.error = self.error or closing


class Fanout:
    """All outputs of a run.

    Args:
        sinks: The outputs.
        info: The run, for their ``open``.
        privacy: How pictures may leave the process (`Options.privacy`).
        live: Each output keeps only the newest result that it has not written; else all are kept.
        many_cameras: Results are of several cameras: of the newest a few are kept.

    Raises:
        OutputError: An output cannot be opened; those opened before it are closed.
    """

    def __init__(
        self,
        sinks: Sequence[Sink],
        info: RunInfo,
        *,
        live: bool,
        privacy: str = "full",
        many_cameras: bool = False,
    ) -> None:
        if privacy == "aggregate":
            check_groups_only(tuple(sinks))
        self._privacy = privacy
        handoff: Callable[[], Channel[FrameResult]] = _Newest if live else BoundedQueue
        if many_cameras:
            handoff = _NewestOfMany
        with ExitStack() as opened:
            for sink in sinks:
                opened.enter_context(sink)
                try:
                    sink.open(info)
                except Exception as error:
                    raise _as_output_error(sink, error) from error
            opened.pop_all()  # each outlet closes its own
        self._last: FrameResult | None = None
        self._made: dict[str, FrameResult] = {}  # of the last, by what outputs may have
        self._count = 0
        self._outlets = [_Outlet(sink, handoff()) if sink.own_thread else _Direct(sink) for sink in sinks]

    def put(self, result: FrameResult) -> None:
        """Hand a result to every output.

        Raises:
            OutputError: An output failed.
        """
        self._last, self._count = result, self._count + 1
        self._made = {"original": result}
        for outlet in self._outlets:
            outlet.put(self._as_may_leave(outlet.sink, result))

    def _as_may_leave(self, sink: Sink, result: FrameResult) -> FrameResult:
        """The result with the picture that this output may have; made once for all that get the same."""
        wanted = sink.picture if self._privacy == "blur" else "original"
        if wanted not in self._made:
            self._made[wanted] = private_result(result, "blur") if wanted == "private" else without_picture(result)
        return self._made[wanted]

    def idle(self) -> None:
        """Nothing to hand over yet: a lost camera, a slow one.

        Raises:
            OutputError: An output failed.
        """
        for outlet in self._outlets:
            outlet.check()
            outlet.idle()

    @property
    def done(self) -> bool:
        """An output wants no more."""
        return any(outlet.sink.done for outlet in self._outlets)

    def finish(self, summary: dict[str, Any]) -> None:
        """Write what is waiting, then the summary, and close all; one output's failure leaves the others whole.

        An output that makes no headway for `GIVE_UP_S` is left behind, and counts as failed.

        Args:
            summary: The last JSON line; ``lost`` is added, per output the results that it was too slow for.

        Raises:
            OutputError: An output failed; the first of them, if several did.
        """
        closed_at = time.monotonic()
        for outlet in self._outlets:
            last = None if self._last is None else self._as_may_leave(outlet.sink, self._last)
            outlet.close(last, self._count)  # Ctrl-C may have come between two outputs
        for outlet in self._outlets:
            outlet.drain(closed_at)
        lost = {outlet.sink.name: outlet.lost + outlet.sink.lost for outlet in self._outlets}
        lost = {name: count for name, count in lost.items() if count}
        for outlet in self._outlets:
            outlet.finish({**summary, "lost": lost})
        told_at = time.monotonic()
        for outlet in self._outlets:
            outlet.end(told_at)
        for outlet in self._outlets:
            if outlet.error is not None:
                raise outlet.error


def _attempt(sink: Sink, call: Callable[[], None]) -> Exception | None:
    try:
        call()
    except BaseException as error:
        return _as_output_error(sink, error)
    return None


def _as_output_error(sink: Sink, error: BaseException) -> RtfaceError:
    """The error itself where it says what to do, else one that says which output met it."""
    if isinstance(error, RtfaceError):
        return error
    line = " ".join(str(error).split())
    failed = OutputError(
        sink.name, f"failed with {type(error).__name__}{': ' if line else ''}{line}", "Mend the output"
    )
    failed.__cause__ = error
    return failed

"""Hands each result to every output. A slow one holds up nobody in a live run, and loses only its own frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from rtface.outputs.sink import RunInfo, Sink
from rtface.system.handoff import Backlog, Handoff, Mailbox
from rtface.types import FrameResult


class _Outlet:
    """One sink and the thread that writes it."""

    def __init__(self, sink: Sink, handoff: Handoff[FrameResult]) -> None:
        self.sink = sink
        self.lost = 0
        self.error: Exception | None = None
        self._handoff = handoff
        self._thread = threading.Thread(target=self._run, name=f"rtface-{sink.name}", daemon=True)
        self._thread.start()

    def put(self, result: FrameResult) -> None:
        if not self._handoff.put(result) and self.error is not None:
            raise self.error

    def idle(self) -> None:
        """Its thread waits by itself."""

    def drain(self) -> None:
        """Waits until everything that was put is written."""
        self._handoff.close()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (taken := self._handoff.take()) is not None:
                self.lost += taken.dropped
                self.sink.write(taken.item)
        except Exception as error:  # raised again by put and finish
            self.error = error
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
        except Exception as error:
            self.error = error
            raise

    def idle(self) -> None:
        self.sink.idle()

    def drain(self) -> None:
        """Nothing is waiting."""


class Fanout:
    """All outputs of a run.

    Args:
        sinks: The outputs.
        info: The run, for their ``open``.
        live: Each output keeps only the newest result that it has not written; else all are kept.

    Raises:
        OutputError: An output cannot be opened; those opened before it are closed.
    """

    def __init__(self, sinks: Sequence[Sink], info: RunInfo, *, live: bool) -> None:
        handoff: Callable[[], Handoff[FrameResult]] = Mailbox if live else Backlog
        self._stack = ExitStack()
        self._outlets: list[_Outlet | _Direct] = []
        with ExitStack() as opened:
            for sink in sinks:
                opened.enter_context(sink)
                sink.open(info)
            self._stack = opened.pop_all()
        for sink in sinks:
            self._outlets.append(_Outlet(sink, handoff()) if sink.own_thread else _Direct(sink))

    def put(self, result: FrameResult) -> None:
        """Hand a result to every output.

        Raises:
            OutputError: An output failed.
        """
        for outlet in self._outlets:
            outlet.put(result)

    def idle(self) -> None:
        """Nothing to hand over yet: a lost camera, a slow one."""
        for outlet in self._outlets:
            outlet.idle()

    @property
    def done(self) -> bool:
        """An output wants no more."""
        return any(outlet.sink.done for outlet in self._outlets)

    def finish(self, summary: dict[str, Any]) -> None:
        """Write what is waiting, then the summary, and close all; one output's failure leaves the others whole.

        Args:
            summary: The last JSON line; ``lost`` is added, per output the results that it was too slow for.

        Raises:
            OutputError: An output failed; the first of them, if several did.
        """
        for outlet in self._outlets:
            outlet.drain()
        lost = {outlet.sink.name: outlet.lost + outlet.sink.lost for outlet in self._outlets}
        lost = {name: count for name, count in lost.items() if count}
        with self._stack:
            for outlet in self._outlets:
                if outlet.error is None:
                    outlet.error = _attempt(outlet.sink, {**summary, "lost": lost})
        for outlet in self._outlets:
            if outlet.error is not None:
                raise outlet.error


def _attempt(sink: Sink, summary: dict[str, Any]) -> Exception | None:
    try:
        sink.finish(summary)
    except Exception as error:
        return error
    return None

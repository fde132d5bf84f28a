"""The capture thread: reads a source, and hands each frame over as soon as there is one."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import NamedTuple

from rtface.capture.source import Source, is_number
from rtface.errors import UsageError
from rtface.system.clock import Clock
from rtface.system.handoff import Channel
from rtface.types import Frame

LONGEST_S = 1e10
"""No time of a frame is farther from 0: some 300 years."""


_PLAIN = (float, int, type(None))


class Grabbed(NamedTuple):
    """A frame, and the milliseconds from its grab until it was decoded."""

    frame: Frame
    capture_ms: float


def stamped(frame: object, now: float) -> Grabbed:
    """The frame as it is handed over at `now`; a source of one's own need not stamp its frames.

    Raises:
        UsageError: A source of one's own gave something else.
    """
    if not isinstance(frame, Frame):
        why = f"read() gave a {type(frame).__name__}, expected a rtface.Frame or None"
        raise UsageError("source", why, "Return rtface.Frame(image)")
    frame = _checked(frame)
    if frame.captured_at is None:
        return Grabbed(replace(frame, captured_at=now), 0.0)
    return Grabbed(frame, (now - frame.captured_at) * 1000.0)


def _checked(frame: Frame) -> Frame:
    """The frame with times as floats and its number as an int, whatever kind of numbers they were."""
    for name in ("captured_at", "media_time"):
        value = getattr(frame, name)
        if value is not None and not is_number(value, LONGEST_S):
            raise UsageError(f"source: {name} of a frame", f"expected seconds, got {value!r:.60}", "Or leave it out")
    if not is_number(frame.index, 2.0**53):
        raise UsageError("source: index of a frame", f"expected a number, got {frame.index!r:.60}", "Count from 0")
    if not frame.image.size:
        raise UsageError("source: image of a frame", f"is empty: {frame.image.shape}", "Leave such frames out")
    if type(frame.captured_at) in _PLAIN and type(frame.media_time) in _PLAIN and type(frame.index) is int:
        return frame
    captured_at = None if frame.captured_at is None else float(frame.captured_at)
    media_time = None if frame.media_time is None else float(frame.media_time)
    return replace(frame, index=int(frame.index), captured_at=captured_at, media_time=media_time)


class Pace:
    """Holds each frame of a file until it is due, as if it came from a camera; ``captured_at`` is that moment."""

    def __init__(self, clock: Clock, stop: threading.Event) -> None:
        self._clock, self._stop = clock, stop
        self._started_at: float | None = None

    def hold(self, frame: Frame, fps: float | None) -> Frame:
        """Waits until the frame is due, or the run stops."""
        now = self._clock.now()
        media_time = float(frame.index / (fps or 25.0) if frame.media_time is None else frame.media_time)
        if self._started_at is None:
            self._started_at = now - media_time
        self._clock.wait(self._stop, self._started_at + media_time - now)
        return replace(frame, captured_at=self._clock.now())


class Grabber:
    """Reads ``source`` in a thread until its end, an error, or ``stop``; then closes it.

    Args:
        source: Read by this thread alone from ``start`` on.
        handoff: Where frames go; it decides whether an untaken one is overwritten or waited for.
        clock: For the times.
        paced: Play a file at its own speed, as if it were a camera: each frame is held until it is due, and its
            ``captured_at`` is that moment.
    """

    def __init__(self, source: Source, handoff: Channel[Grabbed], clock: Clock, *, paced: bool = False) -> None:
        self._source = source
        self._handoff = handoff
        self._clock = clock
        self._stop = threading.Event()
        self._pace = Pace(clock, self._stop) if paced else None
        self._thread = threading.Thread(target=self._run, name="rtface-capture", daemon=True)

    @property
    def corrupt(self) -> int:
        """Frames that could not be decoded."""
        return self._source.corrupt

    def start(self) -> None:
        self._thread.start()

    def halt(self) -> None:
        """Ends the thread after the read that it is in; from any thread, and without waiting for it."""
        self._stop.set()
        self._handoff.close()

    def stop(self) -> None:
        """Ends the thread after the read that it is in, and waits for that."""
        self.halt()
        if self._thread.ident is not None:
            self._thread.join(timeout=5.0)  # a camera's driver may block for ever; the thread is a daemon

    def _run(self) -> None:
        try:
            with self._source:
                while not self._stop.is_set():
                    frame = self._source.read()
                    if frame is None or not self._hand_over(frame):
                        break
            self._handoff.close()
        except BaseException as error:  # raised again where the frames are taken
            self._handoff.fail(error)

    def _hand_over(self, frame: Frame) -> bool:
        grabbed = stamped(frame, self._clock.now())
        if self._pace is not None:
            grabbed = grabbed._replace(frame=self._pace.hold(grabbed.frame, self._source.fps))
        return self._handoff.put(grabbed)

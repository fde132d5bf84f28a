"""A stream whose frames are analysed together with those of other cameras."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from rtface.analyzer import Analyzer
from rtface.analyzer.together import StreamFrame, StreamPipeline, Together
from rtface.capture.reader import Grabbed
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.stream import Stream
from rtface.system.clock import Clock
from rtface.system.handoff import Mailbox
from rtface.types import FrameResult

MOST_FPS = 240.0
"""A source that gives more frames than this is held back: its thread would keep the others from running Python. What a
network has piled up in a second is through in an eighth of one."""

LATE_SHARE = 0.5
"""A frame whose decoding took so much of its budget says nothing of the quality level of the box."""

EVERY_WEIGHT = 0.1
"""Weight of a frame in how far apart a camera's frames are; longer than `LONGEST_S` it was away."""

LONGEST_S = 2.0


class CameraStream(Stream):
    """A stream whose frames are analysed together with those of others.

    Args:
        args, given: As for `Stream`.
        together: The networks.
        wake: Called when there is a frame, or will be none.
        on_awaited: Called when the source is not there and waited for.
    """

    pipeline: StreamPipeline
    arrivals: CameraMailbox

    def __init__(
        self,
        *args: Any,
        together: Together,
        wake: Callable[[], None],
        on_awaited: Callable[[SourceError], None],
        **given: Any,
    ) -> None:
        super().__init__(*args, **given)
        self._together, self._wake, self._on_awaited = together, wake, on_awaited
        self._taken: tuple[Grabbed, int] | None = None

    def _attach(self, stack: ExitStack, source: Source) -> Analyzer:
        if source.stills:
            raise SourceError(self.camera, f"{source.name} is pictures, not a camera", "rtface run takes pictures")
        assert self._analyzer is not None
        self.pipeline = self._together.stream(self._options)
        return self._analyzer

    def _awaited(self, error: SourceError) -> None:
        super()._awaited(error)
        self._on_awaited(error)

    def _new_mailbox(self) -> Mailbox[Grabbed]:
        self.arrivals = CameraMailbox(self._clock, self._wake)
        return self.arrivals

    @property
    def deadline(self) -> float | None:
        """Of the frame that waits; None = none does."""
        grabbed = self._handoff.peek()
        return None if grabbed is None else self._terms(grabbed.frame)[1]

    def take_frame(self) -> StreamFrame | None:
        """The frame that waits; None where frames pass unseen."""
        taken = self._handoff.take(0.0)
        if taken is None or not self._control.enabled:
            return None
        self._last_at = self._clock.now()
        grabbed = taken.item
        self._taken = grabbed, taken.dropped
        at, deadline, tasks = self._terms(grabbed.frame)
        budget_s = deadline - (grabbed.frame.captured_at or 0.0)
        judged = grabbed.capture_ms / 1e3 <= LATE_SHARE * budget_s
        return StreamFrame(self.pipeline, grabbed.frame, at, deadline, tasks, judged)

    def deliver(self, result: FrameResult) -> FrameResult:
        """The result of the frame that was taken, with its times, counted and handed to the outputs.

        Raises:
            OutputError: One of them failed.
        """
        assert self._taken is not None
        whole = self._completed(result, *self._taken)
        self._stats.add(whole)
        self._fanout.put(whole)
        return whole

    def idle(self) -> None:
        """No frame has come for a while."""
        self._idle()

    def has_ended(self) -> bool:
        """Whether no more frames come.

        Raises:
            RtfaceError: The source broke off.
        """
        if self._fanout.done:
            return True
        if not self._handoff.ended:
            return False
        self._handoff.take(0.0)  # raises what ended it
        return True


class CameraMailbox(Mailbox[Grabbed]):
    """Keeps the newest frame, wakes who takes it, and holds a source back that floods.

    Args:
        clock: For the times.
        wake: Called after each change.
    """

    def __init__(self, clock: Clock, wake: Callable[[], None]) -> None:
        super().__init__()
        self._clock, self._wake = clock, wake
        self._over = threading.Event()
        self.last_at, self._every_s = -math.inf, 0.0

    @property
    def next_at(self) -> float:
        """When the next frame is expected."""
        return self.last_at + self._every_s

    def put(self, item: Grabbed) -> bool:
        before, self.last_at = self.last_at, self._clock.now()
        every_s = self.last_at - before
        if every_s < LONGEST_S:
            self._every_s += (every_s - self._every_s) * (EVERY_WEIGHT if self._every_s else 1.0)
        wanted = super().put(item)
        self._wake()
        if wanted and every_s < 1.0 / MOST_FPS:
            self._clock.wait(self._over, 1.0 / MOST_FPS - every_s)
        return wanted

    def close(self) -> None:
        super().close()
        self._over.set()
        self._wake()

    def fail(self, error: BaseException) -> None:
        super().fail(error)
        self._over.set()
        self._wake()

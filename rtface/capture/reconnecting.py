"""The capture threads of a camera or stream: it is tried again after a loss, and a read that never returns is noticed.

A reader, one a connection, hands each frame over as soon as it is grabbed. A watcher sees the reader end or fall
silent, and starts the next one. A reader that is stuck in a driver cannot be ended: it is left behind, what it may
still read is thrown away, and it closes its source when the driver lets go of it.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from rtface.capture.reader import Grabbed, Pace, stamped
from rtface.capture.source import Source
from rtface.errors import RtfaceError, SourceError
from rtface.system.backoff import Backoff
from rtface.system.clock import Clock
from rtface.system.handoff import Mailbox
from rtface.types import Event, Frame

#: Readers that may be stuck at a time; no more are started until one comes back.
MOST_STUCK = 4
#: A source that is away for so long while a read of it does not return cannot be had again in this process: the read
#: may hold the device. A supervisor that starts it again can.
STUCK_S = 60.0
#: Frames for so long, and the next loss begins with the first pause again.
GOOD_S = 1.0
#: The same picture for so long is said to be frozen: a camera's noise changes every one.
FROZEN_S = 10.0
#: Of a picture, every so many rows and columns are compared.
FROZEN_STEP = 16
#: Looks at the reader within the time that counts as silence.
LOOKS = 16


@dataclass(frozen=True, slots=True)
class Reconnect(Backoff):
    """How a lost source is tried again; a connection that gave frames for a second starts the next loss at `first_s`.

    Attributes:
        first_s, longest_s: First and longest pause between two tries; they double.
        jitter: A pause is shortened by up to this share of it (0..1), by `chance`.
        chance: Of the jitter.
        give_up_s: End with an error once the source was away for so long; 0 = at once, None = never.
        stall_s: A source that gives no frame for so long, or does not open within it, counts as lost.
    """

    give_up_s: float | None = None
    stall_s: float = 8.0

    def gives_up(self, away_s: float) -> bool:
        """Whether a source that has been away for so long is given up."""
        return self.give_up_s is not None and away_s >= self.give_up_s


class _Reader(threading.Thread):
    """One connection: opens its source, and gives the frames until there are none or nobody wants them."""

    def __init__(self, opened: Callable[[], Source], give: Callable[[_Reader, Frame], bool], ended: threading.Event):
        super().__init__(name="rtface-reader", daemon=True)
        self._opened, self._give, self._ended = opened, give, ended
        self.source: Source | None = None
        self.first_at: float | None = None
        self.pace: Pace | None = None
        self.error: BaseException | None = None
        self.over = False

    def run(self) -> None:
        try:
            with self._opened() as source:
                self.source = source
                while (frame := source.read()) is not None and self._give(self, frame):
                    pass
        except BaseException as error:  # the watcher tells what to do about it
            self.error = error
        self.over = True
        self._ended.set()


class LiveGrabber:
    """Reads a live source for as long as it can be had; the same verbs as ``Grabber``.

    Args:
        source: The open source; its ``reopen`` opens it again. One that has an end, a video on a web server, plays at
            its own speed, ends there, and is opened again only where it broke off before.
        mailbox: Where frames go; only the newest is kept.
        clock: For the times.
        reconnect: How a lost source is tried again.
        on_event: Called in these threads when the source is lost, frozen, and when it is back; must be quick.
    """

    def __init__(
        self,
        source: Source,
        mailbox: Mailbox[Grabbed],
        clock: Clock,
        reconnect: Reconnect,
        on_event: Callable[[Event], None],
    ) -> None:
        if source.reopen is None:
            raise ValueError("expected a source that can be opened again")
        self._name, self._first, self._reopen = source.name, source, source.reopen
        self._mailbox, self._clock, self._reconnect, self._on_event = mailbox, clock, reconnect, on_event
        self._lock = threading.Lock()
        self._wake = threading.Event()  # a reader has ended, or the run has
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="rtface-capture", daemon=True)
        self._reader: _Reader | None = None
        self._stuck: list[_Reader] = []
        self._beat = 0.0  # when the reader was last heard of
        self._lost_at: float | None = None
        self._still = _Still()
        self._frames = self._corrupt = 0

    @property
    def corrupt(self) -> int:
        """Frames of all connections that could not be decoded."""
        with self._lock:
            return self._corrupt + _corrupt_of(self._reader)

    def start(self) -> None:
        self._begin(lambda: self._first)
        self._watcher.start()

    def halt(self) -> None:
        """Ends the threads after the read that they are in; from any thread, and without waiting for them."""
        self._stopped.set()
        self._wake.set()
        self._mailbox.close()

    def stop(self) -> None:
        """Ends the threads after the read that they are in, and waits for that; not for readers left behind."""
        self.halt()
        if self._watcher.ident is not None:
            self._watcher.join(timeout=5.0)
        if self._reader is not None:
            self._reader.join(timeout=5.0)  # it may block for ever; the thread is a daemon

    def _begin(self, opened: Callable[[], Source]) -> None:
        with self._lock:
            self._beat = self._clock.now()
            self._reader = _Reader(opened, self._give, self._wake)
            if not self._first.live:
                self._reader.pace = Pace(self._clock, self._stopped)
            self._reader.start()

    def _give(self, reader: _Reader, frame: Frame) -> bool:
        """A reader's frame; False where nobody wants any more of them."""
        grabbed = stamped(frame, self._clock.now())
        frame = grabbed.frame
        if reader.pace is not None:
            frame = reader.pace.hold(frame, self._first.fps)
        with self._lock:
            if reader is not self._reader:
                return False
            now = self._beat = self._clock.now()
            reader.first_at = now if reader.first_at is None else reader.first_at
            lost_at, self._lost_at = self._lost_at, None
            index, self._frames = self._frames, self._frames + 1
        if lost_at is not None:
            self._on_event(Event("source_back", now, self._name, duration_s=now - lost_at))
        if event := self._still.see(frame, now):
            self._on_event(event)
        if frame.index != index:  # numbers go on after a loss
            frame = replace(frame, index=index)
        return self._mailbox.put(grabbed._replace(frame=frame))

    def _watch(self) -> None:
        tries = 0
        try:
            while (lost := self._loss()) is not None:
                reader = self._reader
                held = reader is not None and reader.first_at is not None and self._beat - reader.first_at >= GOOD_S
                self._lose(lost)
                tries = 0 if held else tries
                if not self._pause(tries, lost):
                    break
                tries += 1
                self._begin(self._reopen)
            self._mailbox.close()
        except BaseException as error:  # raised again where the frames are taken
            self._mailbox.fail(error)

    def _loss(self) -> RtfaceError | None:
        """Waits until the reader fails, ends or falls silent, and says why; None when the run ends.

        Raises:
            BaseException: What the reader met, where that is none of the source's troubles.
        """
        reader, stall_s = self._reader, self._reconnect.stall_s
        assert reader is not None
        while not self._stopped.is_set():
            if reader.over:
                return self._ending(reader.error, reader.source)
            if self._clock.now() - self._beat > stall_s:
                self._stuck.append(reader)
                why = f"gave no picture for {stall_s:g} s"
                return SourceError(self._name, why, "Check the network, or plug the camera in again")
            self._clock.wait(self._wake, stall_s / LOOKS)
            self._wake.clear()
        return None

    def _ending(self, error: BaseException | None, source: Source | None) -> RtfaceError | None:
        if error is None:
            if source is not None and not source.live:
                return None  # a video has come to its end
            return SourceError(self._name, "the stream ended", "Check the server, then start again")
        if not isinstance(error, RtfaceError):
            raise error
        return error

    def _lose(self, lost: RtfaceError) -> None:
        """Let go of the reader, and say so.

        Raises:
            SourceError: The source is given up.
        """
        now = self._clock.now()
        with self._lock:
            self._corrupt += _corrupt_of(self._reader)
            self._reader = None  # what it may still read is not wanted any more
            # One that fell silent was lost when it gave its last picture.
            again, self._lost_at = self._lost_at is not None, self._beat if self._lost_at is None else self._lost_at
        self._give_up(lost, again)
        if not again:
            self._on_event(Event("source_lost", now, lost.why))

    def _give_up(self, lost: RtfaceError, again: bool) -> None:
        """Raises SourceError where the source was away for too long."""
        away_s = 0.0 if self._lost_at is None else self._clock.now() - self._lost_at
        if self._reconnect.gives_up(away_s):
            why = f"{lost.why}, and it did not come back within {away_s:.0f} s" if again else lost.why
            raise SourceError(self._name, why, lost.mend) from lost

    def _pause(self, tries: int, lost: RtfaceError) -> bool:
        """Waits before the next try, and on while too many readers are stuck; False when the run ends.

        Raises:
            SourceError: The source is given up.
        """
        while not self._clock.wait(self._stopped, self._reconnect.pause_s(tries)):
            self._stuck = [reader for reader in self._stuck if not reader.over]
            self._end_with_stuck()
            if len(self._stuck) < MOST_STUCK:
                return True
            self._give_up(lost, True)
        return False

    def _end_with_stuck(self) -> None:
        """Raises SourceError where a read that does not return may be what keeps the source away."""
        away_s = 0.0 if self._lost_at is None else self._clock.now() - self._lost_at
        if self._stuck and away_s >= STUCK_S:
            why = f"a read of it has not returned for {away_s:.0f} s, and cannot be ended from within"
            raise SourceError(self._name, why, "Start rtface again, or let a supervisor do so")


class _Still:
    """Notices a source that gives the same picture again and again."""

    def __init__(self) -> None:
        self._mark, self._since, self._told = 0, 0.0, False

    def see(self, frame: Frame, now: float) -> Event | None:
        """An event when the picture has not changed for `FROZEN_S`, once until it does."""
        mark = zlib.crc32(frame.image[::FROZEN_STEP, ::FROZEN_STEP].tobytes())
        if mark != self._mark:
            self._mark, self._since, self._told = mark, now, False
        elif not self._told and now - self._since >= FROZEN_S:
            self._told = True
            why = f"the same picture for {FROZEN_S:g} s"
            return Event("source_frozen", now, why, duration_s=now - self._since)
        return None


def _corrupt_of(reader: _Reader | None) -> int:
    return reader.source.corrupt if reader is not None and reader.source is not None else 0

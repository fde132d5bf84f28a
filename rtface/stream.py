"""The threads around the analyzer: one reads, the caller's analyses, one a sink writes.

Live, every hand-over keeps only the newest: the caller always gets the frame that is newest when it asks, however
long it was busy with the one before. For files every hand-over waits, and nothing is dropped.
"""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any

from rtface.analyzer import Analyzer
from rtface.analyzer.lanes import StillLanes, lanes_for
from rtface.audience.events import Audience
from rtface.capture.open import open_source, open_waiting
from rtface.capture.reader import Grabbed, Grabber
from rtface.capture.reconnecting import LiveGrabber, Reconnect
from rtface.capture.settings import CaptureSettings
from rtface.capture.source import Source, check_facts, check_source
from rtface.capture.turned import Turned
from rtface.errors import SourceError, UsageError
from rtface.labels import BLENDSHAPES, EMOTIONS, PARSING_CLASSES
from rtface.option_rules import most_frames
from rtface.options import Options
from rtface.outputs import records
from rtface.outputs.control import RunControl
from rtface.outputs.fanout import Fanout
from rtface.outputs.open import choose
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.summary import RunStats
from rtface.system.clock import Clock, SystemClock, as_utc, utc_now
from rtface.system.forked import keep_for_ever, refused_in_child
from rtface.system.handoff import BoundedQueue, Channel, Mailbox
from rtface.types import Event, Frame, FrameResult, utc_text
from rtface.version import __version__

#: Ctrl-C cannot break a wait without an end on every system.
WAIT_S = 0.5
#: Pictures from which on it pays to open networks for each thread, which takes as long as some of them.
MANY_STILLS = 16

Output = str | Path | Sink


class Stream:
    """Results of a source, one after the other. A context manager; iterate over it. It runs once.

    One thread iterates. ``stop``, ``update`` and ``summary`` may be called from any.

    Args:
        source: Camera index, file, folder of pictures, URL, "demo", or an open ``Source``.
        live: The newest frame wins, and a file plays at its own speed; else every frame is analysed.
        options: How; None = the defaults with RTFACE_* variables.
        outputs: Paths (.jsonl, .mp4, .jpg, .png, "-" for stdout) or sinks.
        overwrite: Whether outputs that are there may be replaced.
        max_frames: End after so many results.
        analyzer: Use this one and leave it open; None = one for the options, closed at the end.
        on_event: Called when the source is lost and when it is back, in the capture's threads; must be quick.
        clock: For tests.
        reconnect: How a lost source is tried again; None = as the options say.
        on_idle: Called about twice a second while no frame comes, or while the source is waited for at the start, with
            the seconds since the last one, in the thread that iterates; a kiosk answers its watchdog here, or calls
            ``stop``.
        started_at: When the first frame of a file was recorded, a datetime or ISO 8601; results then have a ``time``.
        camera: Which of several cameras it is; empty where there is one.

    Raises:
        OptionError: ``max_frames`` is not positive, or ``started_at`` is no time.
        UsageError: ``source`` or an output is none.

    Example:
        >>> with Stream("demo", live=False, max_frames=2) as stream:
        ...     print([result.frame.index for result in stream])
        [0, 1]
    """

    def __init__(
        self,
        source: int | str | Path | Source,
        *,
        live: bool,
        options: Options | None = None,
        outputs: Iterable[Output] = (),
        overwrite: bool = False,
        max_frames: int | None = None,
        analyzer: Analyzer | None = None,
        on_event: Callable[[Event], None] | None = None,
        clock: Clock | None = None,
        reconnect: Reconnect | None = None,
        on_idle: Callable[[float], None] | None = None,
        started_at: datetime | str | None = None,
        camera: str = "",
    ) -> None:
        self._wanted = check_source(source)
        self.camera = camera
        self._live = live
        options = options or Options.load()
        self._options = options if live else replace(options, budget_ms=None)  # files have no deadline
        self._control = RunControl(self._options)
        self._outputs = tuple(outputs)
        self._overwrite = overwrite
        self._max_frames = most_frames(max_frames)
        self._analyzer = analyzer
        self._clock = clock or SystemClock()
        self._stack: ExitStack | None = None
        self._stats = RunStats(self._clock)
        self._on_event = on_event
        self._happened: deque[Event] = deque()  # since the last result
        self._reconnect = reconnect or Reconnect(give_up_s=options.reconnect_s)
        self._audience = Audience(options.audience_rules) if options.audience else None
        self._on_idle = on_idle
        self._started_at = as_utc(started_at)
        self._entered = False
        self._stopping = threading.Event()
        self._grabber: Grabber | LiveGrabber | None = None
        self._lanes: StillLanes[tuple[Grabbed, int]] | None = None
        self._process = os.getpid()

    def __enter__(self) -> Stream:
        if self._entered:
            raise UsageError("stream", "a stream runs once", "Make another one: rtface.live(…)")
        self._entered = True
        wanted = self._wanted
        name, files = (wanted.name, wanted.files) if isinstance(wanted, Source) else (wanted, ())
        sinks = choose(self._outputs, source=name, files=files, overwrite=self._overwrite)
        with ExitStack() as stack:
            source = self._open(wanted)
            not_started = stack.enter_context(ExitStack())
            not_started.callback(source.close)
            analyzer = self._attach(stack, source)
            info = self._run_info(source, analyzer)
            self._fanout = Fanout(sinks, info, live=self._live, privacy=self._options.privacy)
            self._source = source
            self._grabber = self._new_grabber(source)
            self._grabber.start()
            not_started.pop_all()  # from here on its thread closes the source: it may be reading
            self._stack = stack.pop_all()
        self._stats.start()
        self._last_at = self._clock.now()
        if self._stopping.is_set():  # before there was anything to stop
            self.stop()
        return self

    def _attach(self, stack: ExitStack, source: Source) -> Analyzer:
        """The analyzer, ready for frames of the source; released by the stack."""
        pictures = 0 if self._live or source.live or not source.stills else source.frame_count or 0
        lanes = self._lane_count(pictures)
        if self._analyzer is None:
            options = replace(self._options, threads=1) if lanes > 1 else self._options
            self._analyzer = stack.enter_context(Analyzer(options))
        if pictures > 1:  # the source knows how many: it does not wait for somebody to take them
            self._lanes = stack.enter_context(StillLanes(self._analyzer, lanes, _frame_of))
        elif not source.stills:
            self._analyzer.claim(self)
            stack.callback(self._analyzer.release, self)
            self._analyzer.prepare()
        return self._analyzer

    def _lane_count(self, pictures: int) -> int:
        """How many pictures are analysed at once: networks of their own pay for many only."""
        if pictures < MANY_STILLS or (self._analyzer is not None and self._analyzer.is_custom):
            return 1
        return lanes_for(self._options)

    def _open(self, wanted: int | str | Path | Source) -> Source:
        options = self._options
        settings = CaptureSettings(
            size_wh=options.camera_size,
            fps=options.camera_fps,
            fourcc=options.camera_fourcc,
            rotate=options.rotate,
            mirror=options.mirror,
            loop=options.loop and self._live,  # `run` comes to an end
            hwaccel=options.hwaccel,
        )
        if isinstance(wanted, Source):
            check_facts(wanted)
            return Turned(wanted, settings) if settings.rotate or settings.mirror else wanted
        if not options.wait:
            return open_source(wanted, self._clock, settings)

        return open_waiting(
            wanted, self._clock, settings, self._reconnect, self._awaited, self._stopping, self._on_idle
        )

    def _awaited(self, error: SourceError) -> None:
        self._note(Event("source_awaited", self._clock.now(), f"{error.what} {error.why}"))

    def _new_grabber(self, source: Source) -> Grabber | LiveGrabber:
        # What is live cannot wait, not even for `run`: a queue would only make it late.
        mailbox = self._new_mailbox()
        self._handoff: Channel[Grabbed] = mailbox if self._live or source.live else BoundedQueue()
        if source.reopen is not None and (self._live or source.live):  # `run` takes a video that breaks off as it is
            return LiveGrabber(source, mailbox, self._clock, self._reconnect, self._note)
        return Grabber(source, self._handoff, self._clock, paced=self._live and not source.live)

    def _new_mailbox(self) -> Mailbox[Grabbed]:
        return Mailbox()

    def _note(self, event: Event) -> None:
        if self.camera:
            event = replace(event, camera=self.camera)
        self._happened.append(event)
        self._stats.add_event(event)
        if self._on_event is not None:
            self._on_event(event)

    def _take_events(self) -> tuple[Event, ...]:
        return tuple(self._happened.popleft() for _ in range(len(self._happened)))

    def __iter__(self) -> Iterator[FrameResult]:
        return self

    def __next__(self) -> FrameResult:
        """
        Raises:
            SourceError: The source broke off; results so far were handed over before.
            OutputError: An output failed.
        """
        if self._stack is None:
            raise UsageError("stream", "is not open", "Use it in a with statement")
        if why := refused_in_child(self._process, "it"):
            raise UsageError("stream", why, "Open a stream in the child process, or start it with spawn")
        if self._stopping.is_set() or self._fanout.done or self._stats.frames == self._max_frames:
            raise StopIteration
        if self._lanes is not None:
            (grabbed, dropped), result = self._lanes.next(self._take, self._control.options.tasks)
            result = self._completed(result, grabbed, dropped)
        else:
            result = self._analyse(*self._take())
        self._stats.add(result)
        self._fanout.put(result)
        return result

    def _take(self) -> tuple[Grabbed, int]:
        while True:
            taken = self._handoff.take(WAIT_S)
            if self._stopping.is_set():
                raise StopIteration
            if taken is not None:
                self._last_at = self._clock.now()
                if self._control.enabled:
                    return taken.item, taken.dropped
            self._idle()
            if self._handoff.ended or self._fanout.done:
                raise StopIteration

    def _idle(self) -> None:
        """No frame has come for a while, or none is wanted."""
        self._fanout.idle()
        if self._audience is not None and self._live:
            self._happened.extend(self._audience.tick(self._clock.now()))
        if self._on_idle is not None:
            self._on_idle(self._clock.now() - self._last_at)

    def _analyse(self, grabbed: Grabbed, dropped: int) -> FrameResult:
        assert self._analyzer is not None
        at, deadline, tasks = self._terms(grabbed.frame)
        if self._source.stills:
            result = self._analyzer.image(grabbed.frame.image, tasks=tasks)
        else:
            result = self._analyzer.process(grabbed.frame, deadline, at=at, tasks=tasks, owner=self)
        return self._completed(result, grabbed, dropped)

    def _terms(self, frame: Frame) -> tuple[float, float, tuple[str, ...]]:
        """A frame's time for ids and smoothing, its deadline, and what is asked for."""
        options = self._control.options
        captured_at = frame.captured_at or 0.0  # the capture has stamped it
        # A file's own time where it is not played but read as fast as it goes.
        at = captured_at if self._live or frame.media_time is None else frame.media_time
        if not self._live or options.budget_ms is None:
            return at, math.inf, options.tasks  # not None, which the analyzer takes for the budget it was opened with
        return at, captured_at + options.budget_ms / 1000.0, options.tasks

    def _completed(self, result: FrameResult, grabbed: Grabbed, dropped: int) -> FrameResult:
        """The result as it is handed over: with its time and age, and what happened since the one before."""
        frame = grabbed.frame
        at, deadline, _ = self._terms(frame)
        if self.camera:
            result = replace(result, camera=self.camera)
        visitors = self._audience.observe(result, at=at) if self._audience is not None else ()
        events = self._take_events() + result.events + visitors
        now = self._clock.now()
        age_ms = (now - (frame.captured_at or 0.0)) * 1000.0
        return replace(
            result,
            frame=frame if frame.source else replace(frame, source=self._source.name),
            time=self._time_of(frame, age_ms),
            timing=replace(result.timing, capture_ms=grabbed.capture_ms, age_ms=age_ms),
            late=now > deadline,
            dropped=dropped,
            events=tuple(replace(event, camera=self.camera) for event in events) if self.camera else events,
        )

    def _time_of(self, frame: Frame, age_ms: float) -> datetime | None:
        """UTC of the grab; or of the moment that a file's frame was recorded at, when it is known when that began."""
        if not self._source.live and self._started_at is not None and frame.media_time is not None:
            return self._started_at + timedelta(seconds=frame.media_time)
        return utc_now() - timedelta(milliseconds=age_ms) if self._live or self._source.live else None

    def stop(self) -> None:
        """End the run after the frame that is being analysed; outputs become whole when the ``with`` statement ends.

        From any thread, at any time, as often as one likes; returns at once.
        """
        self._stopping.set()
        if self._grabber is not None:
            self._grabber.halt()  # wakes the thread that iterates

    def update(self, *, budget_ms: float | EllipsisType | None = ..., tasks: Iterable[str] | None = None) -> None:
        """Go on with another budget, or with other tasks, from the next frame on. From any thread.

        Args:
            budget_ms: Milliseconds from grab to result; None = no deadline; left out = as it was.
            tasks: Some of ``rtface.TASKS``; left out = as they were.

        Raises:
            OptionError: The budget is no time.
            InputError: A task is unknown.
            UsageError: A budget for a source that is not live: its frames have no deadline.
        """
        changes: dict[str, Any] = {} if budget_ms is ... else {"budget_ms": budget_ms}
        if changes and not self._live and budget_ms is not None:
            raise UsageError("budget_ms", "frames of a file have no deadline", "Play it with rtface.live")
        if tasks is not None:
            changes["tasks"] = tasks
        self._control.change(**changes)

    @property
    def options(self) -> Options:
        """What it does now; ``update`` changes the budget and the tasks."""
        return self._control.options

    @property
    def is_live(self) -> bool:
        """Whether frames' time is that of their grab, and the newest one wins."""
        return self._live

    @property
    def source(self) -> Source:
        """The open source."""
        return self._source

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the run, so far or whole, as its last JSON line."""
        if self._grabber is None:
            raise UsageError("stream", "has not begun", "Use it in a with statement")
        return self._stats.record(self._grabber.corrupt, self._source.unreadable)

    def _run_info(self, source: Source, analyzer: Analyzer) -> RunInfo:
        live = self._live or source.live
        # Of a source of somebody's own these may be NumPy's.
        fps = None if source.fps is None else float(source.fps)
        count = None if source.frame_count is None else int(source.frame_count)
        header = records.header_record(
            version=__version__,
            source={
                "name": source.name,
                "width_px": int(source.size_wh[0]),
                "height_px": int(source.size_wh[1]),
                "fps": fps,
                "frame_count": count,
            },
            analyzer=analyzer.describe(),
            options=self.options.to_dict(),
            emotions=EMOTIONS,
            parsing_classes=PARSING_CLASSES,
            blendshapes=BLENDSHAPES if "expression" in self.options.tasks else (),
            started_at=utc_text(self._started_at or (utc_now() if live else None)),
            camera=self.camera,
        )
        return RunInfo(source.name, live, source.stills, fps, count, header, self._note, self._control)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stack is None:
            return
        if refused_in_child(self._process, "it"):  # its threads and its outputs are the parent's
            keep_for_ever(self._stack)
            self._stack = None
            return
        stack, self._stack = self._stack, None
        with stack:
            assert self._grabber is not None
            self._grabber.stop()
            for event in self._audience.finish() if self._audience is not None else ():
                self._stats.add_event(event)  # what comes after the last frame is in the summary
            self._stats.end(error)
            self._fanout.finish(self.summary)


def _frame_of(taken: tuple[Grabbed, int]) -> Frame:
    return taken[0].frame

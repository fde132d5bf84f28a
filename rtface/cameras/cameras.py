"""Several cameras on one set of networks, with a deadline a frame and one quality level for the box.

A thread a camera reads; the caller's analyses: of all cameras whose frame waits, those that are due go through the
networks together. Opening and closing a camera has a thread of its own, so that it holds nobody up.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import EllipsisType, TracebackType
from typing import Any

from rtface.analyzer import Analyzer
from rtface.analyzer.together import StreamFrame, Together
from rtface.budget.turns import whose_turn, worth_waiting_s
from rtface.cameras.camera import Camera
from rtface.cameras.roster import Roster
from rtface.capture.named import NamedSource, named
from rtface.capture.open import check_there
from rtface.capture.reconnecting import Reconnect
from rtface.capture.source import Source
from rtface.errors import EngineError, InputError, OutputError, SourceError, UsageError
from rtface.labels import BLENDSHAPES, EMOTIONS, PARSING_CLASSES
from rtface.option_rules import most_frames
from rtface.options import Options
from rtface.outputs import records
from rtface.outputs.fanout import Fanout
from rtface.outputs.open import choose, for_camera, is_for_each_camera
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.summary import RunStats
from rtface.stream import WAIT_S, Output
from rtface.system.clock import Clock, SystemClock, utc_now
from rtface.types import Event, FrameResult, utc_text
from rtface.version import __version__

Named = int | str | Path | Source | NamedSource

MARGIN_S = 0.0005
"""A frame that was expected may come so much later."""

OPEN_S = 10.0
"""A camera that takes longer to open holds the others' start up no further."""


class Cameras:
    """Results of several cameras as they come, on one set of networks. A context manager; iterate over it.

    Use this when one machine has several cameras: all their faces go into one engine call, all frames that need it into
    one detector call, and when time is short one quality level goes down for all. No camera waits for more than half a
    second for another; one that is lost, floods or cannot be opened harms no other.

    One thread iterates. `add`, `remove`, `enable`, `update`, `stop` and `summary` may be called from any.

    Args:
        sources: What `rtface.live` takes, or ``"door=rtsp://door.local/stream"``; or a mapping of names to sources.
        options: How; None = the defaults with RTFACE_* variables.
        outputs: Those with ``{camera}`` in their name are opened once a camera; the others take the results of all.
        overwrite: Whether outputs that are there may be replaced.
        max_frames: End after so many results of all together.
        on_event: Called when something happens to a camera or an output, in several threads; must be quick.
        on_idle: Called about twice a second while no frame comes from any, with the seconds since the last one.
        file: TOML that lists the cameras (`rtface.capture.named.read_cameras`); it is watched while the run goes on,
            and beside `sources`.
        sinks_of: Further outputs of each camera, by its name; for programs.
        stays: Begin without a camera, and go on where none is left; with a file it does so anyway.
        analyzer: Use this one and leave it open; None = one for the options, closed at the end.
        clock: For tests.
        reconnect: How a lost source is tried again; None = as the options say.

    Raises:
        UsageError: A source, a name or an output is none, or there is no camera.

    Example:
        >>> with Cameras(["demo", "hall=demo"], max_frames=4) as cameras:
        ...     names = {result.camera for result in cameras}
        >>> sorted(names)
        ['demo', 'hall']
    """

    def __init__(
        self,
        sources: Iterable[Named] | Mapping[str, int | str | Path | Source] = (),
        *,
        options: Options | None = None,
        outputs: Iterable[Output] = (),
        overwrite: bool = False,
        max_frames: int | None = None,
        on_event: Callable[[Event], None] | None = None,
        on_idle: Callable[[float], None] | None = None,
        file: str | Path | None = None,
        sinks_of: Callable[[str], Iterable[Sink]] = lambda name: (),
        stays: bool = False,
        analyzer: Analyzer | None = None,
        clock: Clock | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        self._options = options or Options.load()
        outputs = tuple(outputs)
        self._own = tuple(str(one) for one in outputs if not isinstance(one, Sink) and is_for_each_camera(one))
        self._shared = tuple(one for one in outputs if isinstance(one, Sink) or not is_for_each_camera(one))
        self._overwrite, self._max_frames, self._sinks_of = overwrite, most_frames(max_frames), sinks_of
        self._on_event, self._on_idle = on_event, on_idle
        self._given_analyzer, self._clock, self._reconnect = analyzer, clock or SystemClock(), reconnect
        self._wake = threading.Event()
        self._ready: deque[FrameResult] = deque()
        self._stats = RunStats(self._clock)
        self._stack: ExitStack | None = None
        self._entered, self._stopping = False, threading.Event()
        path = None if file is None else Path(file)
        self._roster = Roster(path, self._open, self._note, self._clock, stays=stays)
        for one in _specs(sources):
            self._roster.add(one)
        if not self._roster.cameras and not self._roster.stays:
            raise UsageError("cameras", "there is none", 'Name some: rtface.live([0, "rtsp://door.local/stream"])')

    # Coming and going.

    def add(
        self,
        source: Named,
        name: str = "",
        *,
        priority: int = 0,
        max_level: int | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> str:
        """A further camera, from now on; it is opened beside the run. From any thread.

        Args:
            source: What `rtface.live` takes, ``"door=rtsp://…"``, or a `NamedSource`.
            name: Of the camera; empty = derived from the source.
            priority: When there is not time for all, those with more go first.
            max_level: The lowest level of quality it may go down to; None = as the options say.
            options: Of its own: `rtface.capture.named.OWN`.

        Returns:
            Its name.

        Raises:
            UsageError: The name is taken, or the source or an option is none.
        """
        spec = named(source)
        if not isinstance(source, NamedSource):
            spec = NamedSource(spec.source, name or spec.name, priority, max_level, options=dict(options or {}))
        return self._roster.add(spec)

    def remove(self, name: str) -> None:
        """No more of this camera: its outputs become whole beside the run. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        self._roster.remove(name)

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera off (it is closed: its light goes out) or on again. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        self._roster.enable(name, on)

    def relist(self, sources: Iterable[NamedSource]) -> None:
        """Have these cameras beside those of the file: others go, new ones come, changes are taken over."""
        self._roster.relist(sources)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the cameras, those that are off among them."""
        return tuple(camera.name for camera in self._roster.cameras)

    @property
    def listed(self) -> tuple[str, ...]:
        """Of the cameras that the file lists: those that may be switched on and off from afar."""
        return tuple(camera.name for camera in self._roster.cameras if camera.from_file)

    def state(self, name: str) -> str:
        """What a camera does: "opening", "on", "off", "over" or "failed".

        Raises:
            UsageError: There is none of that name.
        """
        return self._roster.known(name).state

    # The run.

    def __enter__(self) -> Cameras:
        if self._entered:
            raise UsageError("cameras", "a run of them runs once", "Make another one: rtface.live([…])")
        self._entered = True
        with ExitStack() as stack:
            analyzer = self._given_analyzer
            if analyzer is None:
                analyzer = stack.enter_context(Analyzer(self._options, streams=max(len(self._roster.cameras), 2)))
            self._analyzer = analyzer
            self._together: Together = analyzer.together()
            sinks = choose(self._shared, source="cameras", overwrite=self._overwrite)
            check_shared(sinks)
            for camera in self._roster.cameras:
                check_there(camera.spec.source)
                self._own_sinks(camera)  # a name that is taken ends the run before any other camera has written
            stack.callback(self._roster.close_all)  # closing again is nothing
            self._begin()
            self._fanout = Fanout(sinks, self._run_info(), live=True, privacy=self._options.privacy, many_cameras=True)
            self._stack = stack.pop_all()
        self._stats.start()
        self._last_at = self._clock.now()
        return self

    def _begin(self) -> None:
        """Open all cameras, side by side; return when each has been tried once, or after `OPEN_S`.

        Raises:
            RtfaceError: One can never be opened, or none can and they are not to be waited for.
        """
        cameras = self._roster.open_all()
        end = self._clock.now() + OPEN_S
        while self._clock.now() < end and not all(camera.tried.is_set() for camera in cameras):
            self._wake.wait(WAIT_S)
            self._wake.clear()
        failed = [one for one in cameras if one.error is not None and not one.may_come]
        absent = [f"{one.name} ({one.error.why})" for one in cameras if one.error is not None]
        if not failed and len(absent) == len(cameras) and not self._options.wait:
            failed = list(cameras)
        if len(failed) == 1 or any(not one.may_come for one in failed):
            error = failed[0].error
            assert error is not None
            raise error
        if failed:
            what, mend = f"cameras {', '.join(absent)}", "--wait waits for them; rtface cameras lists those that are"
            raise SourceError(what, "none is there", mend)

    def _open(self, camera: Camera) -> None:
        def outputs(session: int) -> tuple[Sink, ...]:
            return (*self._own_sinks(camera, session), *self._sinks_of(camera.name))

        camera.open(
            self._options,
            analyzer=self._analyzer,
            together=self._together,
            outputs=outputs,
            on_event=self._note,
            clock=self._clock,
            reconnect=self._reconnect,
            wake=self._wake.set,
        )

    def _own_sinks(self, camera: Camera, session: int = 1) -> tuple[Sink, ...]:
        mine = [for_camera(one, camera.name, session) for one in self._own]
        source = camera.spec.source
        known = source.name if isinstance(source, Source) else source
        return choose(mine, source=known, overwrite=self._overwrite)

    def _note(self, event: Event) -> None:
        self._stats.add_event(event)
        if self._on_event is not None:
            self._on_event(event)

    def __iter__(self) -> Iterator[FrameResult]:
        return self

    def __next__(self) -> FrameResult:
        """
        Raises:
            RtfaceError: No camera is left, and the last one failed; or an output of all failed, or a network.
        """
        if self._stack is None:
            raise UsageError("cameras", "are not open", "Use them in a with statement")
        while not self._ready:
            if self._stopping.is_set() or self._fanout.done or self._stats.frames == self._max_frames:
                raise StopIteration
            self._wake.clear()
            self._roster.look_after()
            if not self._round():
                self._end_if_over()
                if not self._stopping.is_set():
                    self._idle()
        return self._ready.popleft()

    def _round(self) -> bool:
        """Analyse the frames whose turn it is; False = none waits."""
        cameras = self._roster.cameras
        there = [(camera, turn) for camera in cameras if (turn := camera.waiting()) is not None]
        turns, now = [turn for _, turn in there], self._clock.now()
        waiting = {camera.name for camera, _ in there}
        wait_s = worth_waiting_s(turns, [one.expected_at for one in cameras if one.name not in waiting], now)
        if wait_s > 0.0:
            self._wake.wait(wait_s + MARGIN_S)
            return True
        frames: list[StreamFrame] = []
        owners: dict[int, Camera] = {}
        for row in whose_turn(turns, now):
            if self._stats.frames + len(frames) == self._max_frames:
                break  # one more would be in its camera's outputs, and not in the run's
            frame = there[row][0].take(now)
            if frame is not None:
                frames.append(frame)
                owners[id(frame)] = there[row][0]
        whole = [self._handed_over(owners[id(frame)], result) for frame, result in self._together.process(frames)]
        for one in whole:
            if one is not None:
                self._stats.add(one)
                self._fanout.put(one)  # after all: drawing a window would make the others late
                self._ready.append(one)
        if frames:
            self._last_at = self._clock.now()
        return bool(frames)

    def _handed_over(self, camera: Camera, result: FrameResult | Exception) -> FrameResult | None:
        """The result, whole, when the camera's own outputs have it; None = there is none any more."""
        if isinstance(result, EngineError):
            raise result  # the network is everybody's
        try:
            if isinstance(result, Exception):
                raise result
            return camera.deliver(result)
        except Exception as error:  # of its frame, or of an output of its own
            self._roster.give_up(camera, camera.as_error(error))
            return None

    def _idle(self) -> None:
        """No frame waits."""
        self._wake.wait(WAIT_S)
        if self._wake.is_set():
            return
        self._fanout.idle()
        if self._on_idle is not None:
            self._on_idle(self._clock.now() - self._last_at)

    def _end_if_over(self) -> None:
        if not self._roster.over():
            return
        failed = [camera for camera in self._roster.cameras if camera.state == "failed"]
        if failed and len(failed) == len(self._roster.cameras):
            assert failed[-1].error is not None
            raise failed[-1].error
        self._stopping.set()

    def stop(self) -> None:
        """End the run after the frames that are being analysed. From any thread; returns at once."""
        self._stopping.set()
        self._wake.set()

    def update(self, *, budget_ms: float | EllipsisType | None = ..., tasks: Iterable[str] | None = None) -> None:
        """Go on with another budget, or with other tasks, for all cameras. From any thread.

        Raises:
            OptionError: The budget is no time.
            InputError: A task is unknown.
        """
        changes: dict[str, Any] = {} if budget_ms is ... else {"budget_ms": budget_ms}
        if tasks is not None:
            changes["tasks"] = tuple(tasks)
        self._options = replace(self._options, **changes)
        for camera in self._roster.cameras:
            camera.update(changes)

    @property
    def options(self) -> Options:
        """What all cameras do now."""
        return self._options

    @property
    def level(self) -> int:
        """Quality level of the box, 0 = full."""
        return self._together.level

    @property
    def moves(self) -> int:
        """How often that level has moved."""
        return self._together.moves

    def costs(self) -> dict[str, dict[str, float]]:
        """What stages cost a camera lately, its share of those done for several; see `Analyzer.costs`."""
        return self._together.costs()

    def describe(self) -> dict[str, Any]:
        """What runs; see `Analyzer.describe`."""
        return self._analyzer.describe()

    @property
    def summary(self) -> dict[str, Any]:
        """Figures of the run: of all cameras, and below ``cameras`` of each by its name, as they came."""
        known = sorted((*self._roster.leaving, *self._roster.cameras), key=lambda one: one.number)
        each = {one.name: one.summary() for one in known}
        whole = self._stats.record(sum(one["corrupt"] for one in each.values() if one is not None))
        whole["level_moves"] = self._together.moves
        return {**whole, "cameras": {name: one for name, one in each.items() if one is not None}}

    def _run_info(self) -> RunInfo:
        header = records.header_record(
            version=__version__,
            source={"name": "cameras", "cameras": list(self.names), "fps": None, "frame_count": None},
            analyzer=self._analyzer.describe(),
            options=self._options.to_dict(),
            emotions=EMOTIONS,
            parsing_classes=PARSING_CLASSES,
            blendshapes=BLENDSHAPES if "expression" in self._options.tasks else (),
            started_at=utc_text(utc_now()),
        )
        return RunInfo("cameras", True, False, None, None, header, self._note)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stack is None:
            return
        stack, self._stack = self._stack, None
        with stack:
            try:
                self._roster.close_all(error)
            finally:
                self._stats.end(error)
                self._fanout.finish(self.summary)


def _specs(sources: Iterable[Named] | Mapping[str, int | str | Path | Source]) -> list[NamedSource]:
    if isinstance(sources, Mapping):
        return [NamedSource(source, name) for name, source in sources.items()]
    if isinstance(sources, (str, int, Path, Source)):
        raise InputError("sources", "expected several", "Pass a list: rtface.live([0, 1])")
    return [named(one) for one in sources]


def check_shared(sinks: Iterable[Sink]) -> None:
    """
    Raises:
        OutputError: One takes a single camera only.
    """
    for sink in sinks:
        if not sink.many_cameras:
            raise OutputError(sink.name, "takes one camera only", "Name one for each, with {camera} in its name")

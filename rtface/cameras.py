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
from rtface.budget.turns import Waiting, whose_turn, worth_waiting_s
from rtface.camera import Camera
from rtface.capture.named import NamedSource, name_for, named, read_cameras
from rtface.capture.open import check_there
from rtface.capture.reconnecting import Reconnect
from rtface.capture.source import Source
from rtface.errors import EngineError, InputError, OptionError, OutputError, RtfaceError, UsageError
from rtface.labels import EMOTIONS, PARSING_CLASSES
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

WATCH_S = 1.0
"""Between two looks at the file that lists the cameras."""


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
        analyzer: Analyzer | None = None,
        clock: Clock | None = None,
        reconnect: Reconnect | None = None,
    ) -> None:
        if max_frames is not None and max_frames < 1:
            raise OptionError("max_frames", f"expected at least 1, got {max_frames!r}", "Leave it out")
        self._options = options or Options.load()
        outputs = tuple(outputs)
        self._own = tuple(str(one) for one in outputs if not isinstance(one, Sink) and is_for_each_camera(one))
        self._shared = tuple(one for one in outputs if isinstance(one, Sink) or not is_for_each_camera(one))
        self._overwrite, self._max_frames, self._sinks_of = overwrite, max_frames, sinks_of
        self._on_event, self._on_idle = on_event, on_idle
        self._given_analyzer, self._clock, self._reconnect = analyzer, clock or SystemClock(), reconnect
        self._file, self._file_state = None if file is None else Path(file), (0, 0)
        self._cameras: dict[str, Camera] = {}
        self._leaving: list[Camera] = []
        self._lock = threading.RLock()  # of the two above
        self._wake = threading.Event()
        self._ready: deque[FrameResult] = deque()
        self._stats = RunStats(self._clock)
        self._stack: ExitStack | None = None
        self._entered, self._stopping = False, threading.Event()
        self._error: RtfaceError | None = None
        for one in _specs(sources):
            self._list(one)
        for one in () if self._file is None else read_cameras(self._file):
            self._list(one).from_file = True
        if not self._cameras and file is None:
            raise UsageError("cameras", "there is none", 'Name some: rtface.live([0, "rtsp://door.local/stream"])')
        if self._file is not None:
            self._file_state = _state(self._file)

    # Coming and going.

    def _list(self, spec: NamedSource) -> Camera:
        with self._lock:
            name = name_for(spec, self._cameras)
            self._cameras[name] = Camera(replace(spec, name=name))
            return self._cameras[name]

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
        camera = self._list(spec)
        if self._stack is not None:
            self._open(camera)
        return camera.name

    def remove(self, name: str) -> None:
        """No more of this camera: its outputs become whole beside the run. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            camera = self._known(name)
            del self._cameras[name]
        self._close(camera)
        self._note(Event("camera_removed", self._clock.now(), "", camera=name))

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera off (it is closed: its light goes out) or on again. From any thread.

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            camera = self._known(name)
            if camera.spec.enabled == on:
                return
            new = self._cameras[name] = camera.again(replace(camera.spec, enabled=on))
        if on:
            self._open(new)
        else:
            self._close(camera)
            self._note(Event("camera_off", self._clock.now(), "switched off", camera=name))

    def _known(self, name: str) -> Camera:
        if name not in self._cameras:
            known = ", ".join(self._cameras) or "none"
            raise UsageError(name, "is no camera of this run", f"Its cameras are: {known}")
        return self._cameras[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the cameras, those that are off among them."""
        with self._lock:
            return tuple(self._cameras)

    @property
    def listed(self) -> tuple[str, ...]:
        """Of the cameras that the file lists: those that may be switched on and off from afar."""
        with self._lock:
            return tuple(name for name, camera in self._cameras.items() if camera.from_file)

    def state(self, name: str) -> str:
        """What a camera does: "opening", "on", "off", "over" or "failed".

        Raises:
            UsageError: There is none of that name.
        """
        with self._lock:
            return self._known(name).state

    # The run.

    def __enter__(self) -> Cameras:
        if self._entered:
            raise UsageError("cameras", "a run of them runs once", "Make another one: rtface.live([…])")
        self._entered = True
        with ExitStack() as stack:
            analyzer = self._given_analyzer
            if analyzer is None:
                analyzer = stack.enter_context(Analyzer(self._options, streams=max(len(self._cameras), 2)))
            self._analyzer = analyzer
            self._together: Together = analyzer.together()
            sinks = choose(self._shared, source="cameras", overwrite=self._overwrite)
            _check_shared(sinks)
            for camera in self._cameras.values():
                check_there(camera.spec.source)
            stack.callback(self._close_all)  # closing again is nothing
            self._begin()
            self._fanout = Fanout(sinks, self._run_info(), live=True, privacy=self._options.privacy, many_cameras=True)
            self._stack = stack.pop_all()
        self._stats.start()
        self._last_at = self._watched_at = self._clock.now()
        return self

    def _begin(self) -> None:
        """Open all cameras, side by side; return when each has been tried once, or after `OPEN_S`.

        Raises:
            RtfaceError: One can never be opened, or none can and they are not to be waited for.
        """
        cameras = [one for one in self._cameras.values() if one.spec.enabled]
        for camera in cameras:
            self._open(camera)
        end = self._clock.now() + OPEN_S
        while self._clock.now() < end and not all(camera.tried.is_set() for camera in cameras):
            self._wake.wait(WAIT_S)
            self._wake.clear()
        failed = [one for one in cameras if one.error is not None and not one.may_come]
        if not failed and not self._options.wait and all(one.error is not None for one in cameras):
            failed = cameras
        if failed:
            error = failed[0].error
            assert error is not None
            raise error

    def _open(self, camera: Camera) -> None:
        def outputs(session: int) -> tuple[Sink, ...]:
            mine = [for_camera(one, camera.name, session) for one in self._own]
            source = camera.spec.source
            known = source.name if isinstance(source, Source) else source
            return (*choose(mine, source=known, overwrite=self._overwrite), *self._sinks_of(camera.name))

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

    def _close(self, camera: Camera) -> None:
        with self._lock:
            self._leaving.append(camera)
        camera.close()
        self._wake.set()

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
        while not self._stopping.is_set() and not self._fanout.done and self._stats.frames != self._max_frames:
            if self._ready:
                result = self._ready.popleft()
                self._stats.add(result)
                return result
            self._wake.clear()
            self._look_after()
            if not self._round():
                self._idle()
        raise StopIteration

    def _round(self) -> bool:
        """Analyse the frames whose turn it is; False = none waits."""
        with self._lock:
            cameras = list(self._cameras.values())
        waiting: list[tuple[Camera, Waiting]] = []
        for camera in cameras:
            turn = camera.waiting()
            if turn is not None:
                waiting.append((camera, turn))
        now = self._clock.now()
        others = [one.expected_at for one in cameras if all(one is not camera for camera, _ in waiting)]
        wait_s = worth_waiting_s([turn for _, turn in waiting], others, now)
        if wait_s > 0.0:
            self._wake.wait(wait_s + MARGIN_S)
            return True
        frames: dict[int, Camera] = {}
        asked: list[StreamFrame] = []
        for row in whose_turn([turn for _, turn in waiting], now):
            frame = waiting[row][0].take(now)
            if frame is not None:
                asked.append(frame)
                frames[id(frame)] = waiting[row][0]
        for frame, result in self._together.process(asked):
            self._hand_over(frames[id(frame)], result)
        if asked:
            self._last_at = self._clock.now()
        return bool(asked)

    def _hand_over(self, camera: Camera, result: FrameResult | Exception) -> None:
        if isinstance(result, EngineError):
            raise result  # the network is everybody's
        if isinstance(result, Exception):
            self._give_up(camera, camera.as_error(result))
            return
        try:
            whole = camera.deliver(result)
        except RtfaceError as error:  # an output of its own
            self._give_up(camera, error)
            return
        self._fanout.put(whole)
        self._ready.append(whole)

    def _give_up(self, camera: Camera, error: RtfaceError) -> None:
        camera.error, camera.failed = error, True
        self._error = error
        self._note(Event("camera_failed", self._clock.now(), f"{error.why}", camera=camera.name))
        self._close(camera)

    def _idle(self) -> None:
        """No frame waits."""
        self._wake.wait(WAIT_S)
        if self._wake.is_set():
            return
        self._fanout.idle()
        with self._lock:
            cameras = list(self._cameras.values())
        for camera in cameras:
            camera.idle()
        if self._on_idle is not None:
            self._on_idle(self._clock.now() - self._last_at)

    def _look_after(self) -> None:
        """Cameras that have ended or failed, those that are closed by now, and the file."""
        with self._lock:
            cameras, self._leaving = list(self._cameras.values()), [one for one in self._leaving if not one.closed]
        for camera in cameras:
            if camera.has_ended():
                self._close(camera)
            elif camera.state == "failed" and not camera.failed:
                assert camera.error is not None
                self._give_up(camera, camera.error)
        self._watch()
        # In the file a camera may come yet.
        if self._file is None and all(one.state in ("over", "failed") for one in cameras):
            if self._error is not None and not self._ready and all(one.state == "failed" for one in cameras):
                raise self._error
            self._stopping.set()

    def _watch(self) -> None:
        """Take over what has changed in the file; what is wrong in it is said, and changes nothing."""
        now = self._clock.now()
        if self._file is None or now - self._watched_at < WATCH_S:
            return
        self._watched_at = now
        state = _state(self._file)
        if state == self._file_state:
            return
        self._file_state = state
        try:
            wanted = {one.name: one for one in read_cameras(self._file)}
        except RtfaceError as error:
            self._note(Event("cameras_unread", now, f"{error.what}: {error.why}; the cameras stay as they are"))
            return
        with self._lock:
            there = {name: one.spec for name, one in self._cameras.items() if one.from_file}
        for name in there.keys() - wanted.keys():
            self.remove(name)
        for name, spec in wanted.items():
            self._take_over(there.get(name), spec)

    def _take_over(self, before: NamedSource | None, spec: NamedSource) -> None:
        if before == spec:
            return
        if before is not None and replace(before, enabled=spec.enabled) == spec:
            self.enable(spec.name, spec.enabled)
            return
        if before is not None and replace(spec, priority=before.priority, max_level=before.max_level) == before:
            with self._lock:
                self._cameras[spec.name].change(spec)
            return
        if before is not None:
            with self._lock:
                old = self._cameras[spec.name]
                new = self._cameras[spec.name] = old.again(spec)
            self._close(old)
        else:
            try:
                new = self._list(spec)
            except UsageError as error:  # a camera of the command line has that name
                self._note(Event("cameras_unread", self._clock.now(), f"{error.what}: {error.why}"))
                return
            new.from_file = True
        if spec.enabled:
            self._open(new)

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
        with self._lock:
            cameras = list(self._cameras.values())
        for camera in cameras:
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
        """Figures of the run: of all cameras, and below ``cameras`` of each by its name."""
        with self._lock:
            each = {one.name: one.summary() for one in (*self._leaving, *self._cameras.values())}
        whole = self._stats.record(sum(one["corrupt"] for one in each.values() if one is not None))
        whole["level_moves"] = self._together.moves
        return {**whole, "cameras": {name: one for name, one in each.items() if one is not None}}

    def _run_info(self) -> RunInfo:
        with self._lock:
            names = list(self._cameras)
        header = records.header_record(
            version=__version__,
            source={"name": "cameras", "cameras": names, "fps": None, "frame_count": None},
            analyzer=self._analyzer.describe(),
            options=self._options.to_dict(),
            emotions=EMOTIONS,
            parsing_classes=PARSING_CLASSES,
            started_at=utc_text(utc_now()),
        )
        return RunInfo("cameras", True, False, None, None, header, self._note)

    def _close_all(self, error: BaseException | None = None) -> None:
        with self._lock:
            cameras = [*self._cameras.values(), *self._leaving]
        for camera in cameras:
            camera.close(error)
        failed = [met for camera in cameras if (met := camera.wait_closed()) is not None]
        if failed:
            raise failed[0]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stack is None:
            return
        stack, self._stack = self._stack, None
        with stack:
            try:
                self._close_all(error)
            finally:
                self._stats.end(error)
                self._fanout.finish(self.summary)


def _specs(sources: Iterable[Named] | Mapping[str, int | str | Path | Source]) -> list[NamedSource]:
    if isinstance(sources, Mapping):
        return [NamedSource(source, name) for name, source in sources.items()]
    if isinstance(sources, (str, int, Path, Source)):
        raise InputError("sources", "expected several", "Pass a list: rtface.live([0, 1])")
    return [named(one) for one in sources]


def _state(file: Path) -> tuple[int, int]:
    """What changes when a file is written."""
    try:
        facts = file.stat()
    except OSError:
        return 0, 0
    return facts.st_mtime_ns, facts.st_size


def _check_shared(sinks: Iterable[Sink]) -> None:
    for sink in sinks:
        if not sink.many_cameras:
            raise OutputError(sink.name, "takes one camera only", "Name one for each, with {camera} in its name")

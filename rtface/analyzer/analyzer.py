"""One frame through the pipeline, without threads.

Stills are in `rtface.analyzer.still`, streams in `rtface.analyzer.video`, the threads around them in `rtface.stream`.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from numbers import Real
from typing import Any, TypeVar

from numpy.typing import NDArray

from rtface.analyzer.crops import timing_of
from rtface.analyzer.engines import EngineLadder
from rtface.analyzer.still import STILL_BATCH, StillFaces, Stills
from rtface.analyzer.together import Together
from rtface.analyzer.video import VideoPipeline, engine_name
from rtface.budget import Budget, ladder_levels
from rtface.detect import Detector
from rtface.engine import Engine, Preparable
from rtface.errors import InputError, OptionError, UsageError
from rtface.geometry.crop import CROP_SIZE
from rtface.labels import MORE_TASKS
from rtface.models import ModelEntry
from rtface.networks.open import open_detector, open_network
from rtface.networks.selection import Selection, select
from rtface.option_rules import check_tasks
from rtface.options import Options
from rtface.system.clock import Clock, SystemClock
from rtface.system.forked import in_child, refused_in_child
from rtface.system.images import as_bgr
from rtface.system.opencv import OneThread
from rtface.tasks import parsing
from rtface.tasks.decode import outputs_for
from rtface.types import Frame, FrameResult, Timing

T = TypeVar("T")

OLDEST_S = 10.0
"""A frame with a deadline that was taken longer ago was stamped by another clock."""


class Analyzer:
    """Faces of stills and of one stream.

    Use this when you have a loop of your own: a kiosk's event loop, frames from another library. `rtface.live` and
    `rtface.run` are this with threads around it.

    Threads: `image` may be called from any thread, calls take turns. `process` and `video` belong to the one thread (or
    `rtface.Stream`) that began, until `reset` or `close`. OpenCV has one thread while an Analyzer is open.

    Args:
        options: What to do; None = the defaults.
        detector: Finds faces; None = the detector that ships.
        engine: Runs the multi-task network; None = ONNX Runtime with the network that ships.
        enhancer: Super-resolves small faces; None = the network that ships when `Options.enhance` is on, else none.
        clock: Time of deadlines and measurements.
        size: Side in px of the crops that `engine` takes.
        streams: How many streams share it (`together`): with several the detector takes several frames at once, and
            the networks run so as to save CPU time rather than a millisecond.

    Attributes:
        is_custom: A network was handed in: the options alone would not open the same.

    Raises:
        ModelError: A model is missing or damaged.
        EngineError: A network cannot be loaded.
        OptionError: A level that there is not, or a backend that cannot run the precision asked for.

    Example:
        >>> import numpy as np, rtface
        >>> with rtface.Analyzer(rtface.Options(max_faces=4)) as analyzer:
        ...     result = analyzer.image(np.zeros((480, 640, 3), np.uint8))
        >>> len(result.faces)
        0
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        detector: Detector | None = None,
        engine: Engine | None = None,
        enhancer: Engine | None = None,
        clock: Clock | None = None,
        size: int = CROP_SIZE,
        streams: int = 1,
    ) -> None:
        self.options = options = options or Options()
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()  # the networks': stills and frames take turns
        self._process = os.getpid()
        in_child(self._unlock)
        self._owner: object | None = None  # who the stream belongs to
        self._models: list[ModelEntry] = []
        selection: Selection | None = None
        if detector is None or engine is None or (enhancer is None and options.enhance):
            selection = select(options)
        self._selection = selection
        self.is_custom = not (detector is None and engine is None and enhancer is None)
        self.enhancer = enhancer
        if enhancer is None and selection is not None and selection.enhancer is not None:
            self.enhancer = self._opened(open_network(selection.enhancer, options))
        self.detector = self._own_detector(streams) if detector is None else detector
        batch = max(STILL_BATCH, options.max_faces)  # all faces of a stream's frame go in one call
        self._engines = EngineLadder(options, selection, engine, size=size, batch=batch, streams=streams)
        self._levels = ladder_levels(
            options.tasks, networks=self._engines.names, max_faces=options.max_faces, priority=options.priority
        )
        _check_levels(options, [level.name for level in self._levels])
        if options.tasks:
            self._engines.engine(0)
            if options.budget_ms is not None or options.level is not None:
                self._engines.open_all()
        number = self._levels[options.level or 0].network  # a fixed level's network looks at stills too
        self._stills = Stills(options, self.detector, self._engines, number, self.enhancer)
        self._prepared = False
        self._one_thread = OneThread()
        self.reset()

    def _own_detector(self, streams: int) -> Detector:
        assert self._selection is not None
        return self._opened(open_detector(self._selection.detector, self.options, streams))

    def _opened(self, opened: tuple[T, ModelEntry]) -> T:
        network, model = opened
        self._models.append(model)
        return network

    @property
    def engine(self) -> Engine:
        """What runs the multi-task network at full quality; opened here if it is not yet.

        Raises:
            EngineError: It cannot be opened.
        """
        return self._engines.engine(0)

    def reset(self) -> None:
        """Forget the stream: its faces, their smoothing, what stages cost, and whose stream it was."""
        with self._lock:
            self._video = VideoPipeline(
                self.options, self.detector, self._engines, self.enhancer, self._levels, self._clock
            )
            self._owner, self._index = None, 0

    def close(self) -> None:
        """Give the networks' memory and threads back, and OpenCV its threads; idempotent."""
        if refused_in_child(self._process, "it"):
            return  # the parent uses them
        with self._lock:
            self._owner = None
            self._engines.close()
            getattr(self.detector, "close", lambda: None)()  # a detector of one's own need not have any
            if self.enhancer is not None:
                self.enhancer.close()
            self._one_thread.release()

    def describe(self) -> dict[str, Any]:
        """What runs: `models` (name → SHA-256 of those opened here), `levels` by name, `selection` (what was chosen and
        why; absent when networks were handed in), and the engine's own facts."""
        selection = {} if self._selection is None else {"selection": self._selection.describe()}
        models = [*self._models, *self._engines.models]
        opened = self._engines.opened
        return {
            "models": {model.name: model.sha256 for model in models},
            "levels": [level.name for level in self._levels],
            **selection,
            **(opened[0].describe() if opened else {}),
        }

    def costs(self) -> dict[str, dict[str, float]]:
        """What the stream's stages cost lately: stage → `p50_ms`, `p95_ms`, and of how many `runs` those are."""
        return self._video.costs()

    def prepare(self) -> None:
        """Open what a stream needs beyond stills, so that its first frame need not wait; `process` does it otherwise.

        Raises:
            EngineError: A network cannot be opened.
        """
        with self._lock:
            self._prepared = True
            if isinstance(self.detector, Preparable):
                self.detector.prepare()
            if self.options.tasks:
                full = outputs_for(self.options.tasks, places=True)
                self._engines.prepare(full, tuple(name for name in full if name != parsing.OUTPUT))

    def together(self) -> Together:
        """Several streams on these networks, beside the one of `process`; see `rtface.live` with several sources.

        Raises:
            EngineError: A network cannot be opened.
        """
        with self._lock:
            if not self._prepared:
                self.prepare()
            networks = self.detector, self._engines, self.enhancer
            return Together(self.options, *networks, self._levels, self._clock, self._lock)

    def __enter__(self) -> Analyzer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def image(
        self,
        image: NDArray[Any],
        boxes: Sequence[Any] | NDArray[Any] | None = None,
        tasks: Collection[str] | None = None,
    ) -> FrameResult:
        """Faces of a still; nothing of a stream is used or changed. From any thread; calls take turns.

        Args:
            image: uint8, (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA.
            boxes: (N, 4) x0 y0 x1 y1 px of faces that are known already; None = detect them.
            tasks: Some of `rtface.TASKS`; () = detection only; None = those of the options.

        Raises:
            InputError: The image, a box or a task is not what is expected.
            EngineError: A network cannot run.
        """
        wanted, frame = self._wanted(tasks), Frame(as_bgr(image))
        with self._lock:
            budget = Budget(self._clock)
            still = self._stills.faces(frame, boxes, wanted, budget)
            return self._still_result(frame, still, timing_of(budget), wanted)

    def images(self, frames: Sequence[Frame], tasks: Collection[str] | None = None) -> list[FrameResult]:
        """Faces of several stills, as `image` gives them; a few at once take less time than one by one.

        Args:
            frames: Pictures; about four are enough.
            tasks: Some of `rtface.ALL_TASKS`, or "all"; None = as the options say, by default `rtface.TASKS`.

        Returns:
            A result a frame, in order; its ``timing`` is its share of what all took.

        Raises:
            InputError: A task is not what is expected.
            EngineError: A network cannot run.

        Example:
            >>> import numpy as np, rtface
            >>> frames = [rtface.Frame(np.zeros((480, 640, 3), np.uint8), index=index) for index in range(2)]
            >>> with rtface.Analyzer() as analyzer:
            ...     print([len(result.faces) for result in analyzer.images(frames)])
            [0, 0]
        """
        wanted = self._wanted(tasks)
        with self._lock:
            budget = Budget(self._clock)
            stills = self._stills.faces_of(frames, wanted, budget)
            timing = timing_of(budget, len(frames))
            return [self._still_result(*pair, timing, wanted) for pair in zip(frames, stills, strict=True)]

    def _still_result(self, frame: Frame, still: StillFaces, timing: Timing, wanted: tuple[str, ...]) -> FrameResult:
        name = engine_name(self._engines.engine(0)) if wanted else ""
        return FrameResult(frame, still.faces, timing, tasks=wanted, engine=name, possible_xyxy=still.possible_xyxy)

    def video(
        self,
        image: NDArray[Any],
        at: float,
        *,
        index: int | None = None,
        media_time: float | None = None,
        captured_at: float | None = None,
        deadline: float | None = None,
        tasks: Collection[str] | None = None,
    ) -> FrameResult:
        """Faces of a stream's next frame, with ids that last; a shorthand of `process`.

        Args:
            image: uint8, (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA.
            at: When the frame was taken, seconds; a time before the last frame's starts a new stream. With
                `Options.budget_ms` it is `time.monotonic()`, and the budget counts from it.
            index: Number of the frame; None = counted here.
            media_time: Seconds since the start of the file.
            captured_at: Monotonic seconds of the grab, if `at` is another time; None = `at`.
            deadline: Monotonic seconds by which the result is wanted; None = `captured_at` + `Options.budget_ms`.
                What does not fit is carried over and named in `skips`.
            tasks: Some of `rtface.TASKS`; () = detection only; None = those of the options.

        Raises:
            InputError: The image, a time or a task is not what is expected.
            UsageError: The stream belongs to another thread.
            EngineError: A network cannot run.

        Example:
            >>> import time, numpy as np, rtface
            >>> with rtface.Analyzer(rtface.Options(budget_ms=33)) as analyzer:
            ...     result = analyzer.video(np.zeros((480, 640, 3), np.uint8), at=time.monotonic())
            >>> result.faces
            ()
        """
        at = _seconds("at", at)
        frame = Frame(
            as_bgr(image),
            index=self._index if index is None else index,
            captured_at=at if captured_at is None else _seconds("captured_at", captured_at),
            media_time=None if media_time is None else _seconds("media_time", media_time),
        )
        return self.process(frame, deadline, at=at, tasks=tasks)

    def process(
        self,
        frame: Frame,
        deadline: float | None = None,
        *,
        at: float | None = None,
        tasks: Collection[str] | None = None,
        owner: object = None,
    ) -> FrameResult:
        """Faces of a stream's next frame, with ids that last.

        Args:
            frame: Its `captured_at` (monotonic seconds) is its time; without one, its `media_time`; without both, now.
            deadline: Monotonic seconds by which the result is wanted; None = the time it was taken +
                `Options.budget_ms`; a frame that has only a `media_time` is a file's and has no deadline.
            at: Seconds that ids and smoothing go by, if not the frame's time: a file that is read faster than it plays.
            tasks: Some of `rtface.TASKS`; () = detection only; None = those of the options.
            owner: Whom the stream belongs to; None = the calling thread.

        Raises:
            InputError: A time or a task is not what is expected.
            UsageError: The stream belongs to another thread.
            EngineError: A network cannot run.

        Example:
            >>> import numpy as np, rtface
            >>> with rtface.Analyzer() as analyzer:
            ...     result = analyzer.process(rtface.Frame(np.zeros((480, 640, 3), np.uint8), media_time=0.0))
            >>> result.faces
            ()
        """
        if at is None:
            at = frame.media_time if frame.captured_at is None else frame.captured_at
        at = self._clock.now() if at is None else _seconds("the frame's time", at)
        wanted = self._wanted(tasks)
        self.claim(threading.get_ident() if owner is None else owner)
        with self._lock:
            if deadline is None and self.options.budget_ms is not None:
                deadline = self._deadline(frame)
            if not self._prepared:
                self.prepare()
            self._index = frame.index + 1
            return self._video.process(frame, at, deadline, wanted)

    def claim(self, owner: object) -> None:
        """The stream is `owner`'s from now on: a thread's, or that of a `rtface.Stream` on this Analyzer.

        Raises:
            UsageError: It is somebody else's.
        """
        with self._lock:
            if self._owner is None:
                self._owner = owner
        if self._owner != owner:
            mend = "Open an Analyzer a stream; Analyzer.reset() lets another thread begin. Analyzer.image takes any"
            raise UsageError("Analyzer", "its stream belongs to another thread or Stream", mend)

    def release(self, owner: object) -> None:
        """The stream is nobody's again, if it was `owner`'s; its faces are forgotten."""
        if self._owner == owner:
            self.reset()

    def _deadline(self, frame: Frame) -> float | None:
        """When a frame's result is due by `Options.budget_ms`.

        Raises:
            InputError: The frame was not stamped by the monotonic clock.
        """
        assert self.options.budget_ms is not None
        taken, now = frame.captured_at, self._clock.now()
        if taken is None:
            return None if frame.media_time is not None else now + self.options.budget_ms / 1e3
        if not now - OLDEST_S <= taken <= now + 1e-3:  # a frame may be stamped by another core
            why = f"expected time.monotonic() of the grab, at most {OLDEST_S:g} s old, got {taken:.3f} at {now:.3f}"
            mend = "Pass at=time.monotonic(); for a file's own times leave Options.budget_ms out"
            raise InputError("at", why, mend)
        return taken + self.options.budget_ms / 1e3

    def _unlock(self) -> None:
        """A thread that this process does not have may hold the lock."""
        self._lock = threading.RLock()

    def _wanted(self, tasks: Collection[str] | None) -> tuple[str, ...]:
        """The tasks of a call, of which the network that is open knows all.

        Raises:
            InputError: A task is unknown, or one that the Analyzer was not opened for.
            UsageError: The Analyzer is the parent process's.
        """
        if why := refused_in_child(self._process, "it"):
            raise UsageError("Analyzer", why, "Open an Analyzer in the child process, or start it with spawn")
        if tasks is None:
            return self.options.tasks
        wanted = check_tasks(tasks)
        for task in set(wanted) & set(MORE_TASKS) - set(self.options.tasks):
            mend = 'Name it when opening: Options(tasks="all"), or --tasks all'
            raise InputError("tasks", f"{task} was not asked for when the networks were opened", mend)
        return wanted


def _seconds(name: str, value: object) -> float:
    """A time as a plain float; numbers of any library are taken.

    Raises:
        InputError: It is no number, or not finite.
    """
    if not isinstance(value, bool) and isinstance(value, Real):
        with suppress(OverflowError):  # an int beyond all floats
            if math.isfinite(value):
                return float(value)
    raise InputError(name, f"expected finite seconds, got {value!r:.40}", "Pass a number, such as time.monotonic()")


def _check_levels(options: Options, levels: Sequence[str]) -> None:
    for name in ("level", "max_level"):
        number = getattr(options, name)
        if number is not None and number >= len(levels):
            known = ", ".join(f"{index} {level}" for index, level in enumerate(levels))
            raise OptionError(name, f"expected 0 to {len(levels) - 1}, got {number}", f"The levels are: {known}")

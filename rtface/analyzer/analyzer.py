"""One frame through the pipeline: detect, track, crop, engine, tasks, smooth. No threads.

    image ──► detector ──► tracker ──► crops ──► engine ──► typed results ──► smoother ──► FrameResult

`Analyzer.image` takes a still and remembers nothing (`rtface.analyzer.still`); `Analyzer.video` takes the frames of one
stream and remembers its faces. The threads around it are in `rtface.stream`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.crops import enhanced, matrices, run_parsing_some, timing_of
from rtface.analyzer.still import STILL_BATCH, Stills
from rtface.budget import Budget, Carry, Planner, faces_stage, ladder_levels, parsing_matters_most
from rtface.detect import Detector
from rtface.engine import Cropping, Engine, Preparable, Tensors
from rtface.errors import OptionError
from rtface.geometry.crop import CROP_SIZE, Crop, crop_from_landmarks, points5_from_landmarks, warp_crops
from rtface.models import ModelEntry
from rtface.networks.open import open_detector, open_network
from rtface.networks.selection import Selection, select
from rtface.options import Options, check_tasks
from rtface.smooth import Smoother, moved
from rtface.system.clock import Clock, SystemClock
from rtface.system.images import as_bgr
from rtface.tasks import landmarks, parsing
from rtface.tasks.decode import QUALITY, outputs_for, presence, typed
from rtface.track import Track, Tracker
from rtface.types import Event, Face, Frame, FrameResult

T = TypeVar("T")

PLACE, PARSED_PLACE = "place", "parsed_place"
"""What is carried over beside the tasks: landmarks, of the last look and of the last mask."""


class Analyzer:
    """Faces of stills and of one stream. Sets OpenCV to one thread, which is the fastest beside the engine's own.

    Args:
        options: What to do; None = the defaults.
        detector: Finds faces; None = the detector that ships.
        engine: Runs the multi-task network; None = ONNX Runtime with the network that ships.
        enhancer: Super-resolves small faces; None = the network that ships where `Options.enhance` is on, else none.
        clock: Time of deadlines and measurements.
        size: Side in px of the crops that `engine` takes.

    Raises:
        ModelError: A model is missing or damaged.
        EngineError: ONNX Runtime cannot load it.
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
    ) -> None:
        self.options = options or Options()
        self._models: list[ModelEntry] = []
        self._selection: Selection | None = None
        if detector is None or engine is None or (enhancer is None and self.options.enhance):
            self._selection = select(self.options)
        self._open(detector, engine, enhancer)
        if self.options.budget_ms is not None or self.options.level is not None:
            self._engine_of(len(self._fallbacks))
        self._prepared = False
        self._clock = clock or SystemClock()
        # OpenCV's thread pool and ONNX Runtime's would fight for the same cores: a frame with detection took 7.1 ms
        # with OpenCV's default and 4.5 ms with one thread (2 cores, 640x480). The setting is the process's.
        cv2.setNumThreads(1)
        batch = max(STILL_BATCH, self.options.max_faces)  # all faces of a stream's frame go in one call
        self._sizes = [size, *(one.size for one in self._fallbacks)]  # of the crops of each engine
        self._buffers = {size: np.empty((batch, size, size, 3), np.uint8) for size in self._sizes}
        self._levels = ladder_levels(
            self.options.tasks,
            networks=["the best", *(one.name for one in self._fallbacks)],
            max_faces=self.options.max_faces,
            priority=self.options.priority,
        )
        _check_levels(self.options, [level.name for level in self._levels])
        number = self._levels[self.options.level or 0].network  # a fixed level's network looks at stills too
        buffer = self._buffers[self._sizes[number]]
        self._stills = Stills(self.options, self.detector, self._engine_of(number), self.enhancer, buffer, self._shift)
        self.reset()

    def _open(self, detector: Detector | None, engine: Engine | None, enhancer: Engine | None) -> None:
        """Open the networks that were not handed in."""
        chosen, options = self._selection, self.options
        self.enhancer = enhancer
        if enhancer is None and chosen is not None and chosen.enhancer is not None:
            self.enhancer = self._opened(open_network(chosen.enhancer, options))
        if detector is None:
            assert chosen is not None
            detector = self._opened(open_detector(chosen.detector, options))
        if engine is None:
            assert chosen is not None
            engine = self._opened(open_network(chosen.multitask, options))
            self._fallbacks = chosen.fallbacks
            self._shift = chosen.multitask.model.landmark_shift
        else:
            self._fallbacks = ()
            self._shift = (0.0, 0.0)
        self.detector, self.engine = detector, engine
        self._engines = [engine]  # the best first, for the quality ladder

    def reset(self) -> None:
        """Forget the stream: its faces, their smoothing, and what stages cost."""
        self._tracker = Tracker(self.options.detect_every_ms / 1e3, self.options.max_faces)
        self._planner = Planner(
            self._clock,
            self._levels,
            floor=self.options.floor,
            fixed=self.options.level,
            parsing_first=parsing_matters_most(self.options.tasks, self.options.priority),
        )
        self._carry, self._smoother = Carry(), Smoother()
        self._index = 0
        self._ran_on: dict[int, str] = {}  # network of the ladder → what ran it last

    def close(self) -> None:
        """Give the networks' memory and threads back."""
        for engine in self._engines:
            engine.close()
        getattr(self.detector, "close", lambda: None)()  # a detector of one's own need not have any
        if self.enhancer is not None:
            self.enhancer.close()

    def describe(self) -> dict[str, Any]:
        """What runs: `models` (name → SHA-256 of those opened here), `levels` by name, and the engine's own facts."""
        return {
            "models": {model.name: model.sha256 for model in self._models},
            "levels": [level.name for level in self._levels],
            **self.engine.describe(),
        }

    def costs(self) -> dict[str, dict[str, float]]:
        """What the stream's stages cost of late: stage → `p50_ms`, `p95_ms`, and of how many `runs` those are."""
        return self._planner.costs()

    def prepare(self) -> None:
        """Open what a stream needs beyond stills, so that its first frame need not wait; `video` does it otherwise.

        Raises:
            EngineError: A network cannot be opened.
        """
        self._prepared = True
        full = outputs_for(self.options.tasks, places=True)
        for buffer in self._buffers.values():
            buffer.fill(0)  # the system gives memory when it is written to
        for part in (self.detector, *self._engines):
            if isinstance(part, Preparable):
                part.prepare(full, tuple(name for name in full if name != parsing.OUTPUT))

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
        """Faces of a still; nothing of a stream is used or changed.

        Args:
            image: uint8, (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA.
            boxes: (N, 4) x0 y0 x1 y1 px of faces that are known already; None = detect them.
            tasks: Some of `rtface.TASKS`; None = those of the options.

        Raises:
            InputError: The image, a box or a task is not what is expected.
            EngineError: A network cannot run.
        """
        wanted, frame, budget = self._wanted(tasks), Frame(as_bgr(image)), Budget(self._clock)
        faces = self._stills.faces(frame, boxes, wanted, budget)
        return FrameResult(frame, faces, timing_of(budget), tasks=wanted, engine=_engine_name(self.engine))

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
        """Faces of a stream's next frame, with ids that last.

        Args:
            image: As for `image`.
            at: When the frame was taken, seconds; a time before the last frame's starts a new stream.
            index: Number of the frame; None = counted here.
            media_time: Seconds since the start of the file.
            captured_at: Monotonic seconds of the grab; None = `at`.
            deadline: Monotonic seconds by which the result is wanted; None = `captured_at` + `Options.budget_ms` where
                both are given, else no deadline. What does not fit is carried over and named in `skipped`.
            tasks: Some of `rtface.TASKS`; None = those of the options.

        Raises:
            InputError: The image or a task is not what is expected.
            EngineError: A network cannot run.
        """
        wanted, skipped = self._wanted(tasks), dict[str, str]()
        frame = Frame(
            as_bgr(image),
            index=self._index if index is None else index,
            captured_at=at if captured_at is None else captured_at,
            media_time=media_time,
        )
        self._index = frame.index + 1
        if deadline is None and captured_at is not None and self.options.budget_ms is not None:
            deadline = captured_at + self.options.budget_ms / 1e3
        if not self._prepared:
            self.prepare()
        self._planner.begin(deadline, captured_at)
        level, rests = self._planner.ladder.level, self._planner.rests()
        self._move_on(frame, at)
        if rests:
            skipped.update(dict.fromkeys(("detect", *wanted), rests))
        else:
            self._find(frame, skipped)
            self._understand(frame, at, wanted, skipped)
        faces = tuple(self._face(track, wanted, at) for track in self._tracker.shown())
        self._forget()
        self._planner.lap("tasks")
        network = self._planner.level.network  # judging the frame may move the level
        engine = self._engine_of(network)
        late = self._planner.finish(rested=rests is not None)
        return FrameResult(
            frame,
            faces,
            timing_of(self._planner),
            tasks=wanted,
            level=level,
            late=late,
            skipped=skipped,
            engine=_engine_name(engine),
            events=(*self._smoother.take_events(), *self._engine_events(network, engine, at)),
        )

    def _engine_events(self, network: int, engine: Engine, at: float) -> tuple[Event, ...]:
        """That another engine runs a network than at the last frame: a better one is ready, or a GPU has failed."""
        now = _engine_name(engine)
        before = self._ran_on.setdefault(network, now)
        self._ran_on[network] = now
        return () if now == before else (Event("engine_changed", at, f"{before} → {now}"),)

    def _move_on(self, frame: Frame, at: float) -> None:
        height, width = frame.image.shape[:2]
        self._tracker.advance(at, width, height)
        self._planner.lap("track")

    def _find(self, frame: Frame, skipped: dict[str, str]) -> None:
        """Let the detector look where it should, may, and there is time."""
        if not self._tracker.wants_detection:
            return
        if why := self._planner.detects():
            skipped["detect"] = why
            return
        found = self.detector.detect(frame.image)
        self._planner.lap("detect", stage="detect")
        self._tracker.meet(found.boxes_xyxy, found.scores, found.points5)
        self._planner.lap("track")

    def _understand(self, frame: Frame, at: float, wanted: tuple[str, ...], skipped: dict[str, str]) -> None:
        """Run the engine on the faces whose turn it is and that there is time for; remember, and follow them."""
        tracks = self._tracker.tracks
        if not tracks:
            return
        since = self._planner.mark
        sizes = [track.crop.side for track in tracks]
        work = self._planner.work(tracks, sizes, at, parsing="parsing" in wanted)
        if isinstance(work, str):
            skipped.update(dict.fromkeys(wanted, work))
            return
        if work.fewer_faces:
            skipped["faces"] = work.fewer_faces
        if work.fewer_parsed:
            skipped["parsing"] = work.fewer_parsed
        looked = [tracks[row] for row in work.rows]
        crops = [track.crop for track in looked]
        tensors = self._see(frame, crops, outputs_for(wanted, places=True), work.parsed, skipped)
        to_frame = matrices(crops, self._sizes[self._planner.level.network])
        points = landmarks.in_frame(tensors["landmarks"], to_frame)
        values = typed(wanted, tensors, crops, to_frame, points)
        self._planner.lap("tasks")
        seen = [crop_from_landmarks(face) for face in points]
        self._tracker.follow(seen, points5_from_landmarks(points), presence(tensors).tolist(), points, tracks=looked)
        self._planner.lap("track")
        for track, value, quality, place in zip(looked, values, tensors[QUALITY].tolist(), points, strict=True):
            if track.track_id and not track.predicted:
                if self.options.smooth:
                    value = self._smoother(track.track_id, value, at, track.crop.side)
                self._carry.put(track.track_id, {**value, QUALITY: quality, **_places(value, place)}, at)
        self._planner.lap("smooth")
        # Enhancing is a stage of its own; it must not make looking seem dear.
        enhancing = self._planner.laps_ms.get("enhance", 0.0) / 1e3
        self._planner.looked(looked, work.parsed, at, since + enhancing)

    def _see(
        self, frame: Frame, crops: Sequence[Crop], names: Sequence[str], parsed: int, skipped: dict[str, str]
    ) -> Tensors:
        """The engine's answers for every crop, by name; the parsing's for the first `parsed` of them only."""
        network = self._planner.level.network
        engine = self._engine_of(network)
        if self.enhancer is None and isinstance(engine, Cropping) and engine.crops_itself(len(crops)):
            on_gpu = engine

            def run(rows: slice, asked: Sequence[str]) -> Tensors:
                return on_gpu.run_crops(frame.image, crops[rows], asked)

        else:
            batch = warp_crops(frame.image, crops, out=self._buffers[self._sizes[network]])
            self._planner.lap("crop")
            rest = faces_stage(len(crops), parsed, network)
            if why := enhanced(self.enhancer, frame, crops, batch, self._planner, rest):
                skipped["enhance"] = why

            def run(rows: slice, asked: Sequence[str]) -> Tensors:
                return engine.run(batch[rows], asked)

        tensors = run_parsing_some(run, engine, names, len(crops), parsed)
        self._planner.lap("engine")
        return tensors

    def _face(self, track: Track, wanted: tuple[str, ...], at: float) -> Face:
        values, ages = self._carry.get(track.track_id, (*wanted, QUALITY, PLACE, PARSED_PLACE), at)
        parsed_at, now_at = values.pop(PARSED_PLACE, None), values.pop(PLACE, None)
        if "parsing" in values and ages["parsing"] > ages[PLACE]:  # the landmarks are newer: the mask goes with them
            values["parsing"] = moved(values["parsing"], parsed_at, now_at)
        ages = {task: age for task, age in ages.items() if task in wanted}
        five = track.points5
        if "landmarks" in values:
            # Smoothed landmarks are the ones shown, so the five points are theirs, not the track's.
            if self.options.smooth and ages["landmarks"] == 0.0:
                five = points5_from_landmarks(values["landmarks"].points)
            values["landmarks"] = landmarks.to_convention(values["landmarks"], track.crop.side, self._shift)
        return Face(
            box_xyxy=track.box_xyxy,
            score=track.score,
            points5=five,
            track_id=track.track_id,
            age_ms=ages,
            predicted=track.predicted,
            **values,
        )

    def _forget(self) -> None:
        alive = {track.track_id for track in self._tracker.tracks}
        self._carry.keep(alive)
        self._smoother.keep(alive)
        self._planner.keep(self._tracker.tracks)

    def _engine_of(self, network: int) -> Engine:
        """The engine, or what stands in for it; opened here where no budget foretold it."""
        while len(self._engines) <= network:
            fallback = self._fallbacks[len(self._engines) - 1]
            self._engines.append(self._opened(open_network(fallback, self.options)))
        return self._engines[network]

    def _opened(self, opened: tuple[T, ModelEntry]) -> T:
        network, model = opened
        self._models.append(model)
        return network

    def _wanted(self, tasks: Collection[str] | None) -> tuple[str, ...]:
        return self.options.tasks if tasks is None else check_tasks(tasks)


def _places(value: dict[str, Any], points: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Where the landmarks are, those shown if any are; and, with a new mask, where they were for it."""
    place = value["landmarks"].points if "landmarks" in value else points
    return {PLACE: place, PARSED_PLACE: place} if "parsing" in value else {PLACE: place}


def _engine_name(engine: Engine) -> str:
    """Of this very frame: an engine may give way to a better one between two frames."""
    return str(engine.describe().get("engine", ""))


def _check_levels(options: Options, levels: Sequence[str]) -> None:
    for name in ("level", "floor"):
        number = getattr(options, name)
        if number is not None and number >= len(levels):
            known = ", ".join(f"{index} {level}" for index, level in enumerate(levels))
            raise OptionError(name, f"expected 0 to {len(levels) - 1}, got {number}", f"The levels are: {known}")

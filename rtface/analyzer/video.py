"""Faces of one stream: found, followed, understood as far as there is time, smoothed, and remembered between frames.

frame ──► detector ──► tracker ──► crops ──► engine ──► typed results ──► smoother ──► FrameResult
          when due     ids                   those whose turn it is
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.crops import enhance_small, matrices, reasons_of, run_parsing_some, timing_of, without_rest
from rtface.analyzer.engines import EngineLadder
from rtface.analyzer.expressions import Expressions
from rtface.budget import (
    BoxLadder,
    Costs,
    FrameScheduler,
    Level,
    ResultCache,
    faces_stage,
    parsing_matters_most,
)
from rtface.detect import Detections, Detector, LaterDetector
from rtface.engine import Cropping, Engine, Tensors, cropper
from rtface.engine.tickets import Submitting
from rtface.geometry.crop import Crop, crop_from_landmarks, points5_from_landmarks, warp_crops
from rtface.options import Options
from rtface.smooth import Smoother, warp_parsing
from rtface.system.clock import Clock
from rtface.tasks import landmarks, parsing
from rtface.tasks.decode import QUALITY, QUALITY_REASONS, decode, face_confidence, outputs_for
from rtface.track import Track, Tracker, look_of
from rtface.types import Event, Face, Frame, FrameResult, Skip

PLACE, PARSED_PLACE = "place", "parsed_place"
"""What is carried over beside the tasks: landmarks, of the last look and of the last mask."""


@dataclass(frozen=True, slots=True, eq=False)
class FindFaces:
    """A pipeline asks for the detector's answer on `image` (H, W, 3) BGR."""

    image: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class LookAtFaces:
    """A pipeline asks for tensors by name; the parsing's of the first `parsed` crops only.

    Attributes:
        network: Which of the engines.
        crops: (N, side, side, 3) uint8 BGR; or squares of `image`, which the engine cuts out itself.
        names: Outputs.
        parsed: How many of the crops are parsed.
        image: (H, W, 3) BGR, whose squares `crops` are; None = they are pixels.
    """

    network: int
    crops: NDArray[np.uint8] | Sequence[Crop]
    names: tuple[str, ...]
    parsed: int
    image: NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """What the streams of a machine share beside the networks: the quality level, and what stages cost."""

    ladder: BoxLadder
    costs: Costs


Request: TypeAlias = "FindFaces | LookAtFaces"
Steps: TypeAlias = Generator[Request, Any, FrameResult]


class VideoPipeline:
    """The pipeline of one stream, and all that is remembered of it.

    Args:
        options: What to do.
        detector: Finds faces.
        engines: Run the multi-task network.
        enhancer: Super-resolves small faces; None = they stay as they are.
        levels: The rungs of the quality ladder, the full level first.
        clock: Time of deadlines and measurements.
        box: What several streams on the same networks share; None = it is alone.
    """

    def __init__(
        self,
        options: Options,
        detector: Detector,
        engines: EngineLadder,
        enhancer: Engine | None,
        levels: Sequence[Level],
        clock: Clock,
        box: Box | None = None,
    ) -> None:
        self._options, self._detector, self._engines, self._enhancer = options, detector, engines, enhancer
        self._tracker = Tracker(options.detect_every_ms / 1e3, options.max_faces)
        self._scheduler = FrameScheduler(
            clock,
            levels,
            max_level=options.max_level,
            fixed=options.level,
            parsing_first=parsing_matters_most(options.tasks, options.priority),
            ladder=None if box is None else box.ladder,
            costs=None if box is None else box.costs,
        )
        # Crops wait for those of other streams: then each has a place of its own for them.
        self._buffer = engines.buffer if box is None else engines.new_buffers(options.max_faces)
        self._cache, self._smoother, self._expressions = ResultCache(), Smoother(), Expressions()
        self._possible_xyxy: NDArray[np.float32] | None = None  # None: the detector did not look at this frame
        self._begin_detect = detector.begin_detect if isinstance(detector, LaterDetector) else None
        self._detecting: Callable[[], Detections] | None = None  # the faces of the frame before
        self._ran_on: dict[int, str] = {}  # network of the ladder → what ran it last

    def costs(self) -> dict[str, dict[str, float]]:
        """What stages cost lately; see `Costs.table`."""
        return self._scheduler.budget.costs.table()

    @property
    def scheduler(self) -> FrameScheduler:
        """What is done for each frame."""
        return self._scheduler

    def process(self, frame: Frame, at: float, deadline: float | None, wanted: tuple[str, ...]) -> FrameResult:
        """The next frame at `at` seconds, by the clock's second `deadline` (None = none), with the tasks `wanted`.

        Raises:
            EngineError: A network cannot run.
        """
        steps, answer = self.steps(frame, at, deadline, wanted), None
        try:
            while True:
                answer = self._answer(steps.send(answer))
        except StopIteration as end:
            result: FrameResult = end.value
            return result

    def _answer(self, request: Request) -> Any:
        """What the networks make of this stream's request alone."""
        if isinstance(request, FindFaces):
            return self._detector.detect(request.image)
        return look_at_faces(self._engines.engine(request.network), request)

    def steps(self, frame: Frame, at: float, deadline: float | None, wanted: tuple[str, ...]) -> Steps:
        """As `process`, step by step: it yields what it asks the networks, and goes on with the answer.

        Between two steps other streams may have theirs, on the same networks; their turns cost this frame nothing but
        time. `scheduler.budget.resume` says how much of it.
        """
        scheduler, skips = self._scheduler, list[Skip]()
        self._possible_xyxy = None
        scheduler.begin(deadline, frame.captured_at)
        level, rest = scheduler.number, scheduler.frame_skip_reason()
        self._meet_detector()
        self._track_on(frame, at)
        if rest is not None:
            skips += [rest.of(task) for task in ("detect", *wanted)]
        else:
            yield from self._find(frame, wanted, skips)
            if wanted:
                yield from self._understand(frame, at, wanted, skips)
        faces = tuple(self._face(track, wanted, at) for track in self._tracker.confirm())
        self._forget()
        scheduler.budget.stop_stage("tasks")
        network = scheduler.level.network  # judging the frame may move the level
        engine = engine_name(self._engines.engine(network)) if wanted else ""
        late = scheduler.finish(rested=rest is not None)
        return FrameResult(
            frame,
            faces,
            timing_of(scheduler.budget),
            tasks=wanted,
            level=level,
            late=late,
            skips=tuple(skips),
            engine=engine,
            events=(
                *self._smoother.take_events(),
                *self._expressions.take_events(),
                *self._engine_events(network, engine, at),
            ),
            possible_xyxy=self._possible_xyxy,
        )

    def _engine_events(self, network: int, engine: str, at: float) -> tuple[Event, ...]:
        """That another engine runs a network than at the last frame: a better one is ready, or a GPU has failed."""
        before = self._ran_on.setdefault(network, engine)
        self._ran_on[network] = engine
        return () if engine == before else (Event("engine_changed", at, f"{before} → {engine}"),)

    def _track_on(self, frame: Frame, at: float) -> None:
        height, width = frame.image.shape[:2]
        self._tracker.predict(at, width, height)
        self._scheduler.budget.stop_stage("track")

    def _meet_detector(self) -> None:
        """What the detector saw on the frame before, told before the tracks move on: they are where they were then."""
        answer, self._detecting = self._detecting, None
        if answer is None:
            return
        found = answer()
        self._scheduler.budget.stop_stage("detect")
        self._tracker.update_detections(found.boxes_xyxy, found.scores, found.points5, late=True)

    def _find(self, frame: Frame, wanted: tuple[str, ...], skips: list[Skip]) -> Generator[Request, Any, None]:
        """Let the detector look when it should, may, and there is time.

        On every frame if nothing else is wanted, or faces are blurred: that goes by what was seen on the very frame.
        """
        if wanted and not self._tracker.wants_detection and self._options.privacy != "blur":
            return
        if skip := self._scheduler.detector_skip_reason():
            skips.append(skip)
            return
        if wanted and self._begins_detection(frame):
            return
        found: Detections = yield FindFaces(frame.image)
        if self._options.privacy == "blur":  # a detector of one's own need not know what else may be a face
            self._possible_xyxy = found.boxes_xyxy if found.possible_xyxy is None else found.possible_xyxy
        self._scheduler.budget.stop_stage("detect", stage="detect")
        self._tracker.update_detections(found.boxes_xyxy, found.scores, found.points5)
        self._scheduler.budget.stop_stage("track")

    def _begins_detection(self, frame: Frame) -> bool:
        """Have the detector look beside the engine, where it can and nothing on this frame hangs on its answer."""
        if self._begin_detect is None or self._options.privacy == "blur" or not self._tracker.detection_can_wait:
            return False
        self._detecting = self._begin_detect(frame.image)
        if self._detecting is None:
            return False
        self._scheduler.budget.stop_stage("detect")  # no measure of what a look costs that is waited for
        return True

    def _understand(
        self, frame: Frame, at: float, wanted: tuple[str, ...], skips: list[Skip]
    ) -> Generator[Request, Any, None]:
        """Run the engine on the faces whose turn it is and that there is time for; remember, and follow them."""
        tracks, budget = self._tracker.tracks, self._scheduler.budget
        if not tracks:
            return
        since = budget.worked_until
        sizes = [track.crop.side for track in tracks]
        plan = self._scheduler.schedule(tracks, sizes, at, parsing="parsing" in wanted)
        if plan.skip is not None:
            skips += [plan.skip.of(task) for task in wanted]
            return
        skips += plan.skips
        looked = [tracks[row] for row in plan.rows]
        crops = [track.crop for track in looked]
        tensors = yield from self._look(frame, crops, outputs_for(wanted, places=True), plan.parsed, skips)
        size = self._engines.size(self._scheduler.level.network)
        to_frame = matrices(crops, size)
        points = landmarks.in_frame(tensors["landmarks"], to_frame)
        temperature = self._engines.emotion_temperature
        values = decode(wanted, tensors, crops, to_frame, points, emotion_temperature=temperature)
        budget.stop_stage("tasks")
        seen = [crop_from_landmarks(face) for face in points]
        looks = [look_of(frame.image, crop) if crop.finite else None for crop in seen]
        sure = face_confidence(tensors).tolist()
        self._tracker.update_landmarks(seen, points5_from_landmarks(points), sure, points, tracks=looked, looks=looks)
        budget.stop_stage("track")
        for row, (track, value, quality) in enumerate(zip(looked, values, tensors[QUALITY].tolist(), strict=True)):
            if track.track_id and not track.predicted:
                if "expression" in value:
                    value["expression"] = self._expressions(track.track_id, value["expression"], at)
                if self._options.smooth:
                    value = self._smoother(track.track_id, value, at, track.crop.side)
                why = reasons_of(quality, frame.image, crops[row], size, tensors["landmarks"][row], value)
                known = {**value, QUALITY: quality, QUALITY_REASONS: why, **_places(value, points[row])}
                self._cache.put(track.track_id, known, at)
        budget.stop_stage("smooth")
        # Enhancing is a stage of its own; it must not make looking seem expensive.
        enhancing = budget.spent_ms.get("enhance", 0.0) / 1e3
        self._scheduler.record(looked, plan.parsed, at, since + enhancing)

    def _look(
        self, frame: Frame, crops: Sequence[Crop], names: tuple[str, ...], parsed: int, skips: list[Skip]
    ) -> Generator[Request, Any, Tensors]:
        """The engine's answers for every crop, by name; the parsing's for the first `parsed` of them only."""
        network, budget = self._scheduler.level.network, self._scheduler.budget
        engine = self._engines.engine(network)
        tensors: Tensors
        on_gpu = cropper(engine) if self._enhancer is None else None
        if on_gpu is not None and on_gpu.crops_itself(len(crops)):
            tensors = yield LookAtFaces(network, crops, names, parsed, frame.image)
        else:
            batch = warp_crops(frame.image, crops, out=self._buffer(network))
            budget.stop_stage("crop")
            rest = faces_stage(len(crops), parsed, network)
            if skip := enhance_small(self._enhancer, frame, crops, batch, budget, rest):
                skips.append(skip)
            tensors = yield LookAtFaces(network, batch, names, parsed)
        budget.stop_stage("engine")
        return tensors

    def _face(self, track: Track, wanted: tuple[str, ...], at: float) -> Face:
        values, ages = self._cache.get(track.track_id, (*wanted, QUALITY, QUALITY_REASONS, PLACE, PARSED_PLACE), at)
        parsed_at, now_at = values.pop(PARSED_PLACE, None), values.pop(PLACE, None)
        if "parsing" in values and ages["parsing"] > ages[PLACE]:  # the landmarks are newer: the mask goes with them
            values["parsing"] = warp_parsing(values["parsing"], parsed_at, now_at)
        ages = {task: age for task, age in ages.items() if task in wanted}
        five = track.points5
        if "landmarks" in values:
            # Smoothed landmarks are the ones shown, so the five points are theirs, not the track's.
            if self._options.smooth and ages["landmarks"] == 0.0:
                five = points5_from_landmarks(values["landmarks"].points)
            shift = self._engines.landmark_shift
            values["landmarks"] = landmarks.to_convention(values["landmarks"], track.crop.side, shift)
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
        self._cache.keep(alive)
        self._smoother.keep(alive)
        self._expressions.keep(alive)
        self._scheduler.keep(self._tracker.tracks)


def look_at_faces(engine: Engine, asked: LookAtFaces) -> Tensors:
    """What an engine makes of crops.

    Raises:
        EngineError: It cannot run.
    """

    image, crops = asked.image, asked.crops

    def run(rows: slice, names: Sequence[str]) -> Tensors:
        if image is None:
            return engine.run(cast("NDArray[np.uint8]", crops[rows]), names)
        return cast(Cropping, engine).run_crops(image, cast("Sequence[Crop]", crops[rows]), names)

    return run_parsing_some(run, engine, asked.names, len(crops), asked.parsed)


def begin_looking(engine: Submitting, asked: LookAtFaces) -> Callable[[], Tensors]:
    """As `look_at_faces`, on an engine that computes every output, without waiting; gives what waits for the answer.

    Raises:
        EngineError: It cannot run.
    """
    names = [name for name in asked.names if asked.parsed or name != parsing.OUTPUT]
    if asked.image is None:
        ticket = engine.submit(cast("NDArray[np.uint8]", asked.crops), names)
    else:
        ticket = engine.submit_crops(asked.image, cast("Sequence[Crop]", asked.crops), names)
    return lambda: without_rest(ticket.collect(), asked.parsed)


def engine_name(engine: Engine) -> str:
    """Of this very frame: an engine may give way to a better one between two frames."""
    return str(engine.describe().get("engine", ""))


def _places(value: dict[str, Any], points: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Where the landmarks are, those shown if any are; and, with a new mask, where they were for it."""
    place = value["landmarks"].points if "landmarks" in value else points
    return {PLACE: place, PARSED_PLACE: place} if "parsing" in value else {PLACE: place}

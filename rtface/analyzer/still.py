"""Faces of stills: nothing is remembered, there is no deadline, and the engine takes a second and a closer look.

Several stills go through stage by stage: a network that was just used runs faster than one that another has pushed out
of the processor's cache, and crops of several pictures fill an engine's call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.believed import CUT_OUT_TRUST, trusted_rows
from rtface.analyzer.crops import enhance_small, matrices, reasons_of
from rtface.analyzer.engines import EngineLadder
from rtface.analyzer.upright import TURNED_QUALITY, doubtful_rows, same_face, turned_rows, turns
from rtface.budget import Budget
from rtface.detect import Detections, Detector, UprightDetector
from rtface.detect.letterbox import CLOSEUP_PX
from rtface.engine import Engine, Tensors
from rtface.engine.tickets import Ticket, begun
from rtface.geometry.crop import (
    Crop,
    crop_from_box,
    crop_from_landmarks,
    points5_from_landmarks,
    warp_crops,
)
from rtface.options import Options
from rtface.tasks import landmarks, parsing
from rtface.tasks.decode import FACE, QUALITY, decode, outputs_for
from rtface.tasks.tta import VIEWS, average, majority_vote, mirrored, unmirrored
from rtface.tasks.wide_parsing import widened, wider
from rtface.track import first_crop
from rtface.types import Face, Frame

STILL_BATCH = 8
"""Faces of a still in one engine call, at least. A crowd takes several calls: each face in a call holds 5 MB."""


class StillFaces(NamedTuple):
    """What a still gave: its faces, and everything that may be one (`Detections.possible_xyxy`)."""

    faces: tuple[Face, ...]
    possible_xyxy: NDArray[np.float32] | None


class _Still(NamedTuple):
    """A picture, and what was found in it, or was `known` before."""

    frame: Frame
    found: Detections
    known: bool

    def cuts(self) -> Iterator[_Cut]:
        for box, points5 in zip(self.found.boxes_xyxy, self.found.points5, strict=True):
            yield _Cut(self.frame, first_crop(box, points5), crop_from_box(box))


class _Cut(NamedTuple):
    """A crop, and the picture that it is of.

    `boxed` is the upright one of the face's box. `turned` tells that the face is not as the detector took it to be.
    """

    frame: Frame
    crop: Crop
    boxed: Crop
    turned: bool = False

    def at(self, crop: Crop) -> _Cut:
        """Another crop of the same picture."""
        return self._replace(crop=crop)


class Stills:
    """The pipeline of stills: detect, crop, look and look again, majority_vote.

    Args:
        options: What to do.
        detector: Finds faces.
        engines: Run the multi-task network.
        number: Which of them looks at stills, 0 = the best.
        enhancer: Super-resolves small faces; None = they stay as they are.
    """

    def __init__(
        self,
        options: Options,
        detector: Detector,
        engines: EngineLadder,
        number: int,
        enhancer: Engine | None,
    ) -> None:
        self._options, self._detector, self._engines = options, detector, engines
        self._number, self._enhancer = number, enhancer

    def faces(
        self, frame: Frame, boxes: Sequence[Any] | NDArray[Any] | None, wanted: tuple[str, ...], budget: Budget
    ) -> StillFaces:
        """The faces of a picture with what is `wanted` of them; nothing wanted = what the detector says.

        `boxes` (N, 4) px are faces that are known already; None = detect them. `budget` keeps the time.

        Raises:
            InputError: A box is not what is expected.
            EngineError: A network cannot run.
        """
        found = self._detector.detect(frame.image, still=True) if boxes is None else Detections.from_boxes(boxes)
        budget.stop_stage("detect")
        if not wanted:
            return self._without_tasks(frame, found, boxes is not None)
        return self._with_tasks([_Still(frame, found, boxes is not None)], wanted, budget)[0]

    def faces_of(self, frames: Sequence[Frame], wanted: tuple[str, ...], budget: Budget) -> list[StillFaces]:
        """The same of several pictures.

        Raises:
            EngineError: A network cannot run.
        """
        detections = [self._detector.detect(frame.image, still=True) for frame in frames]
        budget.stop_stage("detect")
        if not wanted:
            return [self._without_tasks(*pair, False) for pair in zip(frames, detections, strict=True)]
        stills = [_Still(frame, found, False) for frame, found in zip(frames, detections, strict=True)]
        return self._with_tasks(stills, wanted, budget)

    def _without_tasks(self, frame: Frame, found: Detections, known: bool) -> StillFaces:
        """The engine, whose second opinion lets a still's lower bar stand, is not asked."""
        kept = found if known else found[found.scores >= self._options.score_threshold]
        if not known and isinstance(self._detector, UprightDetector):
            kept = self._detector.uprighted(frame.image, kept)
        return StillFaces(tuple(map(_detected, kept.boxes_xyxy, kept.scores, kept.points5)), found.possible_xyxy)

    def _with_tasks(self, stills: Sequence[_Still], wanted: tuple[str, ...], budget: Budget) -> list[StillFaces]:
        options = self._options
        cuts = [cut for still in stills for cut in still.cuts()]
        names = outputs_for(wanted, places=True)
        # Of one picture the first pass has the parsing too: a session without it would take 50 ms to open.
        first = [name for name in names if name != parsing.OUTPUT] if len(stills) > 1 else names
        for _ in range(options.still_refine - 1):
            cuts = self._recut(cuts, first, budget)
        answers: list[Tensors] = []
        if options.still_refine == 1:  # the first look is the last one too
            cuts, seen = self._uprighted(cuts, names, budget)
            answers.append(seen)
        looks = [look.crops([cut.crop for cut in cuts]) for look in VIEWS[: options.still_tta]]
        rest = list(zip(VIEWS, looks, strict=False))[len(answers) :]
        looking = [  # a GPU works on a view while the CPU cuts out the next
            self._begin(
                [cut.at(crop) for cut, crop in zip(cuts, crops, strict=True)], names, budget, mirror=look.mirror
            )
            for look, crops in rest
        ]
        further: list[Ticket] = []
        if "parsing" in wanted and options.still_parsing == "wide":
            squares = [cut.at(wider(cut.crop)) for cut in cuts]
            further = self._begin(squares, (parsing.OUTPUT,), budget, enhanced=False)
        for (look, _), tickets in zip(rest, looking, strict=True):
            answers.append(self._answers(tickets, names, budget, mirror=look.mirror))
        wide = self._answers(further, (parsing.OUTPUT,), budget)
        results, start = [], 0
        for still in stills:
            rows = slice(start, start + len(still.found))
            start = rows.stop
            said = [{name: answer[name][rows] for name in answer} for answer in answers]
            around = wide[parsing.OUTPUT][rows] if wide else None
            results.append(self._typed(still, cuts[rows], [look[rows] for look in looks], said, wanted, around))
        budget.stop_stage("tasks")
        return results

    def _typed(
        self,
        still: _Still,
        cuts: Sequence[_Cut],
        looks: Sequence[list[Crop]],
        answers: Sequence[Tensors],
        wanted: tuple[str, ...],
        around: NDArray[np.uint8] | None,
    ) -> StillFaces:
        """One picture's faces of what the engine answered to each look at each crop, and to one `around` it."""
        found, known = still.found, still.known
        crops = [cut.crop for cut in cuts]
        if not crops:
            return StillFaces((), found.possible_xyxy)
        tensors, to_frame = average(answers), matrices(crops, self._engines.size(self._number))
        points = landmarks.in_frame(tensors["landmarks"], to_frame) if "landmarks" in wanted else None
        temperature = self._engines.emotion_temperature
        values = decode(wanted, tensors, crops, to_frame, points, emotion_temperature=temperature)
        scores = tensors.get(FACE, found.scores) if known else found.scores
        rows = self._believed(still, cuts, tensors[QUALITY]) if not known else range(len(crops))
        if "parsing" in wanted and len(looks) > 1:
            for row in rows:
                maps = [answer["parsing"][row] for answer in answers]
                values[row]["parsing"] = majority_vote(maps, [cut[row] for cut in looks], crops[row])
        reasons = {row: self._reasons(still, crops[row], tensors, values[row], row) for row in rows}
        if around is not None:
            for row in rows:
                others = [crops[other] for other in rows if other != row]
                values[row]["parsing"] = widened(values[row]["parsing"], crops[row], around[row], others)
        for value, crop in zip(values, crops, strict=True):
            if "landmarks" in value:
                value["landmarks"] = landmarks.to_convention(
                    value["landmarks"], crop.side, self._engines.landmark_shift
                )
        five = found.points5 if points is None else points5_from_landmarks(points)
        if points is None and (turned := [row for row in rows if cuts[row].turned]):
            seen = landmarks.in_frame(tensors[landmarks.OUTPUT], to_frame)
            five = found.points5.copy()
            five[turned] = points5_from_landmarks(seen[turned])
        faces = tuple(
            Face(
                box_xyxy=found.boxes_xyxy[row],
                score=float(scores[row]),
                points5=five[row],
                age_ms=dict.fromkeys(wanted, 0.0),
                quality=float(tensors[QUALITY][row]),
                quality_reasons=reasons[row],
                **values[row],
            )
            for row in rows
        )
        return StillFaces(faces, found.possible_xyxy)

    def _reasons(self, still: _Still, crop: Crop, tensors: Tensors, value: dict[str, Any], row: int) -> tuple[str, ...]:
        """Why a face of a picture is of low quality."""
        points = tensors[landmarks.OUTPUT][row] if landmarks.OUTPUT in tensors else None
        quality, size = float(tensors[QUALITY][row]), self._engines.size(self._number)
        return reasons_of(quality, still.frame.image, crop, size, points, value)

    def _believed(self, still: _Still, cuts: Sequence[_Cut], quality: NDArray[np.float32]) -> list[int]:
        """Which of the detector's finds the engine takes for faces as well."""
        bar = self._options.still_min_confidence
        if max(still.frame.image.shape[:2]) <= CLOSEUP_PX:
            bar *= CUT_OUT_TRUST
        rows: list[int] = []
        for row in trusted_rows(still.found, quality, bar):
            cut = cuts[row]
            if cut.turned and quality[row] < TURNED_QUALITY:
                continue
            # Of a turned face the detector may see two parts; turned upright, both are the face.
            if not any((cut.turned or cuts[other].turned) and same_face(cut.crop, cuts[other].crop) for other in rows):
                rows.append(row)
        return rows

    def _recut(self, cuts: list[_Cut], names: Sequence[str], budget: Budget) -> list[_Cut]:
        """Crops of the landmarks seen in `cuts`; a crop that ran away from its face stays as it was."""
        if not cuts:
            return cuts
        cuts, seen = self._uprighted(cuts, names, budget)
        again = [crop_from_landmarks(face) for face in self._points(cuts, seen)]
        return [
            cut.at(new) if new.finite and new.near(cut.crop, centre=0.5, ratio=2.5) else cut
            for cut, new in zip(cuts, again, strict=True)
        ]

    def _uprighted(self, cuts: list[_Cut], names: Sequence[str], budget: Budget) -> tuple[list[_Cut], Tensors]:
        """The crops in which the faces stand upright, and the engine's answers to them."""
        seen = self._look(cuts, names, budget)
        if not cuts:
            return cuts, seen
        doubtful = doubtful_rows(seen[QUALITY], [cut.boxed for cut in cuts])
        some = [cuts[row] for row in doubtful]
        tried = [cut._replace(crop=crop, turned=True) for cut in some for crop in turns(cut.boxed, cut.crop.roll)]
        if not tried:
            return cuts, seen
        better = self._look(tried, names, budget)
        rows, choices = turned_rows(seen[QUALITY][doubtful], better[QUALITY])
        seen = {name: answer.copy() for name, answer in seen.items()}
        for name, answer in seen.items():
            answer[doubtful[rows]] = better[name][choices]
        chosen = dict(zip(doubtful[rows].tolist(), choices.tolist(), strict=True))
        return [tried[chosen[row]] if row in chosen else cut for row, cut in enumerate(cuts)], seen

    def _points(self, cuts: Sequence[_Cut], tensors: Tensors) -> NDArray[np.float32]:
        """The landmarks (N, 68, 2) of what the engine answered to each crop, px of the frame."""
        to_frame = matrices([cut.crop for cut in cuts], self._engines.size(self._number))
        return landmarks.in_frame(tensors[landmarks.OUTPUT], to_frame)

    def _look(self, cuts: Sequence[_Cut], names: Sequence[str], budget: Budget) -> Tensors:
        """The engine's answers for every crop, by name; nothing where there are no crops."""
        return self._answers(self._begin(cuts, names, budget), names, budget)

    def _begin(
        self,
        cuts: Sequence[_Cut],
        names: Sequence[str],
        budget: Budget,
        *,
        mirror: bool = False,
        enhanced: bool = True,
    ) -> list[Ticket]:
        """Have the engine begin to look at every crop; `mirror` shows it mirror images, small ones are `enhanced`."""
        tickets: list[Ticket] = []
        buffer, engine = self._engines.buffer(self._number), self._engines.engine(self._number)
        for start in range(0, len(cuts), len(buffer)):
            some = cuts[start : start + len(buffer)]
            batch = self._warped(some, buffer, budget, self._enhancer if enhanced else None)
            tickets.append(begun(engine, mirrored(batch) if mirror else batch, names))
            budget.stop_stage("engine")
        return tickets

    def _answers(
        self, tickets: Sequence[Ticket], names: Sequence[str], budget: Budget, *, mirror: bool = False
    ) -> Tensors:
        """What the engine has made of them, by name."""
        answers = [ticket.collect() for ticket in tickets]
        budget.stop_stage("engine")
        if mirror:
            size = self._engines.size(self._number)
            answers = [unmirrored(answer, size) for answer in answers]
        if len(answers) < 2:
            return answers[0] if answers else {}
        return {name: np.concatenate([answer[name] for answer in answers]) for name in names}

    def _warped(
        self, cuts: Sequence[_Cut], buffer: NDArray[np.uint8], budget: Budget, enhancer: Engine | None
    ) -> NDArray[np.uint8]:
        """The crops (N, size, size, 3) of one frame after the other, small ones enhanced."""
        at = 0
        for _, group in groupby(cuts, lambda cut: id(cut.frame)):
            some = list(group)
            frame, crops = some[0].frame, [cut.crop for cut in some]
            batch = warp_crops(frame.image, crops, out=buffer[at:])
            budget.stop_stage("crop")
            enhance_small(enhancer, frame, crops, batch, budget)  # a still has no deadline
            at += len(crops)
        return buffer[:at]


def _detected(box: NDArray[Any], score: float, points5: NDArray[Any]) -> Face:
    return Face(box_xyxy=box, score=float(score), points5=points5)

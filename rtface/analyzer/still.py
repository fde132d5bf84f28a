"""Faces of a still: nothing is remembered, there is no deadline, and the engine takes a second and a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.crops import enhance_small, matrices
from rtface.analyzer.engines import EngineLadder
from rtface.budget import Budget
from rtface.detect import Detector, from_boxes
from rtface.detect.letterbox import CLOSEUP_PX
from rtface.engine import Engine, Tensors
from rtface.geometry.crop import (
    Crop,
    crop_from_landmarks,
    points5_from_landmarks,
    warp_crops,
)
from rtface.options import Options
from rtface.tasks import landmarks
from rtface.tasks.decode import FACE, QUALITY, decode, outputs_for
from rtface.tasks.tta import VIEWS, average, majority_vote, mirrored, unmirrored
from rtface.track import first_crop
from rtface.types import Face, Frame

STILL_BATCH = 8
"""Faces of a still in one engine call, at least. A crowd takes several calls: each face in a call holds 5 MB."""

QUALITY_POWER = 0.35
"""How much the engine's opinion counts beside the detector's. At 3 false faces on 16 pictures of objects, powers of .5,
.35 and .25 gave an AP of 68.1, 68.3 and 68.7 on WIDER val's faces of 16 px and more; at none, 66.4, 66.6 and 66.0."""

CUT_OUT_TRUST = 1.25
"""So many times `Options.still_min_confidence` is asked of a picture that is small as a whole: the detector sees it
enlarged, where texture looks like a face."""


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
        self.possible_xyxy: NDArray[np.float32] | None = None  # of the last picture, for blurring

    def faces(
        self, frame: Frame, boxes: Sequence[Any] | NDArray[Any] | None, wanted: tuple[str, ...], budget: Budget
    ) -> tuple[Face, ...]:
        """The faces of a picture with what is `wanted` of them; nothing wanted = what the detector says.

        `boxes` (N, 4) px are faces that are known already; None = detect them. `budget` keeps the time.

        Raises:
            InputError: A box is not what is expected.
            EngineError: A network cannot run.
        """
        options = self._options
        found = self._detector.detect(frame.image, still=True) if boxes is None else from_boxes(boxes)
        self.possible_xyxy = found.possible_xyxy
        budget.stop_stage("detect")
        if not wanted:
            # The engine, whose second opinion lets a still's lower bar stand, is not asked.
            kept = found if boxes is not None else found[found.scores >= options.score_threshold]
            return tuple(map(_detected, kept.boxes_xyxy, kept.scores, kept.points5))
        crops = [first_crop(box, points) for box, points in zip(found.boxes_xyxy, found.points5, strict=True)]
        # One list for all passes: a first one without parsing would need a session of its own, 50 ms to open.
        names = outputs_for(wanted, places=options.still_refine > 1)
        for _ in range(options.still_refine - 1):
            crops = self._recut(frame, crops, names, budget)
        looks = [look.crops(crops) for look in VIEWS[: options.still_tta]]
        answers = [
            self._look(frame, cut, names, budget, mirror=look.mirror) for look, cut in zip(VIEWS, looks, strict=False)
        ]
        tensors, to_frame = average(answers), matrices(crops, self._engines.size(self._number))
        points = landmarks.in_frame(tensors["landmarks"], to_frame) if "landmarks" in wanted and crops else None
        values = decode(wanted, tensors, crops, to_frame, points)
        scores = found.scores if boxes is None else tensors.get(FACE, found.scores)
        rows: Sequence[int] = range(len(crops))
        if boxes is None:
            small = max(frame.image.shape[:2]) <= CLOSEUP_PX
            trust = options.still_min_confidence * (CUT_OUT_TRUST if small else 1.0)
            rows = [row for row in rows if scores[row] * tensors[QUALITY][row] ** QUALITY_POWER >= trust]
        if "parsing" in wanted and len(looks) > 1:
            for row in rows:
                maps = [answer["parsing"][row] for answer in answers]
                values[row]["parsing"] = majority_vote(maps, [cut[row] for cut in looks], crops[row])
        for value, crop in zip(values, crops, strict=True):
            if "landmarks" in value:
                value["landmarks"] = landmarks.to_convention(
                    value["landmarks"], crop.side, self._engines.landmark_shift
                )
        five = found.points5 if points is None else points5_from_landmarks(points)
        faces = tuple(
            Face(
                box_xyxy=found.boxes_xyxy[row],
                score=float(scores[row]),
                points5=five[row],
                age_ms=dict.fromkeys(wanted, 0.0),
                quality=float(tensors[QUALITY][row]),
                **values[row],
            )
            for row in rows
        )
        budget.stop_stage("tasks")
        return faces

    def _recut(self, frame: Frame, crops: list[Crop], names: Sequence[str], budget: Budget) -> list[Crop]:
        """Crops of the landmarks seen in `crops`; a crop that ran away from its face stays as it was."""
        if not crops:
            return crops
        tensors = self._look(frame, crops, names, budget)
        points = landmarks.in_frame(tensors[landmarks.OUTPUT], matrices(crops, self._engines.size(self._number)))
        again = [crop_from_landmarks(face) for face in points]
        return [
            new if new.finite and new.near(old, centre=0.5, ratio=2.5) else old
            for old, new in zip(crops, again, strict=True)
        ]

    def _look(
        self,
        frame: Frame,
        crops: Sequence[Crop],
        names: Sequence[str],
        budget: Budget,
        *,
        mirror: bool = False,
    ) -> Tensors:
        """The engine's answers for every crop, by name; `mirror` asks its mirror image.

        Nothing where there are no crops.
        """
        answers: list[Tensors] = []
        buffer, run = self._engines.buffer(self._number), self._engines.engine(self._number).run
        most = len(buffer)
        for start in range(0, len(crops), most):
            some = crops[start : start + most]
            batch = warp_crops(frame.image, some, out=buffer)
            budget.stop_stage("crop")
            enhance_small(self._enhancer, frame, some, batch, budget)  # a still has no deadline
            size = self._engines.size(self._number)
            answers.append(unmirrored(run(mirrored(batch), names), size) if mirror else run(batch, names))
            budget.stop_stage("engine")
        if len(answers) < 2:
            return answers[0] if answers else {}
        return {name: np.concatenate([answer[name] for answer in answers]) for name in names}


def _detected(box: NDArray[Any], score: float, points5: NDArray[Any]) -> Face:
    return Face(box_xyxy=box, score=float(score), points5=points5)

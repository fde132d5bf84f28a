"""Faces of a still: nothing is remembered, there is no deadline, and the engine takes a second and a closer look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyzer.crops import enhanced, matrices
from rtface.budget import Budget
from rtface.detect import Detector, from_boxes
from rtface.detect.letterbox import CLOSE_UP
from rtface.engine import Engine, Tensors
from rtface.geometry.crop import (
    Crop,
    crop_from_landmarks,
    points5_from_landmarks,
    warp_crops,
)
from rtface.options import Options
from rtface.tasks import landmarks
from rtface.tasks.decode import FACE, QUALITY, outputs_for, typed
from rtface.tasks.tta import LOOKS, combined, mirrored, unmirrored, vote
from rtface.track import first_crop
from rtface.types import Face, Frame

STILL_BATCH = 8
"""Faces of a still in one engine call, at least. A crowd takes several calls: each face in a call holds 5 MB."""

CUT_OUT_TRUST = 1.25
"""So many times `Options.still_trust` is asked of a picture that is small as a whole: the detector sees it enlarged,
where texture looks like a face. Part of a space shuttle had 0.18; pictures at their own size need 0.16."""


class Stills:
    """The pipeline of stills: detect, crop, look and look again, vote.

    Args:
        options: What to do.
        detector: Finds faces.
        engine: Runs the multi-task network.
        enhancer: Super-resolves small faces; None = they stay as they are.
        buffer: (N, S, S, 3) uint8 for the crops of one engine call, of the size that the engine takes; it may be used
            between stills.
        shift: What brings the engine's landmarks to where labels lie (`rtface.models.ModelEntry.landmark_shift`).
    """

    def __init__(
        self,
        options: Options,
        detector: Detector,
        engine: Engine,
        enhancer: Engine | None,
        buffer: NDArray[np.uint8],
        shift: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self._shift = shift
        self._options, self._detector, self._engine = options, detector, engine
        self._enhancer, self._buffer, self._size = enhancer, buffer, buffer.shape[1]

    def faces(
        self, frame: Frame, boxes: Sequence[Any] | NDArray[Any] | None, wanted: tuple[str, ...], budget: Budget
    ) -> tuple[Face, ...]:
        """The faces of a picture with what is `wanted` of them; raises as `Analyzer.image`.

        `boxes` (N, 4) px are faces that are known already; None = detect them. `budget` keeps the time.
        """
        options = self._options
        found = self._detector.detect(frame.image, still=True) if boxes is None else from_boxes(boxes)
        budget.lap("detect")
        crops = [first_crop(box, points) for box, points in zip(found.boxes_xyxy, found.points5, strict=True)]
        # One list for all passes: a first one without parsing would need a session of its own, 50 ms to open.
        names = outputs_for(wanted, places=options.still_passes > 1)
        for _ in range(options.still_passes - 1):
            crops = self._recut(frame, crops, names, budget)
        looks = [look.crops(crops) for look in LOOKS[: options.still_looks]]
        answers = [
            self._look(frame, cut, names, budget, mirror=look.mirror) for look, cut in zip(LOOKS, looks, strict=False)
        ]
        tensors, to_frame = combined(answers), matrices(crops, self._size)
        points = landmarks.in_frame(tensors["landmarks"], to_frame) if "landmarks" in wanted and crops else None
        values = typed(wanted, tensors, crops, to_frame, points)
        scores = found.scores if boxes is None else tensors.get(FACE, found.scores)
        rows: Sequence[int] = range(len(crops))
        if boxes is None:
            small = max(frame.image.shape[:2]) <= CLOSE_UP
            trust = options.still_trust * (CUT_OUT_TRUST if small else 1.0)
            rows = [row for row in rows if scores[row] * tensors[QUALITY][row] ** 0.5 >= trust]
        if "parsing" in wanted and len(looks) > 1:
            for row in rows:
                maps = [answer["parsing"][row] for answer in answers]
                values[row]["parsing"] = vote(maps, [cut[row] for cut in looks], crops[row])
        for value, crop in zip(values, crops, strict=True):
            if "landmarks" in value:
                value["landmarks"] = landmarks.to_convention(value["landmarks"], crop.side, self._shift)
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
        budget.lap("tasks")
        return faces

    def _recut(self, frame: Frame, crops: list[Crop], names: Sequence[str], budget: Budget) -> list[Crop]:
        """Crops of the landmarks seen in `crops`; a crop that ran away from its face stays as it was."""
        if not crops:
            return crops
        tensors = self._look(frame, crops, names, budget)
        points = landmarks.in_frame(tensors[landmarks.OUTPUT], matrices(crops, self._size))
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
        most = len(self._buffer)
        for start in range(0, len(crops), most):
            some = crops[start : start + most]
            batch = warp_crops(frame.image, some, out=self._buffer)
            budget.lap("crop")
            enhanced(self._enhancer, frame, some, batch, budget)  # a still has no deadline
            run = self._engine.run
            answers.append(unmirrored(run(mirrored(batch), names), self._size) if mirror else run(batch, names))
            budget.lap("engine")
        if len(answers) < 2:
            return answers[0] if answers else {}
        return {name: np.concatenate([answer[name] for answer in answers]) for name in names}

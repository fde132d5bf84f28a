"""Expression: blend shapes beside a teacher's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage, arkit_order
from rtface.drawing.tiles import zoomed
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.labels import BLENDSHAPES
from rtface.types import FrameResult

#: A teacher's value above this shows something: of the many that are next to 0 all the time a small error is no feat.
SHOWN = 0.3
LEARNED = [name != "tongueOut" for name in BLENDSHAPES]


class ExpressionMeasure(Measure):
    """Mean absolute error of the 51 blend shapes that MediaPipe's model knows, which are the corpus' labels, end to
    end; and of the values that show something in the teacher's eyes. Over found faces."""

    name = "expression"
    tasks = ("landmarks", "expression")
    options: ClassVar[Mapping[str, Any]] = {"tasks": tasks}

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._apart: list[Array] = []
        self._truths: list[Array] = []
        self._missed = 0

    def accepts(self, row: LabelledImage) -> bool:
        return any(truth.blendshapes52 is not None for truth in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if truth.blendshapes52 is not None]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            if face is None or face.expression is None:
                self._missed += 1
            elif truth.blendshapes52 is not None:
                told = arkit_order(truth.blendshapes52)
                apart = np.abs(face.expression.coefficients - told)
                self._truths.append(told)
                self._apart.append(apart)
                self._offer(sample, face.box_xyxy, face.expression.coefficients, told)

    def _offer(self, sample: Sample, box_xyxy: Array, guess: Array, told: Array) -> None:
        """Keep a face among the worst if it is, by the shape that is furthest off."""
        apart = np.abs(guess - told)
        at = int(apart.argmax())
        caption = f"{BLENDSHAPES[at]} {guess[at]:.2f} for {told[at]:.2f}  {sample.row.id}"
        self.worst.add(float(apart[at]), caption, lambda: zoomed(sample.image, box_xyxy)[0])

    def metrics(self) -> Iterator[Metric]:
        count = len(self._apart)
        apart = np.array(self._apart).reshape(-1, len(BLENDSHAPES))[:, LEARNED]
        truths = np.array(self._truths).reshape(-1, len(BLENDSHAPES))[:, LEARNED]
        shown = truths > SHOWN
        yield Metric("mae", _mean(apart), "mean absolute error of the blend shapes, 0..1", count)
        yield Metric("shown_mae", _mean(apart[shown]), f"the same of values above {SHOWN}", int(shown.sum()))
        for name in ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "browInnerUp", "eyeLookOutLeft"):
            column = [one for one in BLENDSHAPES if one != "tongueOut"].index(name)
            yield Metric(f"{name}_mae", _mean(apart[:, column]), f"of {name}", count)
        missed = 100.0 * self._missed / (self._missed + count) if self._missed + count else float("nan")
        yield Metric("missed_pct", missed, "missed, %", self._missed + count)


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")

"""Gaze: the angle between the line of sight and where the eyes were made to look."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from rtface.datasets.eyes import BLINKS, shows_an_eye
from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.drawing.tiles import zoomed
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.geometry.sight import direction
from rtface.types import Face, FrameResult

#: Of the head: beyond this one eye is hidden by the nose.
YAW_LIMIT_DEG = 30.0
#: Eyes that are more shut than this say nothing; blend shapes of the labels, where they have them.
SHUT = 0.5


class GazeMeasure(Measure):
    """Mean angle between two lines of sight (Zhang et al., "Appearance-Based Gaze Estimation in the Wild", CVPR 2015),
    end to end, over found faces with open eyes whose head is turned by at most 30°; and the mean of yaw and pitch.

    Labels are exact on synthetic heads (`rtface train synth`); there is no set of people in the corpus.
    """

    name = "gaze"
    tasks = ("landmarks", "gaze")
    options: ClassVar[Mapping[str, Any]] = {"tasks": tasks}
    without = ()

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._angles: list[float] = []
        self._shown: list[bool] = []
        self._apart: list[Array] = []
        self._missed = 0

    def accepts(self, row: LabelledImage) -> bool:
        return any(_counts(truth) for truth in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if _counts(truth)]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            if face is None or face.gaze is None or truth.gaze is None:
                self._missed += 1
            else:
                self._add(sample, truth, face)

    def _add(self, sample: Sample, label: FaceLabel, face: Face) -> None:
        assert face.gaze is not None and label.gaze is not None
        truth: Array = np.asarray(label.gaze, np.float64)
        guess = np.array((face.gaze.yaw, face.gaze.pitch))
        angle = math.degrees(math.acos(min(max(float(direction(guess) @ direction(truth)), -1.0), 1.0)))
        self._angles.append(angle)
        self._shown.append(label.mesh478 is not None and shows_an_eye(label, sample.parsing))
        self._apart.append(guess - truth)
        caption = f"{guess[0]:.0f} {guess[1]:.0f} for {truth[0]:.0f} {truth[1]:.0f}  {sample.row.id}"
        self.worst.add(angle, caption, lambda: zoomed(sample.image, face.box_xyxy)[0])

    def metrics(self) -> Iterator[Metric]:
        count, apart = len(self._angles), np.array(self._apart).reshape(-1, 2)
        mean = float(np.mean(self._angles)) if count else math.nan
        yield Metric("angle_deg", mean, f"angle to the truth, heads within ±{YAW_LIMIT_DEG:.0f}° of yaw, °", count)
        shown = [angle for angle, is_shown in zip(self._angles, self._shown, strict=True) if is_shown]
        mean = float(np.mean(shown)) if shown else math.nan
        yield Metric(
            "shown_angle_deg", mean, "of these, with an eye that is seen (no dark glasses, hair, hand), °", len(shown)
        )
        for at, name in enumerate(("yaw", "pitch")):
            error = float(np.abs(apart[:, at]).mean()) if count else math.nan
            bias = float(np.median(apart[:, at])) if count else math.nan
            yield Metric(f"{name}_mae_deg", error, f"{name}, mean absolute error, °", count)
            yield Metric(f"{name}_bias_deg", bias, f"{name}, median of the error, °", count)
        missed = 100.0 * self._missed / (self._missed + count) if self._missed + count else math.nan
        yield Metric("missed_pct", missed, "missed, %", self._missed + count)


def _counts(truth: FaceLabel) -> bool:
    """Whether a face's line of sight is labelled, and can be seen."""
    if truth.gaze is None or (truth.pose is not None and abs(float(truth.pose[0])) > YAW_LIMIT_DEG):
        return False
    return truth.blendshapes52 is None or float(truth.blendshapes52[list(BLINKS)].max()) < SHUT

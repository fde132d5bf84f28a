"""5 points: NME by inter-ocular distance, as MTFL's and iFAN's tables give it."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.metrics import failure_rate, interocular_distance, point_error
from rtface.evaluate.points import offer_points, percent_mean, percent_missed
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.types import Face, FrameResult


class Points5Measure(Measure):
    """Zhang et al., ECCV 2014 (failure: error above 10 %), end to end: the face in the crop is found, not given.

    Rows are those where people set the five points and nothing more (MTFL); the points of 68-point sets are means of
    others and are measured there.
    """

    name = "points5"
    tasks = ("landmarks",)

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._errors: list[float] = []

    def accepts(self, row: LabelledImage) -> bool:
        return any(face.points5_source == "human" and face.landmarks68 is None for face in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if truth.points5_source == "human"]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            if truth.points5 is not None:
                self._add(sample, np.asarray(truth.points5, np.float64), face)

    def _add(self, sample: Sample, truth: Array, face: Face | None) -> None:
        guess = face.points5 if face is not None and np.isfinite(face.points5).all() else None
        error = math.inf if guess is None else point_error(guess, truth, interocular_distance(truth))
        self._errors.append(error)
        offer_points(self.worst, sample, truth, guess, error)

    def metrics(self) -> Iterator[Metric]:
        errors, total = np.array(self._errors), len(self._errors)
        found = int(np.isfinite(errors).sum())
        yield Metric("nme5_pct", percent_mean(self._errors), "5-point NME by inter-ocular distance, %", found)
        median = 100.0 * float(np.median(errors)) if total else math.nan
        yield Metric("nme5_median_pct", median, "its median, %", total)
        yield Metric("failure10_pct", 100.0 * failure_rate(errors, 0.10), "failures (> 10 % or missed), %", total)
        yield Metric("missed_pct", percent_missed(self._errors), "missed, %", total)

"""68 landmarks: NME by outer eye corners, AUC@8, failure rate, missed; and NME without the jaw, and of large faces."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.metrics import area_under_curve, failure_rate, outer_eye_distance, point_error
from rtface.evaluate.points import offer_points, percent_mean, percent_missed
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.types import Face, FrameResult

#: Distance of the outer eye corners in px from which a face is large: Helen's and LFPW's 300-W faces are (99 %), and a
#: quarter of AFW's, whose median is 29 px.
LARGE = 45.0
#: Without the 17 points of the jaw: the 51 inner points of the 300-W challenge.
INNER = slice(17, 68)


class LandmarksMeasure(Measure):
    """The 300-W protocol (Sagonas et al., 2016), end to end: faces are found by the detector, not given.

    NME is the mean over found faces, and again over those that are `LARGE`; AUC and failure rate count a missed face
    as an infinite error. The offset is the median over found faces of how far all points together lie from the labels:
    labels that count pixels from 1, or from a pixel's corner, show there.
    """

    name = "landmarks"
    tasks = ("landmarks",)

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._errors: list[float] = []
        self._inner: list[float] = []
        self._large: list[float] = []
        self._offsets: list[Array] = []  # (2,) px each

    def accepts(self, row: LabelledImage) -> bool:
        return any(truth.landmarks68 is not None for truth in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if truth.landmarks68 is not None]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            if truth.landmarks68 is not None:
                self._add(sample, np.asarray(truth.landmarks68, np.float64), face)

    def _add(self, sample: Sample, truth: Array, face: Face | None) -> None:
        guess = face.landmarks.points if face is not None and face.landmarks is not None else None
        norm = outer_eye_distance(truth)
        error = math.inf if guess is None else point_error(guess, truth, norm)
        self._errors.append(error)
        if norm >= LARGE:
            self._large.append(error)
        if guess is not None:
            self._offsets.append((guess - truth).mean(axis=0))
        self._inner.append(math.inf if guess is None else point_error(guess[INNER], truth[INNER], norm))
        offer_points(self.worst, sample, truth, guess, error)

    def metrics(self) -> Iterator[Metric]:
        errors, total = np.array(self._errors), len(self._errors)
        found = int(np.isfinite(errors).sum())
        yield Metric("nme_pct", percent_mean(self._errors), "NME by outer eye corners, %", found)
        yield Metric("nme_inner51_pct", percent_mean(self._inner), "NME of the inner 51 points, %", found)
        large = int(np.isfinite(self._large).sum())
        yield Metric(
            "nme_large_pct", percent_mean(self._large), f"NME of faces of {LARGE:g} px and more there, %", large
        )
        offset = np.median(self._offsets, axis=0) if found else np.full(2, np.nan)
        yield Metric("offset_x_px", float(offset[0]), "median offset of a face's points from its labels, x, px", found)
        yield Metric("offset_y_px", float(offset[1]), "the same in y, px", found)
        yield Metric("auc8_pct", 100.0 * area_under_curve(errors, 0.08), "AUC up to 8 %, %", total)
        yield Metric("failure8_pct", 100.0 * failure_rate(errors, 0.08), "failures (error > 8 % or missed), %", total)
        yield Metric("missed_pct", percent_missed(self._errors), "missed, %", total)

"""Mesh: how far its 478 points lie from a teacher's, all of them, the irises and the lids."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.points import offer_points, percent_mean, percent_missed
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.types import Face, FrameResult

#: Of the mesh.
OUTER_CORNERS = (33, 263)
PUPILS = (468, 473)
IRISES = slice(468, 478)
LIDS = [*(246, 161, 160, 159, 158, 157, 173, 155, 154, 153, 145, 144, 163, 7)]
LIDS += [*(466, 388, 387, 386, 385, 384, 398, 382, 381, 380, 374, 373, 390, 249)]


class MeshMeasure(Measure):
    """Mean distance of a mesh's points from MediaPipe's, which are the corpus' labels, end to end.

    In % of the distance of the outer eye corners, as the 68 points' NME (Sagonas et al., 2016), and of the pupils'
    distance, as MediaPipe's own model card has it, which gives a figure half again as large. The mean is over found
    faces. It says how well the network learned the teacher, not how right that is.
    """

    name = "mesh"
    tasks = ("landmarks", "mesh")
    options: ClassVar[Mapping[str, Any]] = {"tasks": tasks}
    without = ()

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._errors: dict[str, list[float]] = {"all": [], "pupils": [], "irises": [], "lids": []}

    def accepts(self, row: LabelledImage) -> bool:
        return any(truth.mesh478 is not None for truth in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if truth.mesh478 is not None]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            self._add(sample, np.asarray(truth.mesh478, np.float64), face)

    def _add(self, sample: Sample, truth: Array, face: Face | None) -> None:
        guess = face.mesh.points if face is not None and face.mesh is not None else None
        by_corners, by_pupils = (
            max(float(np.linalg.norm(truth[a] - truth[b])), 1e-6) for a, b in (OUTER_CORNERS, PUPILS)
        )
        apart = np.full(len(truth), math.inf) if guess is None else np.linalg.norm(guess - truth, axis=1)
        error = float(apart.mean()) / by_corners
        self._errors["all"].append(error)
        self._errors["pupils"].append(float(apart.mean()) / by_pupils)
        self._errors["irises"].append(float(apart[IRISES].mean()) / by_corners)
        self._errors["lids"].append(float(apart[LIDS].mean()) / by_corners)
        offer_points(self.worst, sample, truth, guess, error)

    def metrics(self) -> Iterator[Metric]:
        errors, total = self._errors, len(self._errors["all"])
        found = sum(map(math.isfinite, errors["all"]))
        yield Metric("mesh_pct", percent_mean(errors["all"]), "off the teacher's, by outer eye corners, %", found)
        yield Metric("mesh_pupils_pct", percent_mean(errors["pupils"]), "the same by the pupils' distance, %", found)
        yield Metric("irises_pct", percent_mean(errors["irises"]), "of the irises, by outer eye corners, %", found)
        yield Metric("lids_pct", percent_mean(errors["lids"]), "of the lids, by outer eye corners, %", found)
        yield Metric("missed_pct", percent_missed(errors["all"]), "missed, %", total)

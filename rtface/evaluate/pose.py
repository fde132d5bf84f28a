"""Head pose: yaw against a measured pan, and all three angles against labelled ones."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.drawing.tiles import zoomed
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.types import Face, FrameResult

#: FASSEG is measured to ±90°; beyond this the second eye is gone, and so is what frontal networks are made for.
YAW_LIMIT_DEG = 60.0


class PoseMeasure(Measure):
    """Mean absolute error in degrees over found faces (Ruiz et al., "Fine-Grained Head Pose Estimation Without
    Keypoints", CVPR-W 2018, and after it), end to end.

    ``yaw_true`` is the pan at which FASSEG's pictures were taken, 15° steps; the corpus keeps no val part of it, so
    all its rows are measured whatever their split, and the report names them. The corpus' other
    angles are two averaged teachers', good to some degrees only: that figure says how well the network learned them,
    not how right it is. On AFLW2000-3D (``--format aflw2000``) it is the usual test: its angles are a fitted model's,
    those beyond ±99° are left out, and each angle is compared as it stands (Ruiz et al.).
    """

    name = "pose"
    tasks = ("pose",)

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._yaw: dict[float, list[float]] = {}
        self._teacher: list[Array] = []
        self._faces = self._missed = 0

    def accepts(self, row: LabelledImage) -> bool:
        return any(_is_labelled(truth) for truth in row.faces)

    def split_of(self, row: LabelledImage) -> str:
        return row.split if any(truth.yaw_true is not None for truth in row.faces) else "val"

    def add(self, sample: Sample, result: FrameResult) -> None:
        truths = [truth for truth in sample.row.faces if _is_labelled(truth)]
        for truth, face in zip(truths, pair(result.faces, truths), strict=True):
            if truth.yaw_true is None or abs(truth.yaw_true) <= YAW_LIMIT_DEG:
                self._add(sample, truth, face)

    def _add(self, sample: Sample, truth: FaceLabel, face: Face | None) -> None:
        self._faces += 1
        if face is None or face.pose is None:
            self._missed += 1
            return
        if truth.yaw_true is not None:
            error = face.pose.yaw - truth.yaw_true
            self._yaw.setdefault(truth.yaw_true, []).append(error)
            caption = f"{face.pose.yaw:.0f} for {truth.yaw_true:.0f}  {sample.row.id}"
            self.worst.add(abs(error), caption, lambda: zoomed(sample.image, face.box_xyxy)[0])
        elif truth.pose is not None:
            guess = np.array([face.pose.yaw, face.pose.pitch, face.pose.roll])
            self._teacher.append(np.abs(guess - truth.pose))

    def metrics(self) -> Iterator[Metric]:
        errors = [error for at in self._yaw.values() for error in at]
        mean = sum(map(abs, errors)) / len(errors) if errors else math.nan
        yield Metric("yaw_mae_deg", mean, f"yaw error, 0 to ±{YAW_LIMIT_DEG:.0f}°, °", len(errors))
        for yaw, some in sorted(self._yaw.items()):
            bias = sum(some) / len(some)
            yield Metric(f"yaw_bias_at_{yaw:+.0f}_deg", bias, f"mean yaw minus truth at {yaw:+.0f}°, °", len(some))
        angles = np.mean(self._teacher, axis=0).tolist() if self._teacher else [math.nan] * 3
        for name, angle in zip(("yaw", "pitch", "roll"), angles, strict=True):
            yield Metric(f"teacher_{name}_mae_deg", angle, f"{name} against labelled angles, °", len(self._teacher))
        mae = sum(angles) / 3.0
        yield Metric("teacher_mae_deg", mae, "mean of the three, °", len(self._teacher))
        missed = 100.0 * self._missed / self._faces if self._faces else math.nan
        yield Metric("missed_pct", missed, "missed, %", self._faces)


def _is_labelled(truth: FaceLabel) -> bool:
    return truth.yaw_true is not None or truth.pose is not None

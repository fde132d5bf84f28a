"""Emotion: accuracy and mean recall over the 8 classes of FER+."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.measure import Measure
from rtface.evaluate.metrics import accuracy, calibration_error, mean_of_known, recalls
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.labels import EMOTIONS
from rtface.types import FrameResult


def majority(votes: Array) -> int | None:
    """The class with the most of the 10 kinds of votes, the first where several are equal; None where that is
    "unknown" or "no face"."""
    winner = int(np.argmax(votes))
    return winner if winner < len(EMOTIONS) else None


def absolute_majority(votes: Array) -> int | None:
    """The class that the authors' own "majority" mode gives: single votes are struck out, then one class must have
    more than half of the rest; None = the row is left out.

    Barsoum et al., "Training Deep Networks for Facial Expression Recognition with Crowd-Sourced Label Distribution",
    ICMI 2016, and the reader published with it.
    """
    kept = np.where(votes > 1, votes, 0)
    winner = majority(kept)
    return winner if winner is not None and 2 * kept[winner] > kept.sum() else None


class EmotionMeasure(Measure):
    """Plain accuracy against the majority vote, the labelled box or else the whole picture given as the face's box.

    ``mean_recall`` is the mean of the classes' recalls (Barsoum et al. report accuracy; RAF-DB and AffectNet the
    mean of the confusion matrix' diagonal, which is this).
    """

    name = "emotion"
    tasks = ("emotion",)

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._counts = np.zeros((len(EMOTIONS), len(EMOTIONS)), np.int64)
        self._agreed = np.zeros_like(self._counts)
        self._sure: list[tuple[float, bool]] = []  # confidence, right

    def accepts(self, row: LabelledImage) -> bool:
        return row.emotion_votes is not None and majority(row.emotion_votes) is not None

    def boxes(self, sample: Sample) -> Array:
        faces, (height, width) = sample.row.faces, sample.image.shape[:2]
        if len(faces) == 1 and faces[0].box_xyxy is not None and faces[0].box_source != "crop":
            return np.asarray(faces[0].box_xyxy, np.float64)[None]
        return np.array([[0.0, 0.0, width, height]])

    def add(self, sample: Sample, result: FrameResult) -> None:
        votes, emotion = sample.row.emotion_votes, result.faces[0].emotion
        truth = None if votes is None else majority(votes)
        if votes is None or truth is None or emotion is None:
            return
        guess = EMOTIONS.index(emotion.label)
        self._counts[truth, guess] += 1
        self._sure.append((float(emotion.probs[guess]), guess == truth))
        if absolute_majority(votes) is not None:
            self._agreed[truth, guess] += 1
        if guess != truth:
            caption = f"{EMOTIONS[truth]} > {emotion.label} {emotion.probs[guess]:.2f}"
            self.worst.add(float(emotion.probs[guess] - emotion.probs[truth]), caption, lambda: sample.image)

    def metrics(self) -> Iterator[Metric]:
        total, shares = int(self._counts.sum()), 100.0 * recalls(self._counts)
        yield Metric("accuracy_pct", 100.0 * accuracy(self._counts), "accuracy, majority vote, %", total)
        yield Metric("mean_recall_pct", mean_of_known(shares), "mean recall of the 8 classes, %", total)
        sure = np.array(self._sure, np.float64).reshape(-1, 2)
        name = "expected calibration error (15 bins), 0..1"
        yield Metric("calibration_error", calibration_error(sure[:, 0], sure[:, 1]), name, total)
        agreed = int(self._agreed.sum())
        name = "accuracy where most voters agree (FER+ authors' mode), %"
        yield Metric("accuracy_absolute_majority_pct", 100.0 * accuracy(self._agreed), name, agreed)
        for name, share, count in zip(EMOTIONS, shares.tolist(), self._counts.sum(axis=1).tolist(), strict=True):
            yield Metric(f"recall_{name}_pct", share, f"recall of {name}, %", count)

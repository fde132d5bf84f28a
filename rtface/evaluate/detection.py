"""Detection: average precision at IoU 0.5, for faces of at least 16, 24 and 40 px."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.measure import Measure
from rtface.evaluate.metrics import average_precision
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import GUESS_BGR, TRUTH_BGR, HardestCases, boxes
from rtface.geometry.boxes import iou_matrix
from rtface.types import FrameResult

MIN_HEIGHTS_PX = (16, 24, 40)
IOU = 0.5


class DetectionMeasure(Measure):
    """WIDER FACE's measure (Yang et al., CVPR 2016) with faces sorted by height in px of the picture as evaluated.

    A labelled face below the size, or one that the set says to ignore, is an ignore region: what detects it is
    neither right nor wrong. Detections are matched in order of score, each labelled face once, at IoU ≥ 0.5; a second
    detection of a face is wrong.
    AP is over all pictures together, all-point interpolation (see `metrics.average_precision`).
    """

    name = "detection"
    #: The cheapest task: boxes and scores do not depend on it.
    tasks = ("pose",)
    #: A precision-recall curve needs the unsure detections too.
    options: ClassVar[Mapping[str, Any]] = {
        "still_score_threshold": 0.02,
        "still_min_confidence": 0.0,
        "still_max_faces": 500,
        "still_refine": 1,
        "still_tta": 1,
        "min_face_px": 8,
    }

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._scores: dict[int, list[Array]] = {size: [] for size in MIN_HEIGHTS_PX}
        self._hits: dict[int, list[Array]] = {size: [] for size in MIN_HEIGHTS_PX}
        self._truths = dict.fromkeys(MIN_HEIGHTS_PX, 0)

    def accepts(self, row: LabelledImage) -> bool:
        return bool(row.faces) and all(truth.box_source == "human" for truth in row.faces)

    def add(self, sample: Sample, result: FrameResult) -> None:
        labelled = [face.box_xyxy for face in sample.row.faces if face.box_xyxy is not None]
        truths = np.array(labelled, np.float64).reshape(-1, 4)
        ignored = np.asarray(sample.row.ignore_xyxy, np.float64)
        guesses = np.array([face.box_xyxy for face in result.faces], np.float64).reshape(-1, 4)
        scores = np.array([face.score for face in result.faces])
        for size in MIN_HEIGHTS_PX:
            counted, hits = match_detections(guesses, scores, truths, size, ignored)
            self._scores[size].append(scores[counted])
            self._hits[size].append(hits[counted])
            self._truths[size] += int((_heights(truths) >= size).sum())
        self._offer(sample, truths, guesses, scores, ignored)

    def _offer(self, sample: Sample, truths: Array, guesses: Array, scores: Array, ignored: Array) -> None:
        """How bad: the best score of a false detection, plus a point for each face of 24 px or more that was missed."""
        counted, hits = match_detections(guesses, scores, truths, 24, ignored)
        false = scores[counted & ~hits].max(initial=0.0)
        sure = scores >= 0.5
        missed = int((_heights(truths) >= 24).sum()) - int((hits & counted & sure).sum())
        caption = f"false {false:.2f} missed {missed}  {sample.row.id}"

        def draw() -> Array:
            picture: Array = sample.image.copy()
            boxes(picture, truths, TRUTH_BGR)
            boxes(picture, guesses[sure], GUESS_BGR)
            return picture

        self.worst.add(float(false) + missed, caption, draw)

    def metrics(self) -> Iterator[Metric]:
        for size in MIN_HEIGHTS_PX:
            scores, hits = (np.concatenate([*lists[size], []]) for lists in (self._scores, self._hits))
            value = 100.0 * average_precision(scores, hits, self._truths[size])
            yield Metric(f"ap50_{size}px_pct", value, f"AP, faces of {size} px and more, %", self._truths[size])


class ReturnedMeasure(DetectionMeasure):
    """The same of what `rtface.analyze` returns with the user's own options, with precision and recall.

    The curve ends where the score's bar cuts it, so AP is at most the recall.
    """

    name = "returned"
    options: ClassVar[Mapping[str, Any]] = {}
    in_all = False  # the engine looks at every face of a crowd as often as in any still

    def metrics(self) -> Iterator[Metric]:
        yield from super().metrics()
        for size in MIN_HEIGHTS_PX:
            hits, truths = np.concatenate([*self._hits[size], np.zeros(0, bool)]), self._truths[size]
            recall, precision = 100.0 * hits.sum() / max(truths, 1), 100.0 * hits.sum() / max(len(hits), 1)
            yield Metric(f"recall_{size}px_pct", float(recall), f"found of those of {size} px and more, %", truths)
            yield Metric(
                f"precision_{size}px_pct", float(precision), f"labelled of those found, {size} px, %", len(hits)
            )


def match_detections(
    guesses: Array, scores: Array, truths: Array, min_height: float, ignore: Array | None = None
) -> tuple[Array, Array]:
    """Which detections of a picture count, and which of those are right.

    Args:
        guesses: (N, 4) boxes found; ``scores`` (N,).
        truths: (M, 4) labelled boxes.
        min_height: Labelled boxes less high, px, are ignore regions.
        ignore: (K, 4) further ignore regions.

    Returns:
        counted (N,) bool and hits (N,) bool. Not counted: what lies on an ignore region (IoU ≥ 0.5, or more than
        half of it inside) and found no face.
    """
    ignored = _heights(truths) < min_height
    if ignore is not None and len(ignore):
        truths, ignored = np.concatenate([truths, ignore]), np.append(ignored, np.ones(len(ignore), bool))
    overlap = iou_matrix(guesses, truths)
    counted, hits = np.ones(len(guesses), bool), np.zeros(len(guesses), bool)
    free = ~ignored
    for at in np.argsort(-scores, kind="stable"):
        best = np.where(free, overlap[at], 0.0)
        if best.max(initial=0.0) >= IOU:
            free[best.argmax()] = False
            hits[at] = True
        else:
            counted[at] = not _on_ignored(guesses[at], overlap[at], truths, ignored)
    return counted, hits


def _on_ignored(guess: Array, overlap: Array, truths: Array, ignored: Array) -> bool:
    low, high = np.maximum(truths[:, :2], guess[:2]), np.minimum(truths[:, 2:], guess[2:])
    inside = np.maximum(high - low, 0.0).prod(axis=1) / max(float((guess[2:] - guess[:2]).prod()), 1e-9)
    return bool(np.any(ignored & ((overlap >= IOU) | (inside > 0.5))))


def _heights(boxes_xyxy: Array) -> Array:
    heights: Array = boxes_xyxy[:, 3] - boxes_xyxy[:, 1]
    return heights

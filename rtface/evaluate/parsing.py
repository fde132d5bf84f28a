"""Face parsing: F-score of every class and over the components, in the picture's own pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator

import cv2
import numpy as np

from rtface.datasets.labelled import Array, LabelledImage
from rtface.evaluate.match import pair
from rtface.evaluate.measure import Measure
from rtface.evaluate.metrics import confusion, f_scores, mean_of_known, merge
from rtface.evaluate.report import Metric
from rtface.evaluate.samples import Sample
from rtface.evaluate.worst import HardestCases
from rtface.labels import PARSING_CLASSES
from rtface.types import Face, FrameResult, Parsing

CLASSES = len(PARSING_CLASSES)
UNKNOWN = 255

#: The parts of the inner face, left and right together and both lips as one, as tables on face parsing name them.
COMPONENTS: dict[str, list[int]] = {
    "eyes": [4, 5],
    "brows": [6, 7],
    "nose": [2],
    "inner_mouth": [10],
    "lips": [11, 12],
}

#: What runs out of a face's crop.
OUT_OF_CROP = ("background", "hair", "hat", "necklace", "neck", "cloth")

FASSEG_CLASSES = ("background", "skin", "hair_and_brows", "eyes", "nose", "mouth")
#: CelebAMask's 19 classes → FASSEG's 6. Glasses lie on skin; hat, jewellery and cloth are background there.
TO_FASSEG = np.array([0, 1, 4, 1, 3, 3, 2, 2, 1, 1, 5, 5, 5, 2, 0, 0, 0, 1, 0], np.uint8)
#: Ears and neck count as skin or as background there, differently from picture to picture: either is right.
SKIN_OR_BACKGROUND = (8, 9, 17)


def to_picture(parsing: Parsing, height: int, width: int) -> tuple[Array, Array]:
    """The label map (H, W) uint8 in the picture's pixels, nearest neighbour, background outside the crop; and where
    the crop is, (H, W) bool."""
    size, flags = (width, height), cv2.INTER_NEAREST
    labels = cv2.warpAffine(parsing.labels, parsing.to_frame, size, flags=flags)
    inside = cv2.warpAffine(np.ones_like(parsing.labels), parsing.to_frame, size, flags=flags)
    return np.asarray(labels), np.asarray(inside) > 0


def as_fasseg(labels: Array, truth: Array) -> Array:
    """A 19-class map in FASSEG's classes; ears and neck take the truth's side where that is skin or background."""
    coarse = TO_FASSEG[labels]
    either = np.isin(labels, SKIN_OR_BACKGROUND) & (truth <= 1)
    return np.where(either, truth, coarse).astype(np.uint8)


class ParsingMeasure(Measure):
    """F-score over the pixels of all pictures (see `metrics.f_scores`), on masks that people drew.

    FaceLabel 255 is left out. Where no face was found all is background: the classes' pixels count as not found. Hair,
    neck and the like run out of the crop; their second figure judges only pixels inside it. The components'
    score is given twice: the mean of the five F-scores, and the F-score of their pixels together, the "overall" of
    Smith et al. (CVPR 2013) that iFAN's table gives.
    """

    name = "parsing"
    tasks = ("parsing",)

    def __init__(self, worst: HardestCases | None = None) -> None:
        super().__init__(worst)
        self._whole = np.zeros((CLASSES, CLASSES), np.int64)
        self._crop = np.zeros((CLASSES, CLASSES), np.int64)
        self._fasseg = np.zeros((len(FASSEG_CLASSES), len(FASSEG_CLASSES)), np.int64)
        self._pictures = {"celebamask19": 0, "fasseg6": 0}
        self._missed = 0

    def accepts(self, row: LabelledImage) -> bool:
        return row.parsing_scheme in self._pictures and row.parsing_source == "human"

    def split_of(self, row: LabelledImage) -> str:
        # The corpus keeps no val part of FASSEG; the report names the split that was measured.
        return row.split if row.parsing_scheme == "fasseg6" else "val"

    def add(self, sample: Sample, result: FrameResult) -> None:
        if sample.parsing is None or sample.row.parsing_scheme is None:
            return
        truth, face = sample.parsing, _masked_face(sample, result)
        labels, inside = np.zeros_like(truth), np.zeros(truth.shape, bool)
        if face is not None and face.parsing is not None:
            labels, inside = to_picture(face.parsing, *truth.shape)
        else:
            self._missed += 1
        self._pictures[sample.row.parsing_scheme] += 1
        if sample.row.parsing_scheme == "fasseg6":
            self._fasseg += confusion(truth, as_fasseg(labels, truth), len(FASSEG_CLASSES))
            return
        whole = confusion(truth, labels, CLASSES)
        self._whole += whole
        self._crop += confusion(truth[inside], labels[inside], CLASSES)
        score = mean_of_known(component_scores(whole))
        caption = f"F {100.0 * score:.0f}  {sample.row.id}"
        self.worst.add(-score, caption, lambda: _four(sample.image, truth, labels))

    def metrics(self) -> Iterator[Metric]:
        pictures = sum(self._pictures.values())
        if count := self._pictures["celebamask19"]:
            yield from self._celebamask(count)
        if count := self._pictures["fasseg6"]:
            scores = 100.0 * f_scores(self._fasseg)
            yield Metric("fasseg_mean_f", mean_of_known(scores), "FASSEG: mean of 6 classes, F", count)
            for name, score in zip(FASSEG_CLASSES, scores.tolist(), strict=True):
                yield Metric(f"fasseg_{name}_f", score, f"FASSEG: {name.replace('_', ' ')}, F", count)
        missed = 100.0 * self._missed / pictures if pictures else math.nan
        yield Metric("missed_pct", missed, "missed, %", pictures)

    def _celebamask(self, count: int) -> Iterator[Metric]:
        components = 100.0 * component_scores(self._whole)
        yield Metric("components_f", mean_of_known(components), "components: mean of the five, F", count)
        yield Metric("components_overall_f", 100.0 * overall(self._whole), "components: all pixels together, F", count)
        for name, score in zip(COMPONENTS, components.tolist(), strict=True):
            yield Metric(f"component_{name}_f", score, f"component {name.replace('_', ' ')}, F", count)
        whole, crop = 100.0 * f_scores(self._whole), 100.0 * f_scores(self._crop)
        yield Metric("mean_f", mean_of_known(whole[1:]), "mean of the 18 classes but background, F", count)
        for index, name in enumerate(PARSING_CLASSES):
            said = name.replace("_", " ")
            yield Metric(f"{name}_f", float(whole[index]), f"{said}, F", count)
            if name in OUT_OF_CROP:
                yield Metric(f"{name}_in_crop_f", float(crop[index]), f"{said} inside the crop, F", count)


def component_scores(counts: Array) -> Array:
    """(5,) F-scores 0..1 of `COMPONENTS` from a 19-class confusion matrix."""
    return f_scores(merge(counts, list(COMPONENTS.values())))[: len(COMPONENTS)]


def overall(counts: Array) -> float:
    """F-score 0..1 of the components' pixels together: a pixel is right when its component is."""
    coarse = merge(counts, list(COMPONENTS.values()))
    parts = len(COMPONENTS)
    total = coarse[:parts].sum() + coarse[:, :parts].sum()
    return float(2.0 * np.trace(coarse[:parts, :parts]) / total) if total else float("nan")


def _masked_face(sample: Sample, result: FrameResult) -> Face | None:
    """The found face of the one person whose mask it is: who has the largest labelled box, or, where no box is
    labelled, the largest found one; None = missed."""
    labelled = [truth for truth in sample.row.faces if truth.box_xyxy is not None]
    if labelled:
        return pair(result.faces, [max(labelled, key=lambda truth: _area(truth.box_xyxy))])[0]
    return max(result.faces, key=lambda face: _area(face.box_xyxy), default=None)


def _area(box_xyxy: Array | None) -> float:
    return 0.0 if box_xyxy is None else float((box_xyxy[2:] - box_xyxy[:2]).prod())


def _four(image: Array, truth: Array, labels: Array) -> Array:
    """The picture and people's mask; our mask, and ours over the picture."""
    ours = _coloured(labels)
    over = cv2.addWeighted(image, 0.5, ours, 0.5, 0.0)
    return np.vstack([np.hstack([image, _coloured(truth)]), np.hstack([ours, over])])


def _coloured(labels: Array) -> Array:
    hue = (labels.astype(np.int64) * 47 % 180).astype(np.uint8)
    known = (labels != UNKNOWN) & (labels > 0)
    hsv = np.dstack([hue, np.full_like(hue, 180), np.where(known, 230, 0).astype(np.uint8)])
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR))

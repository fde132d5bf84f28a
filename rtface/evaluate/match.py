"""Which found face is which labelled one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel
from rtface.geometry.boxes import iou_matrix
from rtface.types import Face

#: Below this overlap two things are not the same face. Low, because conventions differ: a detector's box runs from
#: forehead to chin, one around landmarks from brows to chin.
MIN_OVERLAP = 0.3


def pair(faces: Sequence[Face], truths: Sequence[FaceLabel]) -> list[Face | None]:
    """For each labelled face the found one that overlaps it most; None = missed.

    Overlap is the IoU of the boxes or of the squares around the points (68 where both have them, else 5), whichever
    is more: a right box with wrong points is a found face with an error, not a missed one. Pairs are made from the
    largest overlap down, and each found face serves once.
    """
    overlap = np.array([[_overlap(face, truth) for face in faces] for truth in truths]).reshape(len(truths), len(faces))
    pairs: list[Face | None] = [None] * len(truths)
    while overlap.size and overlap.max() >= MIN_OVERLAP:
        row, column = np.unravel_index(overlap.argmax(), overlap.shape)
        pairs[int(row)] = faces[int(column)]
        overlap[row, :] = overlap[:, column] = -1.0
    return pairs


def square_around(points: Array) -> Array:
    """(4,) x0 y0 x1 y1: the square about the middle of the points' bounding box, with that box's longer side.

    A square, because the five points of a face in profile lie nearly on a line.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    half = (high - low).max() / 2.0
    middle = (low + high) / 2.0
    return np.concatenate([middle - half, middle + half])


def _overlap(face: Face, truth: FaceLabel) -> float:
    shared = [] if truth.box_xyxy is None else [_iou(face.box_xyxy, truth.box_xyxy)]
    if truth.landmarks68 is not None and face.landmarks is not None:
        shared.append(_iou(square_around(face.landmarks.points), square_around(truth.landmarks68)))
    elif truth.points5 is not None and np.isfinite(face.points5).all():
        shared.append(_iou(square_around(face.points5), square_around(truth.points5)))
    return max(shared, default=0.0)


def _iou(box: Array, other: Array) -> float:
    return float(iou_matrix(np.asarray(box, np.float64)[None], np.asarray(other, np.float64)[None])[0, 0])

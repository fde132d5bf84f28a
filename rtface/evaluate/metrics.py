"""The metrics, in numpy. Each says what it is exactly and where it comes from."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def point_error(points: Array, truth: Array, norm: float) -> float:
    """Normalised mean error of one face: mean Euclidean distance of the points, over ``norm``. A fraction, not %.

    The normalisation is what tells published figures apart; see `outer_eye_distance` and `interocular_distance`.

    Args:
        points: (K, 2) px.
        truth: (K, 2) px.
        norm: Length in px, above 0.

    Raises:
        ValueError: ``norm`` is not above 0, or the shapes differ.
    """
    if not norm > 0.0:
        raise ValueError(f"expected a length above 0 to normalise by, got {norm}")
    if points.shape != truth.shape:
        raise ValueError(f"expected points of shape {truth.shape}, got {points.shape}")
    return float(np.linalg.norm(points - truth, axis=1).mean() / norm)


def outer_eye_distance(points68: Array) -> float:
    """Distance in px of the outer eye corners, points 36 and 45 from 0: the 300-W "inter-ocular" norm.

    Sagonas et al., "300 Faces In-The-Wild Challenge: database and results", Image and Vision Computing 47, 2016.
    """
    return float(np.linalg.norm(points68[36] - points68[45]))


def interocular_distance(points5: Array) -> float:
    """Distance in px of the eye centres, points 0 and 1: the norm of MTFL's 5-point error.

    Zhang et al., "Facial Landmark Detection by Deep Multi-task Learning", ECCV 2014, section 4.
    """
    return float(np.linalg.norm(points5[0] - points5[1]))


def area_under_curve(errors: Array, threshold: float = 0.08) -> float:
    """Area under the cumulative error distribution from 0 to ``threshold``, over ``threshold``: 0..1, more is better.

    The share of faces with an error of at most e, integrated over e exactly: each face adds the part of
    0..threshold that lies above its error. A missed face has error infinity and adds nothing.
    300-W challenge (Sagonas et al., 2016), with the 8 % limit usual for the outer-eye norm.

    Args:
        errors: (N,) errors of all faces, infinity where missed.
    """
    if not len(errors):
        return float("nan")
    return float(np.clip(1.0 - np.asarray(errors, np.float64) / threshold, 0.0, 1.0).mean())


def failure_rate(errors: Array, threshold: float = 0.08) -> float:
    """Share 0..1 of faces with an error above ``threshold``; a missed face (infinity) is a failure."""
    return float((np.asarray(errors) > threshold).mean()) if len(errors) else float("nan")


def confusion(truth: Array, guess: Array, classes: int) -> Array:
    """Counts (classes, classes) int64: row = truth, column = guess; a truth beyond the classes is left out.

    Args:
        truth: (...) class ids; 255 and the like are "unknown".
        guess: (...) class ids below ``classes``.
    """
    known = truth < classes
    pairs = truth[known].astype(np.int64) * classes + guess[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def f_scores(counts: Array) -> Array:
    """F-score of each class from a confusion matrix: 2 TP / (2 TP + FP + FN), 0..1; NaN where there is no truth.

    The counts are those of all pixels of all pictures together, as in Smith et al., "Exemplar-Based Face Parsing",
    CVPR 2013, and iFAN (Li et al., ACM MM 2017): not a mean over pictures.
    """
    hits = np.diag(counts).astype(np.float64)
    there, said = counts.sum(axis=1), counts.sum(axis=0)
    scores: Array = np.full(len(counts), np.nan)
    np.divide(2.0 * hits, there + said, out=scores, where=there > 0)
    return scores


def merge(counts: Array, groups: list[list[int]]) -> Array:
    """The confusion matrix of coarser classes, each a list of fine ones; fine ones in no list become a last class."""
    label = np.full(len(counts), len(groups))
    for coarse, members in enumerate(groups):
        label[members] = coarse
    one_hot = np.eye(len(groups) + 1, dtype=np.int64)[label]
    coarse_counts: Array = one_hot.T @ counts @ one_hot
    return coarse_counts


def accuracy(counts: Array) -> float:
    """Share 0..1 of right answers in a confusion matrix."""
    total = counts.sum()
    return float(np.trace(counts) / total) if total else float("nan")


def recalls(counts: Array) -> Array:
    """Share 0..1 of each class that was recognised; NaN where a class has no truth. Their mean is "mean recall"."""
    there = counts.sum(axis=1)
    shares: Array = np.full(len(counts), np.nan)
    np.divide(np.diag(counts), there, out=shares, where=there > 0)
    return shares


def mean_of_known(values: Array) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def average_precision(scores: Array, hits: Array, truths: int) -> float:
    """Area under the precision-recall curve, 0..1, by all-point interpolation (PASCAL VOC from 2010 on).

    Precision is first made to fall monotonically: at each recall, the best precision at that recall or a higher one.
    Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 111, 2015. Detections of
    equal score enter the curve together, so that their order does not matter.

    Args:
        scores: (N,) of the detections of all pictures.
        hits: (N,) bool, True where a detection is the one that found a face.
        truths: Faces there were to find.
    """
    if not truths:
        return float("nan")
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    ranked, hit = np.asarray(scores)[order], np.asarray(hits, bool)[order]
    last_of_score = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, bool)
    found = np.cumsum(hit)[last_of_score]
    said = np.flatnonzero(last_of_score) + 1
    precision = np.maximum.accumulate((found / said)[::-1])[::-1] if len(said) else np.zeros(0)
    steps = np.diff(np.concatenate([[0], found])) / truths
    return float((steps * precision).sum())


def psnr(picture: Array, truth: Array) -> float:
    """Peak signal-to-noise ratio in dB of a picture (H, W, 3) 0..255 over all channels; infinity where they are equal.

    Raises:
        ValueError: The shapes differ.
    """
    if picture.shape != truth.shape:
        raise ValueError(f"expected a picture of shape {truth.shape}, got {picture.shape}")
    error = np.square(picture.astype(np.float64) - truth).mean()
    return float(10.0 * np.log10(255.0**2 / error)) if error > 0 else float("inf")


def ssim(picture: Array, truth: Array) -> float:
    """Mean structural similarity of two BGR pictures' grey values, -1..1, 1 = equal.

    Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP 13, 2004: Gaussian
    window of 11 px, sigma 1.5, K1 = 0.01, K2 = 0.03; only where the whole window is inside the picture.

    Args:
        picture: (H, W, 3) uint8, at least 11 px each way.
        truth: (H, W, 3) uint8, of the same size.

    Raises:
        ValueError: The shapes differ, or a side is under 11 px.
    """
    if picture.shape != truth.shape or min(truth.shape[:2]) < 11:
        raise ValueError(f"expected two pictures of one shape from 11 px, got {picture.shape} and {truth.shape}")
    a, b = (cv2.cvtColor(one, cv2.COLOR_BGR2GRAY).astype(np.float64) for one in (picture, truth))

    def mean(values: Array) -> Array:
        return np.asarray(cv2.GaussianBlur(values, (11, 11), 1.5))[5:-5, 5:-5]

    mean_a, mean_b = mean(a), mean(b)
    spread_a, spread_b, both = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2, mean(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    alike = (2 * mean_a * mean_b + c1) * (2 * both + c2)
    return float((alike / ((mean_a**2 + mean_b**2 + c1) * (spread_a + spread_b + c2))).mean())


def calibration_error(confidences: Array, hits: Array, bins: int = 15) -> float:
    """Expected calibration error, 0..1: the mean gap between confidence and accuracy over equally wide bins of
    confidence, weighted by how many fall into them (Guo et al., ICML 2017, eq. 5).

    Args:
        confidences: (N,) 0..1 of the answers given.
        hits: (N,) whether they were right.
        bins: How many.
    """
    if not len(confidences):
        return math.nan
    at = np.clip((np.asarray(confidences) * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(at, np.asarray(confidences) - np.asarray(hits, np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))

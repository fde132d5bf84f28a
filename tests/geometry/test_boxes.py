"""Overlap and suppression."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.boxes import iou_matrix, nms, voted

BOXES = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [100, 100, 110, 110], [0, 0, 0, 0]], np.float32)


def test_iou_matrix() -> None:
    overlap = iou_matrix(BOXES, BOXES)
    assert overlap[0, 1] == pytest.approx(50 / 150)
    assert overlap[0, 0] == pytest.approx(1) and overlap[0, 2] == 0
    assert overlap[3, 3] == 0  # an empty box overlaps nothing and divides by nothing
    assert iou_matrix(BOXES[:0], BOXES).shape == (0, 4)


def test_the_best_of_overlapping_boxes_stays() -> None:
    scores = np.array([0.6, 0.9, 0.7, 0.1], np.float32)
    assert nms(BOXES, scores, iou=0.3, most=10).tolist() == [1, 2, 3]
    assert nms(BOXES, scores, iou=0.4, most=10).tolist() == [1, 2, 0, 3]
    assert nms(BOXES, scores, iou=0.3, most=1).tolist() == [1]


def test_a_suppressed_box_suppresses_nothing() -> None:
    chain = np.array([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], np.float32)
    assert nms(chain, np.array([0.9, 0.8, 0.7]), iou=0.3, most=10).tolist() == [0, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_few_boxes(count: int) -> None:
    assert nms(BOXES[:count], np.ones(count), iou=0.5, most=5).tolist() == list(range(count))


def test_against_the_slow_way() -> None:
    rng = np.random.default_rng(3)
    low = rng.uniform(0, 100, (200, 2))
    boxes = np.concatenate([low, low + rng.uniform(5, 40, (200, 2))], axis=1)
    scores = rng.uniform(size=200)
    kept: list[int] = []
    for index in np.argsort(-scores):
        if all(iou_matrix(boxes[[index]], boxes[[k]])[0, 0] <= 0.4 for k in kept):
            kept.append(int(index))
    assert nms(boxes, scores, 0.4, 999).tolist() == kept


def test_neighbours_vote_for_a_kept_box_by_their_scores() -> None:
    boxes = np.array([[0, 0, 10, 10], [2, 0, 12, 10], [8, 0, 18, 10], [50, 50, 60, 60]], np.float32)
    scores = np.array([0.75, 0.25, 0.9, 0.5], np.float32)
    mean = voted(boxes, scores, np.array([0, 3]), iou=0.5)
    assert mean[0] == pytest.approx([0.5, 0, 10.5, 10])  # a quarter of the second; the third is too far
    assert mean[1] == pytest.approx(boxes[3]) and mean.dtype == np.float32


def test_no_box_and_an_empty_box_may_be_voted_for() -> None:
    assert voted(BOXES, np.ones(4), np.zeros(0, np.intp), iou=0.5).shape == (0, 4)
    assert voted(BOXES, np.full(4, 0.5), np.array([3]), iou=0.5).tolist() == [[0, 0, 0, 0]]

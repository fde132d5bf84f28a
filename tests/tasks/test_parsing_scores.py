"""Scores of 19 classes to label maps, against numpy's argmax."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.tasks.parsing_scores import CLASSES, LabelReader


def by_argmax(scores: np.ndarray, side: int) -> np.ndarray:
    n, _, h, w = scores.shape
    classes = scores.reshape(n, side, side, CLASSES, h, w).transpose(0, 4, 1, 5, 2, 3)  # y, line, x, column, class
    last = CLASSES - 1 - classes[..., ::-1].argmax(axis=-1)  # the higher of equals
    return last.reshape(n, side * h, side * w)


@pytest.mark.parametrize(
    ("n", "side", "h", "w"), [(1, 4, 32, 32), (3, 4, 24, 24), (2, 2, 5, 7), (1, 1, 3, 2), (0, 4, 8, 8)]
)
@pytest.mark.parametrize("levels", [256, 3])  # of 3 levels, most of 19 classes are equal
def test_the_largest_class_of_every_pixel(n: int, side: int, h: int, w: int, levels: int) -> None:
    scores = np.random.default_rng(levels).integers(0, levels, (n, side * side * CLASSES, h, w)).astype(np.uint8)
    labels = LabelReader()(scores)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, by_argmax(scores, side))


def test_the_shape_may_change_between_calls_and_answers_stay() -> None:
    reader, rng = LabelReader(), np.random.default_rng(1)
    first, second = (rng.integers(0, 256, (1, 16 * CLASSES, s, s), dtype=np.uint8) for s in (8, 4))
    labels = reader(first)
    kept = labels.copy()
    np.testing.assert_array_equal(reader(second), by_argmax(second, 4))
    np.testing.assert_array_equal(labels, kept)


def test_label_maps_come_back_as_copies() -> None:
    labels = np.random.default_rng(2).integers(0, CLASSES, (2, 16, 16), dtype=np.uint8)
    decoded = LabelReader()(labels)
    np.testing.assert_array_equal(decoded, labels)
    assert not np.shares_memory(decoded, labels)

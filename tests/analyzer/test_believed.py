"""Which finds in a still are faces."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.analyzer.believed import trusted_rows
from rtface.detect import Detections

HEAD = (100.0, 100.0, 160.0, 180.0)


def found(*boxes: tuple[float, ...], scores: tuple[float, ...]) -> Detections:
    count = len(boxes)
    unknown = np.full((count, 5, 2), np.nan, np.float32)
    pose = np.full((count, 3), np.nan, np.float32)
    return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), unknown, pose)


def rows(other: tuple[float, ...], score: float, quality: float) -> list[int]:
    return trusted_rows(found(HEAD, other, scores=(0.8, score)), np.array([0.7, quality], np.float32), bar=0.2)


@pytest.mark.parametrize(
    ("where", "box"),
    [
        ("ear", (82, 115, 98, 145)),
        ("tie", (120, 200, 140, 225)),
        ("bird", (120, 60, 145, 90)),
        ("within", (120, 120, 140, 145)),
    ],
)
def test_a_doubtful_part_of_a_head_is_no_face(where: str, box: tuple[float, ...]) -> None:
    assert rows(box, 0.4, 0.35) == [0]
    assert rows(box, 0.4, 0.6) == [0, 1], "the engine is sure"
    assert rows(box, 0.6, 0.35) == [0, 1], "the detector is sure"


@pytest.mark.parametrize(
    ("where", "box"),
    [
        ("far", (10, 115, 26, 145)),
        ("as large", (40, 105, 95, 180)),
        ("below", (120, 240, 140, 265)),
    ],
)
def test_others_are_left_alone(where: str, box: tuple[float, ...]) -> None:
    assert rows(box, 0.4, 0.35) == [0, 1]


def test_what_is_trusted_too_little_is_none_and_nothing_gives_nothing() -> None:
    assert rows((400, 400, 450, 450), 0.21, 0.3) == [0]
    assert rows((400, 400, 450, 450), 0.6, np.nan) == [0]
    assert trusted_rows(Detections.none(), np.empty(0, np.float32), 0.2) == []

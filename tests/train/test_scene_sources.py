"""Which faces are drawn more often, and what a picture's labels become."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.scene_sources import HARD, build_sources, is_turned, source_picture
from rtface.train.data.scenes import SceneMaker
from tests.train.made import Array, a_picture

NOTHING = np.zeros((0, 4), np.float32)
FRONTAL = np.array(((-15, -15), (15, -15), (0, 3), (-12, 18), (12, 18)), np.float64)


def turned(yaw_deg: float = 0.0, roll_deg: float = 0.0) -> Array:
    """Five points of a head that is turned: the nose stands out by two thirds of the eyes' distance."""
    yaw, roll = np.radians((yaw_deg, roll_deg))
    depth = np.array((0, 0, 20, 0, 0))
    x = FRONTAL[:, 0] * np.cos(yaw) + depth * np.sin(yaw)
    points = np.stack((x, FRONTAL[:, 1]), 1)
    return points @ np.array(((np.cos(roll), np.sin(roll)), (-np.sin(roll), np.cos(roll))))


def picture(*faces: FaceLabel, source: str = "wider", ignore: Array = NOTHING) -> Picture:
    image = np.zeros((200, 200, 3), np.uint8)
    return a_picture("p", source, "train", image, faces, ignore_xyxy=ignore)


def boxed(
    x: float,
    y: float,
    side: float,
    points: Array | None = None,
    box_source: str = "human",
    score: float | None = None,
) -> FaceLabel:
    box = np.array((x, y, x + side, y + side), np.float32)
    return FaceLabel(
        box_xyxy=box,
        box_source=box_source,
        points5=None if points is None else points + box[:2] + side / 2,
        score=score,
    )


@pytest.mark.parametrize(
    ("yaw", "roll", "hard"),
    [(0, 0, False), (15, 0, False), (-15, 20, False), (50, 0, True), (-80, 0, True), (0, 40, True), (10, -140, True)],
)
def test_profiles_and_rolled_faces_are_turned(yaw: float, roll: float, hard: bool) -> None:
    assert is_turned(turned(yaw, roll)) == hard


def test_unknown_points_are_not_turned() -> None:
    assert not is_turned(np.full((5, 2), np.nan))


def test_hard_faces_are_drawn_more_often_and_tiny_ones_seldom() -> None:
    faces = [boxed(0, 0, 40, turned()), boxed(60, 0, 40, turned(70)), boxed(0, 100, 5), boxed(100, 100, 40)]
    overlapping = boxed(120, 100, 40)
    draws = [face.draw for face in source_picture(picture(*faces, overlapping)).faces]
    assert draws[0] == 1 and draws[1] == HARD and draws[2] < 1 and draws[3:] == [HARD, HARD]


def test_a_picture_is_drawn_as_its_hardest_face() -> None:
    easy, hard = picture(boxed(0, 0, 40, turned())), picture(boxed(0, 0, 40, turned(70)))
    make = SceneMaker(build_sources([easy, hard]), 64, np.random.default_rng(0))
    drawn = Counter(make._pick("crowd").draw for _ in range(2000))
    assert drawn[HARD] / drawn[1.0] == pytest.approx(HARD, rel=0.15)
    both = source_picture(picture(boxed(0, 0, 40, turned()), boxed(60, 0, 40, turned(70))))
    chosen = Counter(make._face(both).draw for _ in range(2000))
    assert chosen[HARD] / chosen[1.0] == pytest.approx(HARD, rel=0.15)


def test_boxes_set_by_hand_from_the_brow_weigh_less_than_teachers() -> None:
    faces = [boxed(0, 0, 40, box_source="human"), boxed(60, 0, 40, box_source="teacher")]
    for source in ("mafa", "maks"):
        by_hand, by_teacher = source_picture(picture(*faces, source=source)).faces
        assert by_hand.box_weight < by_teacher.box_weight == 1
    assert all(face.box_weight == 1 for face in source_picture(picture(*faces)).faces)


def test_a_teachers_unsure_face_aims_at_a_lower_score() -> None:
    faces = [boxed(60 * at, 0, 40, box_source="teacher", score=score) for at, score in enumerate((0.4, 0.85, None))]
    assert [face.sure for face in source_picture(picture(*faces)).faces] == pytest.approx([0.5, 1.0, 1.0])


def test_pictures_of_every_set_with_ignore_boxes_are_trusted() -> None:
    mark = np.array(((100, 100, 140, 150),), np.float32)
    source = source_picture(picture(boxed(0, 0, 40), source="scut-head", ignore=mark))
    assert source.trusted and source.group == "people"
    assert source.ignore.tolist() == [[100, 100, 140, 150]]


def test_points_of_a_mask_are_not_learned() -> None:
    five = np.array([(10, 10), (30, 10), (20, 20), (12, 30), (28, 30)], np.float32)
    box = np.array((0, 0, 40, 40), np.float32)
    known = {}
    for source in ("human", "mask"):
        face = FaceLabel(box_xyxy=box, points5=five, points5_source=source)
        picture = a_picture("p", "mine", "train", np.zeros((60, 60, 3), np.uint8), [face])
        (made,) = source_picture(picture).faces
        known[source] = bool(np.isfinite(made.points).all())
    assert known == {"human": True, "mask": False}

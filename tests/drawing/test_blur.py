from __future__ import annotations

import numpy as np
import pytest

import rtface
from rtface.drawing.blur import blur, blur_whole
from rtface.errors import InputError
from rtface.labels import PARSING_CLASSES
from rtface.types import Face, Frame, FrameResult, Parsing

NOISE = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
NOISE.setflags(write=False)
NO_POINTS = np.full((5, 2), np.nan)


def result_of(*boxes, possible=None, **more) -> FrameResult:
    faces = tuple(Face(np.array(box, np.float32), 0.9, NO_POINTS, track_id=1, **more) for box in boxes)
    return FrameResult(Frame(NOISE), faces, possible_xyxy=possible)


def unchanged(picture, box) -> float:
    x0, y0, x1, y1 = (int(value) for value in box)
    return float((picture[y0:y1, x0:x1] == NOISE[y0:y1, x0:x1]).all(axis=2).mean())


def parsing(box, labels) -> Parsing:
    x0, y0, x1, y1 = box
    height, width = labels.shape
    return Parsing(labels, np.array([[(x1 - x0) / width, 0, x0], [0, (y1 - y0) / height, y0]]))


@pytest.mark.parametrize("what", ["face", "head"])
def test_a_face_is_a_few_blocks_and_the_rest_is_as_it_was(what):
    box = (100, 60, 160, 140)
    picture = blur(NOISE, result_of(box), what)
    assert unchanged(picture, box) < 0.01
    assert unchanged(picture, (0, 0, 60, 240)) == 1.0
    assert len(np.unique(picture[60:140, 100:160].reshape(-1, 3), axis=0)) < 60  # of 4800


def test_the_picture_that_was_given_stays_as_it_is():
    before = NOISE.copy()
    blur(NOISE, result_of((100, 60, 160, 140)))
    assert (before == NOISE).all()


def test_a_mask_of_this_frame_is_followed_and_an_oval_beside_it():
    box = (100, 60, 160, 140)
    labels = np.zeros((64, 64), np.uint8)
    labels[:, 48:] = PARSING_CLASSES.index("skin")  # a mask that misses most of the face
    mask = parsing((80, 40, 200, 160), labels)
    picture = blur(NOISE, result_of(box, parsing=mask, age_ms={"parsing": 0.0}))
    assert unchanged(picture, (115, 80, 145, 120)) < 0.01  # the oval
    assert unchanged(picture, (175, 60, 195, 140)) < 0.01  # the mask
    assert unchanged(picture, (60, 40, 78, 160)) == 1.0


@pytest.mark.parametrize("stale", [{"predicted": True}, {"age_ms": {"parsing": 40.0}}])
def test_a_mask_of_another_frame_is_not_trusted(stale):
    mask = parsing((0, 0, 10, 10), np.ones((64, 64), np.uint8))
    picture = blur(NOISE, result_of((100, 60, 160, 140), parsing=mask, **stale))
    assert unchanged(picture, (90, 50, 170, 150)) < 0.01


def test_hair_is_of_the_head_only():
    labels = np.full((64, 64), PARSING_CLASSES.index("hair"), np.uint8)
    mask = parsing((80, 10, 180, 60), labels)
    of = result_of((100, 60, 160, 140), parsing=mask, age_ms={"parsing": 0.0})
    hair = (82, 12, 178, 40)
    assert unchanged(blur(NOISE, of), hair) == 1.0
    assert unchanged(blur(NOISE, of, "head"), hair) < 0.01
    eyes = blur(NOISE, of, classes=["left_eye"])
    assert (eyes == NOISE).all()


def test_whatever_may_be_a_face_is_blurred_too():
    possible = np.array([[20, 20, 44, 50], [300, 200, 330, 250]], np.float32)
    picture = blur(NOISE, result_of(possible=possible))
    assert all(unchanged(picture, np.clip(box, 0, (320, 240) * 2)) < 0.01 for box in possible)


@pytest.mark.parametrize("box", [(-50, -50, -10, -10), (400, 10, 500, 90), (np.nan,) * 4, (5, 5, 5, 5)])
def test_faces_outside_the_picture_do_no_harm(box):
    assert (blur(NOISE, result_of(box)) == NOISE).mean() > 0.99


def test_faces_at_the_edge_are_blurred():
    for box in ((-20, -20, 30, 40), (290, 210, 340, 260)):
        assert unchanged(blur(NOISE, result_of(box)), np.clip(box, 0, (320, 240) * 2)) < 0.01


def test_a_picture_that_nobody_looked_at_is_blurred_whole():
    picture = blur_whole(NOISE)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) <= 12 * 9


def test_it_is_public_and_says_what_is_wrong():
    assert rtface.blur is blur
    with pytest.raises(InputError, match="face, head"):
        blur(NOISE, result_of(), "body")
    with pytest.raises(InputError, match="classes"):
        blur(NOISE, result_of((1, 1, 9, 9), parsing=parsing((0, 0, 9, 9), np.ones((4, 4))), age_ms={}), classes=["x"])
    grey = blur(NOISE[:, :, 0], result_of((100, 60, 160, 140)))
    assert grey.shape == NOISE.shape


def test_a_mask_in_the_frame():
    labels = np.zeros((10, 10), np.uint8)
    labels[2:4, 5:8] = PARSING_CLASSES.index("nose")
    found = Parsing(labels, np.array([[2.0, 0, 100], [0, 2.0, 50]])).in_frame((240, 320, 3))
    assert found.shape == (240, 320) and found.dtype == bool
    rows, columns = np.nonzero(found)
    ends = (rows.min(), rows.max(), columns.min(), columns.max())
    assert ends == pytest.approx((53.5, 56.5, 109.5, 114.5), abs=0.6)  # two px each; ties go either way
    assert not Parsing(labels, np.eye(2, 3)).in_frame((20, 20), ["hair"]).any()


def test_a_small_box_within_a_large_face_does_not_bring_its_details_back():
    large, small = (60, 40, 220, 220), (130, 120, 150, 140)
    for boxes in ((large, small), (small, large)):
        picture = blur(NOISE, result_of(possible=np.array(boxes, np.float32)))
        assert len(np.unique(picture[122:138, 132:148].reshape(-1, 3), axis=0)) <= 4

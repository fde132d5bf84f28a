"""Drawings: pixels change where they should and nowhere else, and axes point the right way."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

import rtface
from rtface.drawing import LAYERS, draw, hud
from rtface.drawing.marks import pose_axes
from rtface.drawing.palette import PARSING_BGRA, track_colour
from rtface.geometry.crop import Crop, crop_to_frame_matrix
from rtface.labels import EMOTIONS, PARSING_CLASSES
from rtface.types import Emotion, Face, FaceMesh, Frame, FrameResult, Gaze, HeadPose, Landmarks, Parsing

GREY = np.full((240, 320, 3), 100, np.uint8)
BOX = np.array([100, 60, 200, 160], np.float32)
CROP = Crop(150, 110, 140)


def face(**more: object) -> Face:
    five = np.array([[130, 100], [170, 100], [150, 115], [135, 135], [165, 135]], np.float32)
    return Face(BOX, 0.9, five, **more)  # type: ignore[arg-type]


def full() -> Face:
    labels = np.zeros((128, 128), np.uint8)
    labels[32:96, 32:96] = 1
    points = np.random.default_rng(0).uniform((120, 80), (180, 150), (68, 2)).astype(np.float32)
    return face(
        track_id=3,
        parsing=Parsing(labels, crop_to_frame_matrix(CROP)),
        landmarks=Landmarks(points, 0.8),
        pose=HeadPose(20, 10, -5),
        emotion=Emotion("fear", np.eye(8, dtype=np.float32)[EMOTIONS.index("fear")]),
        mesh=FaceMesh(np.random.default_rng(1).uniform((120, 80), (180, 150), (478, 2)), 0.8),
        gaze=Gaze(20, 10, 0.2),
    )


def changed(layer: str | None, *faces: Face) -> np.ndarray:
    result = FrameResult(Frame(GREY), faces)
    picture = draw(GREY, result) if layer is None else draw(GREY, result, layers=(layer,))
    assert picture.shape == GREY.shape and picture.dtype == np.uint8
    assert (GREY == 100).all()  # a copy
    return (picture != 100).any(axis=2)


def test_no_face_changes_nothing() -> None:
    assert not changed(None).any()
    assert not changed("landmarks", face()).any()  # no landmarks to draw


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_draws_near_the_face_only(layer: str) -> None:
    mask = changed(layer, full())
    assert mask.sum() > 50
    ys, xs = np.nonzero(mask)
    assert xs.min() > 70 and xs.max() < 290 and ys.min() > 25 and ys.max() < 195


def test_a_line_of_sight_points_where_the_eyes_look() -> None:
    def drawn(yaw: float, pitch: float) -> np.ndarray:
        return np.argwhere(changed("gaze", face(gaze=Gaze(yaw, pitch, 0.0)))).mean(axis=0)[::-1]

    eyes = np.array((150.0, 100.0))  # the middle of the two
    right, up = drawn(40, 0) - eyes, drawn(0, 40) - eyes
    assert right[0] > 10 and abs(right[1]) < 2 and up[1] < -10 and abs(up[0]) < 2


def test_parsing_tints_its_class_and_leaves_the_background() -> None:
    picture = draw(GREY, FrameResult(Frame(GREY), (full(),)), layers=("parsing",))
    blue, green, red, opacity = PARSING_BGRA[1].astype(float)
    expected = 100 * (1 - opacity / 255) + np.array([blue, green, red])
    assert picture[110, 150] == pytest.approx(expected, abs=2)  # the middle of the crop
    assert (picture[45, 85] == 100).all()  # inside the crop, background
    mask = changed("parsing", full())
    ys, xs = np.nonzero(mask)
    # Labels 32 … 95 of 128 are the middle half of the crop's side.
    assert (xs.min(), xs.max(), ys.min(), ys.max()) == pytest.approx((115, 185, 75, 145), abs=2)


def test_the_tint_fades_out_before_the_crop_ends() -> None:
    hair = np.full((128, 128), PARSING_CLASSES.index("hair"), np.uint8)
    one = face(parsing=Parsing(hair, crop_to_frame_matrix(CROP)))
    picture = draw(GREY, FrameResult(Frame(GREY), (one,)), layers=("parsing",)).astype(int)
    tint = np.abs(picture - 100).sum(axis=2)[110, 80:151]  # from the crop's left edge to its middle
    assert tint[0] <= 0.1 * tint[-1] and (np.diff(tint[:14]) >= 0).all()  # a tenth of 140 px
    assert tint[16:] == pytest.approx(tint[-1], abs=3)


def test_every_landmark_is_marked() -> None:
    mask = changed("landmarks", full())
    for x, y in full().landmarks.points.round().astype(int):  # type: ignore[union-attr]
        assert mask[y, x]


def test_a_predicted_face_looks_different() -> None:
    seen, predicted = changed("box", face(track_id=1)), changed("box", face(track_id=1, predicted=True))
    assert not seen[60, 150] and predicted[60, 150]  # corners only, against the whole outline


@pytest.mark.parametrize(
    ("pose", "nose"),
    [
        (HeadPose(30, 0, 0), (0.5, 0)),  # nose to the image's right
        (HeadPose(-30, 0, 0), (-0.5, 0)),
        (HeadPose(0, 30, 0), (0, -0.5)),  # nose up
        (HeadPose(0, -30, 0), (0, 0.5)),
        (HeadPose(30, 0, 90), (0, 0.5)),  # clockwise: what was right is below
    ],
)
def test_axes_point_the_right_way(pose: HeadPose, nose: tuple[float, float]) -> None:
    assert pose_axes(pose)[2] == pytest.approx(nose, abs=1e-6)


def test_axes_are_a_rotation() -> None:
    right, down, nose = (np.array(axis) for axis in pose_axes(HeadPose(33, -21, 14)))
    # Rows of an orthogonal matrix seen in x and y: the three axes' parts make the unit matrix.
    assert np.outer(right, right) + np.outer(down, down) + np.outer(nose, nose) == pytest.approx(np.eye(2))
    straight = pose_axes(HeadPose(0, 0, 0))
    assert np.array(straight) == pytest.approx(np.array([[1, 0], [0, 1], [0, 0]]))


def test_a_face_at_the_edge_and_one_outside() -> None:
    edge = Face(
        np.array([-40, -30, 30, 40], np.float32), 0.9, np.full((5, 2), np.nan), track_id=1, pose=HeadPose(0, 0, 0)
    )
    outside = Parsing(np.ones((128, 128), np.uint8), crop_to_frame_matrix(Crop(-900, 50, 100)))
    assert changed(None, edge, face(parsing=outside)).any()
    tiny = np.zeros((1, 1, 3), np.uint8)
    assert draw(tiny, FrameResult(Frame(tiny), (full(),))).shape == (1, 1, 3)


def test_grey_pictures_become_bgr() -> None:
    assert draw(GREY[:, :, 0], FrameResult(Frame(GREY), (full(),))).shape == GREY.shape


def test_hud_draws_in_its_corner() -> None:
    picture = GREY.copy()
    hud(picture, ["30.0 fps", "12 ms"])
    mask = (picture != 100).any(axis=2)
    assert mask[:20, :20].all() and not mask[80:].any() and not mask[:, 160:].any()
    assert picture.max() > 200  # bright text
    before = picture.copy()
    hud(picture, [])
    assert np.array_equal(before, picture)


def test_hud_is_whole_on_a_small_picture() -> None:
    picture = np.full((240, 320, 3), 100, np.uint8)
    hud(picture, ["landmarks, parsing, emotion, pose: over budget: needs 5.4 ms, 2.7 ms left"])
    lit = np.flatnonzero((picture > 200).any(axis=(0, 2)))
    assert 200 < lit.max() < 318  # no letter at the edge


def test_palette_covers_every_class_and_ids_differ() -> None:
    assert (PARSING_BGRA[1 : len(PARSING_CLASSES), 3] > 0).all() and not PARSING_BGRA[len(PARSING_CLASSES) :].any()
    assert len({track_colour(track_id) for track_id in range(1, 9)}) == 8


def test_rtface_draw_is_a_function_and_its_package_is_plain() -> None:
    package = importlib.import_module("rtface.drawing")
    result = FrameResult(Frame(GREY), (full(),))
    assert rtface.draw is package.draw and not callable(package)
    assert np.array_equal(rtface.draw(GREY, result), draw(GREY, result, layers=LAYERS))

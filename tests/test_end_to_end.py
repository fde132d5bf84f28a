"""The networks that ship on a picture that scikit-image ships: the face's features are where a person marked them."""

from __future__ import annotations

import numpy as np
import pytest

import rtface
from rtface.tasks.parsing import labels_in_frame

skimage_data = pytest.importorskip("skimage.data")

#: Marked by hand in the 512×512 portrait, px: eye left in the image, eye right, nose tip, mouth corners, chin.
FIVE = np.array([[203.5, 101.5], [247, 103.8], [223.5, 127], [202, 139], [245, 141]])
CHIN = np.array([221, 177])
EYE_DISTANCE = 43.6

#: Points of the portrait that are surely what they are called.
KNOWN_PIXELS = {
    "skin": [(224, 86), (195, 125), (253, 125)],
    "nose": [(223, 122)],
    "hair": [(160, 100), (285, 110), (225, 50)],
    "background": [(120, 60)],
}


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.ascontiguousarray(skimage_data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="module")
def face(portrait: np.ndarray) -> rtface.Face:
    result = rtface.analyze(portrait)
    assert len(result.faces) == 1
    return result.faces[0]


def off(points: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Distances in eye distances."""
    return np.linalg.norm(points - truth, axis=-1) / EYE_DISTANCE


def test_landmarks_lie_on_the_features(face: rtface.Face) -> None:
    assert face.landmarks is not None
    assert off(face.points5, FIVE).mean() < 0.08
    assert off(face.landmarks.points[8], CHIN) < 0.25
    assert face.quality is not None and face.quality > 0.3


def test_expression_and_pose(face: rtface.Face) -> None:
    assert face.emotion is not None and face.emotion.label == "happiness"
    assert face.pose is not None
    assert abs(face.pose.yaw) < 15 and abs(face.pose.pitch) < 20 and 0 < face.pose.roll < 8  # her eyes slope by 3°


def test_parsing_names_the_parts(face: rtface.Face) -> None:
    assert face.parsing is not None
    labels = labels_in_frame(face.parsing, 512, 512)
    for name, pixels in KNOWN_PIXELS.items():
        for x, y in pixels:
            around = labels[y - 2 : y + 3, x - 2 : x + 3]  # one pixel at a seam may be anything
            assert (around == rtface.PARSING_CLASSES.index(name)).mean() > 0.8, (name, x, y)
    # The subject's left eye is the right one in the image.
    for name, (x, y) in (("right_eye", FIVE[0]), ("left_eye", FIVE[1])):
        around = labels[round(y) - 4 : round(y) + 5, round(x) - 6 : round(x) + 7]
        assert (around == rtface.PARSING_CLASSES.index(name)).any(), name


def test_turned_and_mirrored_pictures_give_the_turned_and_mirrored_answer(portrait: np.ndarray) -> None:
    mirrored = rtface.analyze(portrait[:, ::-1]).faces[0]
    expected = FIVE[[1, 0, 2, 4, 3]] * (-1, 1) + (511, 0)
    assert off(mirrored.points5, expected).mean() < 0.08
    straight = rtface.analyze(portrait).faces[0]
    assert mirrored.pose is not None and straight.pose is not None
    assert mirrored.pose.yaw == pytest.approx(-straight.pose.yaw, abs=6)
    assert mirrored.pose.roll == pytest.approx(-straight.pose.roll, abs=4)


@pytest.mark.parametrize("shrink", [0.25, 0.5, 3.0])
def test_at_other_sizes(portrait: np.ndarray, shrink: float) -> None:
    import cv2

    resized = cv2.resize(portrait, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    (face,) = rtface.analyze(np.asarray(resized)).faces
    assert off((face.points5 + 0.5) / shrink - 0.5, FIVE).mean() < 0.1


def test_a_cut_out_in_grey_with_its_box(portrait: np.ndarray) -> None:
    import cv2

    cut = cv2.cvtColor(portrait[45:190, 152:297], cv2.COLOR_BGR2GRAY)
    small = cv2.cvtColor(cv2.resize(cut, (48, 48), interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2BGR)
    (face,) = rtface.analyze(np.asarray(small), boxes=[[0, 0, 48, 48]], tasks=("emotion",)).faces
    assert face.emotion is not None and face.emotion.label == "happiness"
    assert rtface.analyze(np.asarray(small)).faces  # and the detector finds it by itself


def test_a_picture_without_a_face(portrait: np.ndarray) -> None:
    assert rtface.analyze(portrait[330:, :200]).faces == ()
    assert rtface.analyze(np.zeros((480, 640, 3), np.uint8)).faces == ()

"""Tensors to typed results."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.crop import Crop, crop_to_frame_matrix
from rtface.labels import EMOTIONS
from rtface.tasks.decode import decode, outputs_for
from rtface.tasks.emotion import emotions
from rtface.tasks.landmarks import in_frame, landmarks, to_convention
from rtface.tasks.parsing import labels_in_frame, parsings
from rtface.tasks.pose import poses
from rtface.types import Parsing


def test_pose_adds_the_crops_roll_and_wraps() -> None:
    tensor = np.array([[10, -20, 5], [0, 0, 30], [0, 0, -30]], np.float32)
    first, second, third = poses(tensor, [-15.0, 170.0, -170.0])
    assert (first.yaw, first.pitch, first.roll) == (10, -20, -10)
    assert second.roll == pytest.approx(-160) and third.roll == pytest.approx(160)


def test_strongest_emotion_gives_the_label() -> None:
    tensor = np.eye(8, dtype=np.float32) * 0.9 + 0.0125
    assert tuple(emotion.label for emotion in emotions(tensor)) == EMOTIONS
    assert emotions(tensor)[2].probs == pytest.approx(tensor[2])
    (sharper,) = emotions(np.float32([[0.5, 0.3, 0.2, 0, 0, 0, 0, 0]]), temperature=0.5)
    assert sharper.label == EMOTIONS[0] and sharper.probs[:3] == pytest.approx(np.array((25, 9, 4)) / 38)


def test_landmarks_go_to_the_frame() -> None:
    crops = [Crop(100, 50, 256), Crop(300, 200, 64, 90)]
    matrices = np.stack([crop_to_frame_matrix(crop) for crop in crops])
    tensor = np.full((2, 68, 2), 63.5, np.float32)
    tensor[1, 0] = (83.5, 63.5)  # 20 crop px to the right, which is 10 frame px down after the turn
    points = in_frame(tensor, matrices)
    assert points[0] == pytest.approx(np.tile([100, 50], (68, 1)))
    assert points[1, 0] == pytest.approx([300, 210])
    found = landmarks(points, np.array([0.25, 0.5]))
    assert [one.score for one in found] == [0.25, 0.5]
    # to the picture's right of there, however the face is turned, as the people set them whom a network learned from
    shown = [to_convention(one, crop.side, (0.01, -0.02)) for one, crop in zip(found, crops, strict=True)]
    assert [one.score for one in shown] == [0.25, 0.5]
    assert shown[0].points == pytest.approx(np.tile([100 + 2.56, 50 - 5.12], (68, 1)))
    assert shown[1].points[0] == pytest.approx([300 + 0.64, 210 - 1.28])
    assert to_convention(found[0], 256, (0.0, 0.0)) is found[0]


def test_typed_holds_what_was_asked_for() -> None:
    tensors = {"emotion": np.eye(8, dtype=np.float32)[:2], "quality": np.ones(2)}
    crops = [Crop(0, 0, 9), Crop(5, 5, 9)]
    matrices = np.stack([crop_to_frame_matrix(crop) for crop in crops])
    first, second = decode(("emotion",), tensors, crops, matrices, None)
    assert list(first) == ["emotion"] and second["emotion"].label == "happiness"
    assert decode(("emotion",), {}, [], matrices[:0], None) == []


def test_outputs_asked_of_the_engine() -> None:
    assert outputs_for(("emotion",), places=False) == ("emotion", "face", "quality")
    assert outputs_for(("emotion",), places=True) == ("landmarks", "emotion", "face", "quality")
    assert outputs_for(("mesh", "gaze"), places=False) == ("mesh", "mesh_score", "gaze", "face", "quality")
    assert outputs_for(("expression",), places=False) == ("expression", "face", "quality")


def test_mesh_and_gaze_go_to_the_frame() -> None:
    crop = Crop(100, 50, 256, 90)
    tensors = {
        "mesh": np.full((1, 478, 2), 63.5, np.float32),
        "mesh_score": np.float32([0.7]),
        "gaze": np.float32([[20.0, 0.0]]),
        "quality": np.ones(1),
    }
    tensors["mesh"][0, 0] = (83.5, 63.5)
    (values,) = decode(("mesh", "gaze"), tensors, [crop], crop_to_frame_matrix(crop)[None], None)
    assert set(values) == {"mesh", "gaze"}
    assert (values["gaze"].yaw, values["gaze"].pitch) == pytest.approx((0, -20))  # right in the crop is down there
    assert values["mesh"].points[0] == pytest.approx([100, 90]) and values["mesh"].score == pytest.approx(0.7)
    assert outputs_for(("landmarks",), places=True) == ("landmarks", "face", "quality")


def disc(crop: Crop, centre: tuple[float, float], radius: float) -> Parsing:
    """A label map with class 13 in a disc of the frame and class 1 around it."""
    matrix = crop_to_frame_matrix(crop)
    ys, xs = np.mgrid[:128, :128]
    x = matrix[0, 0] * xs + matrix[0, 1] * ys + matrix[0, 2] - centre[0]
    y = matrix[1, 0] * xs + matrix[1, 1] * ys + matrix[1, 2] - centre[1]
    labels = np.where(np.hypot(x, y) < radius, 13, 1).astype(np.uint8)
    return parsings(labels[None], matrix[None])[0]


@pytest.mark.parametrize("side", [60.0, 128.0, 420.0])
def test_label_map_in_the_frame(side: float) -> None:
    centre, radius = (330.0, 240.0), 0.3 * side
    labels = labels_in_frame(disc(Crop(320, 236, side, 30), centre, radius), 640, 480)
    ys, xs = np.mgrid[:480, :640]
    wanted = np.hypot(xs - centre[0], ys - centre[1]) < radius
    got = labels == 13
    assert (got & wanted).sum() / (got | wanted).sum() > 0.97
    assert set(np.unique(labels)) == {0, 1, 13}
    inside = np.hypot(xs - 320, ys - 236) < 0.49 * side  # the circle within the crop
    assert (labels[inside] > 0).all()
    assert not labels[np.hypot(xs - 320, ys - 236) > 0.75 * side].any()


def test_large_faces_get_smooth_borders() -> None:
    crop = Crop(320, 240, 448)
    labels = labels_in_frame(disc(crop, (320, 240), 150), 640, 480)
    ys, xs = np.mgrid[:480, :640]
    off = np.abs(np.hypot(xs - 320, ys - 240) - 150)[(labels == 13) != (np.hypot(xs - 320, ys - 240) < 150)]
    assert off.max() < 2.2  # nearest neighbour leaves steps of a crop px, 3.5 here


def test_label_map_of_a_crop_outside_the_frame() -> None:
    parsing = Parsing(np.ones((128, 128), np.uint8), crop_to_frame_matrix(Crop(-500, -500, 100)))
    assert not labels_in_frame(parsing, 64, 48).any()

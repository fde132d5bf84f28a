"""The line of sight: from the crop to the frame, in the mirror, and whether it meets the camera."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.crop import Crop, crop_to_frame_matrix
from rtface.geometry.sight import direction, turned
from rtface.tasks.gaze import gazes, on_camera
from rtface.tasks.tta import average, unmirrored


def test_lines_of_sight_as_vectors() -> None:
    vectors = direction(np.array([(0, 0), (20, 0), (-15, 10), (5, -60), (80, 30)], np.float64))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(5))
    assert vectors[0] == pytest.approx([0, 0, -1]) and vectors[1, 0] > 0 and vectors[3, 1] > 0


@pytest.mark.parametrize("roll", [0.0, 30.0, -75.0, 180.0])
@pytest.mark.parametrize("look", [(0.0, 0.0), (18.0, 7.0), (-80.0, 30.0), (5.0, -60.0)])
def test_a_turn_of_the_image_turns_the_line_of_sight_with_it(roll: float, look: tuple[float, float]) -> None:
    a = np.radians(roll)
    linear = 2.5 * np.array(((np.cos(a), -np.sin(a)), (np.sin(a), np.cos(a))))
    got, before = (direction(np.array(one)) for one in (turned(*look, linear.tolist()), look))
    assert got[:2] == pytest.approx(linear @ before[:2] / 2.5) and got[2] == pytest.approx(before[2])
    back = turned(*turned(*look, linear.tolist()), np.linalg.inv(linear).tolist())
    assert back == pytest.approx(look)


@pytest.mark.parametrize(
    ("told", "crop"), [((20, 5), Crop(100, 50, 0)), ((np.inf, 5), Crop(100, 50, 64)), ((20, np.nan), Crop(9, 9, 64))]
)
def test_a_crop_without_size_and_angles_that_are_no_numbers_end_no_stream(
    told: tuple[float, float], crop: Crop
) -> None:
    (gaze,) = gazes(np.float32([told]), crop_to_frame_matrix(crop)[None])
    assert np.isnan((gaze.yaw, gaze.pitch, gaze.on_camera)).all()


def test_each_face_is_told_in_the_frame_by_its_own_crop() -> None:
    crops = [Crop(100, 50, 256), Crop(300, 200, 64, 90)]
    to_frame = np.stack([crop_to_frame_matrix(crop) for crop in crops])
    first, second = gazes(np.float32([[20, 5], [20, 0]]), to_frame)
    assert (first.yaw, first.pitch) == pytest.approx((20, 5), abs=1e-4)
    assert (second.yaw, second.pitch) == pytest.approx((0, -20), abs=1e-4)
    assert first.on_camera == on_camera(first.yaw, first.pitch)
    # a tensor of fewer rows is of the first crops
    assert len(gazes(np.float32([[20, 5]]), to_frame)) == 1


def test_both_looks_at_a_still_count_the_mirrored_one_turned_back() -> None:
    seen = {"gaze": np.float32([[10.0, 4.0]])}
    mirrored = {"gaze": np.float32([[-14.0, 6.0]])}
    assert average([seen, unmirrored(mirrored)])["gaze"].tolist() == [[12.0, 5.0]]


def test_only_looks_next_to_the_camera_meet_it() -> None:
    assert on_camera(0, 0) > 0.95 and on_camera(12, 0) == pytest.approx(0.5) and on_camera(0, -25) < 0.05
    assert on_camera(1e6, 0) < 1e-12

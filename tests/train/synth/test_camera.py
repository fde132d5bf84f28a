"""Poses and looks keep the signs of rtface.HeadPose, and points land where a pinhole puts them."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.train.synth.camera import Camera, angles, direction_angles, photographed, rotation

NOSE, CROWN = np.array((0.0, 0.0, 1.0)), np.array((0.0, 1.0, 0.0))
CAMERA = Camera(side=100, half_height=2.0, fov=20.0)


def seen(point: np.ndarray, pose: tuple[float, float, float]) -> np.ndarray:
    """Where a point of a turned head lies, px from the picture's middle."""
    return CAMERA.project(rotation(*pose) @ point) - 49.5


def test_yaw_turns_the_nose_to_the_images_right_pitch_up_and_roll_the_crown_clockwise() -> None:
    assert seen(NOSE, (30, 0, 0))[0] > 5
    assert seen(NOSE, (0, 30, 0))[1] < -5
    assert seen(CROWN, (0, 0, 30))[0] > 5


@pytest.mark.parametrize("pose", [(0, 0, 0), (35, -20, 15), (-80, 30, -40)])
def test_angles_are_those_that_the_turn_was_made_of(pose: tuple[float, float, float]) -> None:
    np.testing.assert_allclose(angles(rotation(*pose)), pose, atol=1e-3)


def test_the_origin_lies_in_the_middle_and_a_shift_moves_it_by_its_share_of_the_side() -> None:
    np.testing.assert_allclose(CAMERA.project(np.zeros(3)), (49.5, 49.5), atol=1e-4)
    moved = Camera(100, 2.0, 20.0, (0.1, -0.05)).project(np.zeros(3))
    np.testing.assert_allclose(moved, (59.5, 44.5), atol=1e-4)


def test_half_the_height_at_the_origin_is_half_the_picture_and_what_is_nearer_looks_larger() -> None:
    np.testing.assert_allclose(CAMERA.project(np.array((0.0, 2.0, 0.0))), (49.5, -0.5), atol=1e-4)
    near, far = CAMERA.project(np.array(((1.0, 0.0, 1.0), (1.0, 0.0, -1.0))))
    assert near[0] > far[0]


def test_a_look_into_the_camera_is_zero_and_looks_aside_have_the_poses_signs() -> None:
    looks = np.array(((0, 0, 1), (0.5, 0, 0.5), (0, 0.5, 0.5)))
    np.testing.assert_allclose(direction_angles(looks), ((0, 0), (45, 0), (0, 45)), atol=1e-4)


def test_a_photograph_is_bgr_bytes_and_the_same_for_the_same_seed() -> None:
    light = np.broadcast_to(np.array((0.8, 0.3, 0.1), np.float32), (32, 40, 3))
    pictures = [photographed(np.random.default_rng(7), light, night=False) for _ in range(2)]
    assert pictures[0].dtype == np.uint8 and pictures[0].shape == (32, 40, 3)
    assert np.array_equal(*pictures)
    red_over_blue = [photographed(np.random.default_rng(seed), light, night=False).mean((0, 1)) for seed in range(8)]
    assert np.median([bgr[2] - bgr[0] for bgr in red_over_blue]) > 20

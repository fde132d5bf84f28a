"""Crop geometry: round trips, framing, and pixels that land where the matrices say."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.geometry.crop import (
    CROP_SIZE,
    Crop,
    crop_from_box,
    crop_from_landmarks,
    crop_from_points5,
    crop_to_frame_matrix,
    frame_to_crop_matrix,
    map_points,
    points5_from_landmarks,
    warp_crops,
)

UPRIGHT = np.array([[80, 100], [120, 100], [100, 120], [85, 140], [115, 140]], np.float32)


def turned(points: np.ndarray, degrees: float, about: tuple[float, float] = (100, 120)) -> np.ndarray:
    """Points turned clockwise in the image."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return ((points - about) @ turn.T + about).astype(np.float32)


def test_upright_points_give_an_upright_centred_crop() -> None:
    crop = crop_from_points5(UPRIGHT)
    assert crop.roll == pytest.approx(0)
    assert crop.side == pytest.approx(3.4 * 40)
    assert (crop.x, crop.y) == (pytest.approx(100), pytest.approx(120 - 0.2 * 40))


@pytest.mark.parametrize("degrees", [-170, -90, -30, 15, 90, 179])
def test_crop_turns_with_the_face(degrees: float) -> None:
    base, crop = crop_from_points5(UPRIGHT), crop_from_points5(turned(UPRIGHT, degrees))
    assert crop.roll == pytest.approx(degrees, abs=1e-3)
    assert crop.side == pytest.approx(base.side, rel=1e-5)
    # Whatever the turn, the face lies at the same place inside its crop.
    inside = map_points(frame_to_crop_matrix(crop), turned(UPRIGHT, degrees))
    assert inside == pytest.approx(map_points(frame_to_crop_matrix(base), UPRIGHT), abs=1e-3)


def test_profile_with_eyes_in_one_place_stays_upright() -> None:
    profile = np.array([[100, 100], [100, 100], [80, 120], [95, 140], [95, 140]], np.float32)
    crop = crop_from_points5(profile)
    assert abs(crop.roll) < 10
    assert crop.side == pytest.approx(3.4 * np.hypot(5, 40), rel=1e-5)


def test_one_point_five_times_is_still_a_crop() -> None:
    assert crop_from_points5(np.full((5, 2), 7, np.float32)).finite
    assert not crop_from_points5(np.full((5, 2), np.nan, np.float32)).finite


def test_landmarks_reduce_to_the_same_crop() -> None:
    points = np.zeros((68, 2), np.float32)
    ring = np.array([[-6, 0], [-2, -3], [2, -3], [6, 0], [2, 3], [-2, 3]])
    points[36:42], points[42:48] = UPRIGHT[0] + ring, UPRIGHT[1] + ring
    points[[30, 48, 54]] = UPRIGHT[2:]
    assert points5_from_landmarks(points) == pytest.approx(UPRIGHT, abs=1e-4)
    assert points5_from_landmarks(np.stack([points, points + 5]))[1] == pytest.approx(UPRIGHT + 5, abs=1e-4)
    crop, same = crop_from_landmarks(points), crop_from_points5(UPRIGHT)
    assert (crop.x, crop.y, crop.side, crop.roll) == pytest.approx((same.x, same.y, same.side, same.roll), abs=1e-3)


def test_box_crop_is_centred_and_wider() -> None:
    crop = crop_from_box([10, 20, 50, 100])
    assert (crop.x, crop.y, crop.side, crop.roll) == pytest.approx((30, 60, 96, 0))


@pytest.mark.parametrize("size", [64, CROP_SIZE])
def test_matrices_are_inverse_and_span_the_side(size: int) -> None:
    crop = Crop(31.5, -4.25, 77.0, 23.0)
    there, back = crop_to_frame_matrix(crop, size), frame_to_crop_matrix(crop, size)
    points = np.array([[-0.5, -0.5], [size - 0.5, -0.5], [3, 90]], np.float32)
    assert map_points(back, map_points(there, points)) == pytest.approx(points, abs=1e-3)
    corners = map_points(there, points)
    assert np.hypot(*(corners[1] - corners[0])) == pytest.approx(crop.side, rel=1e-5)


def test_map_points_takes_a_batch() -> None:
    crops = [Crop(10, 20, 64), Crop(50, 5, 300, 45)]
    there = np.stack([crop_to_frame_matrix(c) for c in crops])
    points = np.random.default_rng(0).uniform(0, 127, (2, 68, 2)).astype(np.float32)
    mapped = map_points(there, points)
    assert mapped.shape == (2, 68, 2) and mapped.dtype == np.float32
    assert mapped[1] == pytest.approx(map_points(there[1], points[1]), abs=1e-4)


def test_identity_crop_copies_pixels() -> None:
    image = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    crop = Crop(x=50 + 63.5, y=40 + 63.5, side=128.0)
    assert np.array_equal(warp_crops(image, [crop])[0], image[40:168, 50:178])


@pytest.mark.parametrize("crop", [Crop(300, 260, 90, 20), Crop(320, 240, 330, -35), Crop(300, 250, 600, 10)])
def test_a_dot_lands_where_the_matrix_says(crop: Crop) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    dot = (310, 255)
    cv2.circle(image, dot, 12, (255, 255, 255), -1, cv2.LINE_AA)
    cut = warp_crops(image, [crop])[0][:, :, 0].astype(float)
    rows, columns = np.mgrid[:CROP_SIZE, :CROP_SIZE]
    middle = ((cut * columns).sum() / cut.sum(), (cut * rows).sum() / cut.sum())
    expected = map_points(frame_to_crop_matrix(crop), np.array([dot], np.float32))[0]
    assert middle == pytest.approx(tuple(expected), abs=0.15)


def test_large_faces_do_not_alias() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255  # averaged they are grey; point sampling would show black and white bands
    inner = warp_crops(stripes, [Crop(400, 400, 640)])[0][8:-8, 8:-8]
    assert abs(inner.astype(int) - 128).max() < 40


def test_outside_is_black_and_the_buffer_is_reused() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    buffer = np.full((3, CROP_SIZE, CROP_SIZE, 3), 77, np.uint8)
    crops = [Crop(20, 20, 60), Crop(5000, 5000, 64), Crop(5000, 5000, 2000)]
    cut = warp_crops(image, crops, out=buffer)
    assert cut.base is buffer and not cut[1:].any()
    assert (cut[0, 64, 64] == 200).all() and not cut[0, :4].any()
    assert warp_crops(image, crops[:1], out=buffer).shape == (1, CROP_SIZE, CROP_SIZE, 3)
    assert warp_crops(image, []).shape == (0, CROP_SIZE, CROP_SIZE, 3)


def test_one_pixel_picture() -> None:
    assert warp_crops(np.full((1, 1, 3), 9, np.uint8), [Crop(0, 0, 1)]).shape == (1, CROP_SIZE, CROP_SIZE, 3)
    assert warp_crops(np.full((1, 1, 3), 9, np.uint8), [Crop(0, 0, 900)]).shape == (1, CROP_SIZE, CROP_SIZE, 3)

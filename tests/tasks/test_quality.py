"""Why a face is of low quality: each reason by what tells of it, and none of what does not."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.labels import PARSING_CLASSES, QUALITY_REASONS
from rtface.tasks.quality import (
    SMALL_SIDE,
    TURNED_PITCH,
    TURNED_YAW,
    lower_face_seen,
    nose_aside,
    quality_reasons,
    sharpness,
)
from rtface.testing import Painted, paint
from rtface.types import HeadPose

FRONTAL = HeadPose(0.0, 0.0, 0.0)
SIDE = 3 * SMALL_SIDE


def textured(seed: int = 0) -> NDArray[np.uint8]:
    """A crop with edges at every size."""
    rng, crop = np.random.default_rng(seed), np.zeros((128, 128, 3), np.float64)
    for size in (4, 8, 16, 32, 64, 128):
        crop += cv2.resize(rng.normal(0, 12, (size, size, 3)), (128, 128), interpolation=cv2.INTER_CUBIC)
    return np.clip(crop + 128, 0, 255).astype(np.uint8)


def points(nose: float = 63.5) -> NDArray[np.float32]:
    """68 points of an upright face; its nose's tip at x = `nose`."""
    found = np.full((68, 2), 63.5, np.float32)
    found[36:42], found[42:48] = (44, 50), (83, 50)
    found[30], found[48], found[54] = (nose, 66), (50, 86), (77, 86)
    angles = np.linspace(0, np.pi, 17)
    found[:17] = np.stack([63.5 - 38 * np.cos(angles), 60 + 45 * np.sin(angles)], axis=1)
    found[31], found[35] = (56, 68), (71, 68)
    return found


def test_a_sharp_large_frontal_face_leaves_that_something_hides_it() -> None:
    assert quality_reasons(textured(), SIDE, points(), FRONTAL) == ("covered",)
    assert quality_reasons(textured(), SIDE) == ("covered",)  # nothing else is known


def test_few_pixels_are_small() -> None:
    assert quality_reasons(textured(), SMALL_SIDE - 0.5, points(), FRONTAL) == ("small",)
    assert "small" not in quality_reasons(textured(), SMALL_SIDE, points(), FRONTAL)


def test_blur_is_told_whatever_the_light() -> None:
    crop = textured()
    blurred = cv2.GaussianBlur(crop, (0, 0), 8)
    assert quality_reasons(blurred, SIDE, points(), FRONTAL) == ("blurred",)
    assert sharpness(blurred, SIDE) < 0.2 * sharpness(crop, SIDE)
    dim = (128 + (crop.astype(np.float64) - 128) / 3 - 60).astype(np.uint8)
    assert sharpness(dim, SIDE) == pytest.approx(sharpness(crop, SIDE), rel=0.05)
    assert sharpness(np.full((128, 128, 3), 90, np.uint8), SIDE) == 0.0


@pytest.mark.parametrize("turn", [0, 45, 90])
def test_a_face_that_moves_in_any_direction_is_blurred(turn: float) -> None:
    crop, line = textured(), np.zeros((31, 31), np.float32)
    line[15] = 1 / 31
    kernel = cv2.warpAffine(line, cv2.getRotationMatrix2D((15, 15), turn, 1), (31, 31))
    moved = cv2.filter2D(crop, -1, kernel / kernel.sum())
    assert quality_reasons(moved, SIDE, points(), FRONTAL) == ("blurred",)


def test_a_small_face_is_not_called_blurred_for_having_few_pixels() -> None:
    few = cv2.resize(cv2.resize(textured(), (32, 32), interpolation=cv2.INTER_AREA), (128, 128))
    assert quality_reasons(few, 32.0, points(), FRONTAL) == ("small",)
    assert quality_reasons(cv2.GaussianBlur(few, (0, 0), 12), 32.0, points(), FRONTAL) == ("small", "blurred")


@pytest.mark.parametrize("size", [96, 128])
def test_sharpness_does_not_hang_on_the_networks_size(size: int) -> None:
    crop = cv2.resize(textured(), (size, size), interpolation=cv2.INTER_AREA)
    assert sharpness(crop, SIDE) == pytest.approx(sharpness(textured(), SIDE), rel=0.3)


def test_turned_by_the_pose_or_else_by_the_points() -> None:
    for pose in (HeadPose(TURNED_YAW + 1, 0, 0), HeadPose(-TURNED_YAW - 1, 0, 0), HeadPose(0, -TURNED_PITCH - 1, 0)):
        assert quality_reasons(textured(), SIDE, points(), pose) == ("turned",)
    assert quality_reasons(textured(), SIDE, points(), HeadPose(TURNED_YAW - 1, TURNED_PITCH - 1, 80)) == ("covered",)
    assert quality_reasons(textured(), SIDE, points(nose=95)) == ("turned",)
    assert quality_reasons(textured(), SIDE, points(nose=32)) == ("turned",)
    assert quality_reasons(textured(), SIDE, points(nose=95), FRONTAL) == ("covered",)  # the pose knows better


def test_the_nose_aside_is_of_the_face_not_of_the_picture() -> None:
    face = points(nose=81.5)
    assert nose_aside(face) == pytest.approx(0.5)
    turn = np.array(((0.0, -1.0), (1.0, 0.0)), np.float32)
    assert nose_aside(3 * face @ turn.T) == pytest.approx(0.5)
    assert nose_aside(np.zeros((68, 2), np.float32)) == 0.0


@pytest.mark.parametrize("size", [128, 256])
def test_a_lower_face_without_skin_is_covered_beside_what_else_is_found(size: int) -> None:
    skin, cloth = (PARSING_CLASSES.index(name) for name in ("skin", "cloth"))
    bare = np.full((size, size), skin, np.uint8)
    masked = bare.copy()
    masked[size // 2 :] = cloth
    assert lower_face_seen(points(), bare, 128) == 1.0
    assert lower_face_seen(points(), masked, 128) < 0.1
    assert quality_reasons(textured(), SMALL_SIDE / 2, points(), FRONTAL, bare) == ("small",)
    assert quality_reasons(textured(), SMALL_SIDE / 2, points(), FRONTAL, masked) == ("small", "covered")


def test_reasons_stand_in_their_fixed_order() -> None:
    blurred = cv2.GaussianBlur(textured(), (0, 0), 8)
    cloth = np.full((128, 128), PARSING_CLASSES.index("cloth"), np.uint8)
    every = ("small", "blurred", "turned", "covered")
    assert every == QUALITY_REASONS
    assert quality_reasons(blurred, 20.0, points(), HeadPose(80, 0, 0), cloth) == every[:3]  # no mask of blurred faces
    assert quality_reasons(textured(), 20.0, points(), HeadPose(80, 0, 0), cloth) == ("small", "turned", "covered")


def test_a_painted_face_is_judged_without_an_error() -> None:
    crop = paint([Painted(64, 64, 20)], width=128, height=128)
    assert set(quality_reasons(crop, 128.0, points())) <= set(QUALITY_REASONS)

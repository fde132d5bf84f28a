"""The motion that a face's points share, and masks that go along with it."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from rtface.geometry.similarity import fit_similarity
from rtface.smooth import head_speed, warp_parsing
from rtface.smooth.head_motion import CALM, LIVELY, STIRRING
from rtface.types import Parsing

POINTS = np.random.default_rng(0).uniform(100, 200, (68, 2)).astype(np.float32)


def turned(points: np.ndarray, angle: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    c, s = scale * math.cos(math.radians(angle)), scale * math.sin(math.radians(angle))
    return points @ np.array(((c, s), (-s, c))) + shift


def test_a_similarity_is_found_again() -> None:
    matrix = fit_similarity(POINTS, turned(POINTS, 25.0, 1.3, (40.0, -7.0)))
    assert matrix[:, :2] == pytest.approx(1.3 * cv2.getRotationMatrix2D((0, 0), -25.0, 1.0)[:, :2], abs=1e-4)
    assert matrix[:, 2] == pytest.approx((40.0, -7.0), abs=1e-2)


def test_of_points_that_move_differently_the_best_is_taken() -> None:
    noisy = turned(POINTS, -10.0, 0.9, (5.0, 5.0)) + np.random.default_rng(1).normal(0, 2, POINTS.shape)
    matrix = fit_similarity(POINTS, noisy)
    left = np.square(POINTS @ matrix[:, :2].T + matrix[:, 2] - noisy).sum()
    for nudge in ((0.01, 0, 0), (0, 0.01, 0), (0, 0, 0.5)):
        other = matrix + np.array(((nudge[0], -nudge[1], nudge[2]), (nudge[1], nudge[0], 0)))
        assert np.square(POINTS @ other[:, :2].T + other[:, 2] - noisy).sum() > left
    assert np.isfinite(fit_similarity(POINTS[:1].repeat(68, axis=0), POINTS)).all()  # all in one place


def test_a_mask_goes_where_the_landmarks_went() -> None:
    mask = Parsing(np.arange(128 * 128, dtype=np.uint32).reshape(128, 128) % 19, np.array(((2.0, 0, 30), (0, 2.0, 40))))
    later = warp_parsing(mask, POINTS, turned(POINTS, 30.0, 1.5, (-20.0, 8.0)))
    assert np.array_equal(later.labels, mask.labels)
    for corner in ((0.0, 0.0), (127.0, 64.0)):
        before = mask.to_frame @ (*corner, 1.0)
        assert later.to_frame @ (*corner, 1.0) == pytest.approx(turned(before, 30.0, 1.5, (-20.0, 8.0)), abs=0.02)


def test_speeds_of_a_face_that_shifts_turns_and_grows_are_shared() -> None:
    face = (POINTS - POINTS.mean(axis=0)) / 150.0
    for velocity in (
        np.full_like(face, 0.3),
        np.stack((-face[:, 1], face[:, 0]), axis=1),
        0.5 * face,
    ):
        speeds = head_speed(velocity, face)
        assert speeds.shape == (68, 1) and np.ptp(speeds) < 1e-6
        assert speeds[0, 0] + CALM == pytest.approx(math.sqrt(np.square(velocity).sum(axis=1).mean()), rel=1e-4)


def test_a_point_that_moves_against_the_face_is_quicker_by_what_is_more_than_noise() -> None:
    face = (POINTS - POINTS.mean(axis=0)) / 150.0
    velocity = np.zeros_like(face)
    velocity[62] = (0.0, 1.0)
    speeds = head_speed(velocity, face)[:, 0]
    assert speeds[62] / LIVELY == pytest.approx(1.0 - STIRRING, abs=0.2)
    assert np.delete(speeds, 62).max() < 0.05
    assert np.ptp(head_speed(0.02 * np.random.default_rng(2).normal(size=(68, 2)), face)) < 0.03 * LIVELY

"""Every metric against a case worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtface.evaluate import metrics


def test_point_error_is_mean_distance_over_norm() -> None:
    truth = np.zeros((2, 2))
    points = np.array([[3.0, 4.0], [0.0, 1.0]])  # 5 px and 1 px off
    assert metrics.point_error(points, truth, norm=10.0) == pytest.approx(0.3)


def test_point_error_refuses_no_length_and_other_shapes() -> None:
    with pytest.raises(ValueError, match="above 0"):
        metrics.point_error(np.zeros((2, 2)), np.zeros((2, 2)), 0.0)
    with pytest.raises(ValueError, match="shape"):
        metrics.point_error(np.zeros((1, 2)), np.zeros((2, 2)), 1.0)


def test_norms_take_the_points_that_they_say() -> None:
    points68 = np.zeros((68, 2))
    points68[36], points68[45] = (10.0, 0.0), (40.0, 40.0)
    assert metrics.outer_eye_distance(points68) == pytest.approx(50.0)
    points5 = np.array([[0.0, 0.0], [6.0, 8.0], [9.0, 9.0], [0.0, 0.0], [0.0, 0.0]])
    assert metrics.interocular_distance(points5) == pytest.approx(10.0)


def test_area_under_curve_is_the_integral_of_the_error_distribution() -> None:
    # Errors 0, 4 %, 8 % and missed: the share found is 1/4 up to 4 %, then 2/4; over 8 % that is 3/8.
    errors = np.array([0.0, 0.04, 0.08, math.inf])
    assert metrics.area_under_curve(errors, 0.08) == pytest.approx(0.375)
    grid = np.linspace(0.0, 0.08, 80001)
    curve = (errors[None, :] <= grid[:, None]).mean(axis=1)
    assert metrics.area_under_curve(errors, 0.08) == pytest.approx(curve.mean(), abs=1e-4)
    assert math.isnan(metrics.area_under_curve(np.array([])))


def test_failure_rate_counts_missed_and_not_the_limit_itself() -> None:
    assert metrics.failure_rate(np.array([0.01, 0.08, 0.0801, math.inf]), 0.08) == 0.5


def test_confusion_leaves_unknown_truth_out() -> None:
    truth = np.array([[0, 0, 1], [2, 255, 1]], np.uint8)
    guess = np.array([[0, 1, 1], [0, 2, 1]], np.uint8)
    assert metrics.confusion(truth, guess, 3).tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]


def test_f_score_of_a_class_without_truth_is_not_a_number() -> None:
    counts = np.array([[1, 1, 0], [0, 2, 0], [0, 0, 0]])
    scores = metrics.f_scores(counts)
    assert scores[0] == pytest.approx(2 / 3)  # 1 hit, none wrong, 1 not found
    assert scores[1] == pytest.approx(4 / 5)  # 2 hits, 1 wrong
    assert math.isnan(scores[2])
    assert metrics.mean_of_known(scores) == pytest.approx((2 / 3 + 4 / 5) / 2)


def test_merge_forgives_confusion_within_a_group() -> None:
    counts = np.array([[5, 0, 0, 0], [0, 1, 2, 0], [0, 3, 4, 1], [1, 0, 0, 6]])
    # Groups {1, 2} and {3}; class 0 is the rest.
    assert metrics.merge(counts, [[1, 2], [3]]).tolist() == [[10, 1, 0], [0, 6, 1], [0, 0, 5]]


def test_accuracy_and_recalls() -> None:
    counts = np.array([[8, 2], [1, 1]])
    assert metrics.accuracy(counts) == pytest.approx(0.75)
    assert metrics.recalls(counts).tolist() == pytest.approx([0.8, 0.5])
    assert math.isnan(metrics.accuracy(np.zeros((2, 2))))


def test_average_precision_by_hand() -> None:
    # Ranked: hit, miss, hit; 4 faces. Precision 1, 1/2, 2/3 → monotone 1, 2/3, 2/3; recall 1/4 then 2/4.
    value = metrics.average_precision(np.array([0.5, 0.9, 0.7]), np.array([True, True, False]), truths=4)
    assert value == pytest.approx(0.25 * 1.0 + 0.25 * 2 / 3)


def test_average_precision_does_not_depend_on_the_order_of_equal_scores() -> None:
    scores = np.array([0.5, 0.5])
    first = metrics.average_precision(scores, np.array([True, False]), 1)
    last = metrics.average_precision(scores, np.array([False, True]), 1)
    assert first == last == pytest.approx(0.5)


def test_average_precision_at_its_ends() -> None:
    assert metrics.average_precision(np.array([0.9, 0.8]), np.array([True, True]), 2) == pytest.approx(1.0)
    assert metrics.average_precision(np.array([]), np.array([]), 3) == 0.0
    assert math.isnan(metrics.average_precision(np.array([0.4]), np.array([False]), 0))


def test_psnr_of_a_known_error() -> None:
    truth = np.full((4, 4, 3), 100, np.uint8)
    assert metrics.psnr(truth + np.uint8(5), truth) == pytest.approx(20 * math.log10(255 / 5))
    assert metrics.psnr(truth, truth) == math.inf
    with pytest.raises(ValueError, match="shape"):
        metrics.psnr(truth[:3], truth)


def test_ssim_against_another_hands_code() -> None:
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    grey = rng.integers(0, 256, (40, 32, 1), dtype=np.uint8).repeat(3, axis=2)
    noisy = np.clip(grey + rng.normal(0, 20, grey.shape[:2])[..., None], 0, 255).astype(np.uint8)
    theirs = structural_similarity(
        grey[..., 0], noisy[..., 0], gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=255
    )
    assert metrics.ssim(noisy, grey) == pytest.approx(theirs, abs=1e-3)
    assert metrics.ssim(grey, grey) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="from 11 px"):
        metrics.ssim(grey[:8], grey[:8])

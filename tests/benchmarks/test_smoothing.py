"""The smoothing benchmark measures what it says: known jitter, known lag."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("skimage.data")

from benchmarks import smoothing
from benchmarks.smoothing import Recording, Setting

AT = np.arange(150) / 30
SHAPE = np.random.default_rng(0).uniform(-40, 40, (68, 2))
SHAPE[36:42], SHAPE[42:48] = (-25.0, -20.0), (25.0, -20.0)
SHAPE[[30, 48, 54]] = ((0.0, 0.0), (-20.0, 30.0), (20.0, 30.0))


def moving(speed: float, noise: float = 0.0) -> Recording:
    """To the right by `speed` px/s."""
    shift = np.stack((speed * AT, 0.0 * AT), axis=1)[:, None]
    points = SHAPE + 300.0 + shift + np.random.default_rng(1).normal(0.0, noise, (150, 68, 2))
    return Recording(AT, points, np.broadcast_to((speed, 0.0), points.shape))


def test_jitter_is_in_percent_of_the_eyes_distance() -> None:
    assert smoothing.jitter(AT, moving(0.0, noise=0.1).points) == pytest.approx(100 * 0.1 * 2**0.5 / 50, rel=0.05)


def test_lag_is_how_long_ago_the_points_were_there() -> None:
    one = moving(60.0)
    late = np.stack([np.interp(AT - 0.04, AT, one.points[:, k, c]) for k in range(68) for c in (0, 1)], axis=1)
    assert smoothing.lag_ms(one, late.reshape(-1, 68, 2)) == pytest.approx(40.0, abs=0.1)
    assert smoothing.lag_ms(one, one.points) == 0.0


def test_a_filter_that_is_slow_at_rest_is_late_and_steady() -> None:
    rest, walk = moving(0.0, noise=0.2), moving(60.0, noise=0.2)
    jitter, lag = {}, {}
    for rest_hz in (0.2, 5.0):
        setting = Setting("each", rest_hz, 0.0)
        jitter[rest_hz] = smoothing.jitter(AT, smoothing.smoothed(rest, setting))
        lag[rest_hz] = smoothing.lag_ms(walk, smoothing.smoothed(walk, setting))
    assert jitter[0.2] < 0.5 * jitter[5.0] and lag[0.2] > 5 * lag[5.0]


def test_what_ships_keeps_its_promise_on_made_points() -> None:
    """With the noise that the engine has (0.25 % of the eyes' distance), on every point by itself."""
    rest, walk = moving(0.0, noise=0.0025 * 50 / 2**0.5), moving(45.0, noise=0.0025 * 50 / 2**0.5)
    assert smoothing.jitter(AT, rest.points) == pytest.approx(0.25, rel=0.05)
    assert smoothing.jitter(AT, smoothing.smoothed(rest, smoothing.SHIPPED)) <= smoothing.JITTER
    assert smoothing.lag_ms(walk, smoothing.smoothed(walk, smoothing.SHIPPED)) <= smoothing.LAG_MS


def test_the_truth_is_the_mean_shape_where_it_was_put() -> None:
    places = [smoothing.Place(300 + 5 * k, 200, 80 + k, 3.0 * k) for k in range(10)]
    turns = np.array([place.width / 80 * np.exp(1j * np.radians(place.roll)) for place in places])
    put = (SHAPE[:, 0] + 1j * SHAPE[:, 1]) * turns[:, None] + [[complex(p.x, p.y)] for p in places]
    exact = np.stack((put.real, put.imag), axis=-1)
    seen = exact + np.random.default_rng(2).normal(0, 0.3, exact.shape)
    assert np.abs(smoothing._truth(seen, places) - exact).max() < 0.6
    assert smoothing._truth(exact, places) == pytest.approx(exact)


def test_the_curve_as_a_table_and_a_picture() -> None:
    names = (*smoothing.MOTIONS, "mouth")
    curve = [
        {
            "speed": speed, "rest_hz": rest, "per_speed": rise, "jitter": {}, "lag_ms": dict.fromkeys(names, 9.0),
            "worst_jitter": 0.04, "worst_lag_ms": 9.0,
        }
        for speed in smoothing.SPEEDS for rest in smoothing.RESTS_HZ for rise in smoothing.PER_SPEEDS
    ]  # fmt: skip
    shown = smoothing.text(curve, {"rest": 0.3})
    assert shown.count("<- shipped") == 1 and "at most 0.25: NO" in shown and "at most 15: ok" in shown
    assert smoothing.picture(curve).shape == (600, 900, 3)

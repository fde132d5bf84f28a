"""Running figures."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.outputs.summary import Percentiles


def test_percentiles_are_those_of_the_times_to_a_tenth_of_a_millisecond() -> None:
    times = np.random.default_rng(0).gamma(3.0, 4.0, 2000)
    running = Percentiles()
    for ms in times:
        running.add(float(ms))
    for percent in (0, 50, 95, 99, 100):
        exact = np.percentile(times, percent, method="inverted_cdf")
        assert running.at(percent) == pytest.approx(exact, abs=0.1)


def test_none_before_the_first_and_a_lid_on_the_longest() -> None:
    running = Percentiles()
    assert running.at(50) is None
    running.add(1e9)
    assert running.at(50) == 2000.0
    running.add(-5.0)
    assert running.at(1) == 0.0

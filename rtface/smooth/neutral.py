"""What a face's values are when it is at rest: learned while it is seen, begun with what is common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SAMPLE_S, LONGEST_SAMPLE_S = 0.2, 3.2
"""Seconds between two samples, at first; it doubles each time that the memory is full."""

SAMPLES = 120
COMMON_WEIGHT = 10.0
"""What is common counts as much as so many samples: two seconds."""

QUANTILE = 0.3
"""Of the samples: rest is below the middle for somebody who blinks, looks down, talks and laughs."""


class RunningNeutral:
    """The resting values of one face, of those that rise when it does something.

    Args:
        common: (K,) what they are for most people.
        spread: (K,) how far people differ: one face's rest is believed within this of the common one.
    """

    def __init__(self, common: Sequence[float], spread: Sequence[float]) -> None:
        self._common, self._spread = np.asarray(common, np.float64), np.asarray(spread, np.float64)
        self._samples: list[Array] = []
        self._every_s, self._last_at = SAMPLE_S, -np.inf
        self.values: Array = self._common

    def __call__(self, values: Sequence[float], at: float) -> Array:
        """The resting values, once these were seen at `at` seconds."""
        if 0.0 <= at - self._last_at < self._every_s:
            return self.values
        self._last_at = at
        self._samples.append(np.asarray(values, np.float64))
        if len(self._samples) > SAMPLES:
            self._samples = self._samples[::2]
            self._every_s = min(2.0 * self._every_s, LONGEST_SAMPLE_S)
        count = len(self._samples)
        own = np.clip(
            np.quantile(np.stack(self._samples), QUANTILE, axis=0),
            self._common - self._spread,
            self._common + self._spread,
        )
        self.values = (COMMON_WEIGHT * self._common + count * own) / (COMMON_WEIGHT + count)
        return self.values

"""A label that does not flicker between two near-equal probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Hysteresis:
    """Low-passed probabilities, and a label that changes only when another leads clearly.

    Args:
        seconds: Time constant of the probabilities.
        lead: How much more probable another label must be than the present one.
    """

    def __init__(self, seconds: float = 0.15, lead: float = 0.1) -> None:
        self._seconds, self._lead = seconds, lead
        self._at: float | None = None
        self._probs: NDArray[Any] = np.zeros(0)
        self._label = 0

    def __call__(self, probs: NDArray[Any], at: float) -> tuple[int, NDArray[Any]]:
        """Index of the label and the smoothed probabilities at `at` seconds; they still sum to 1."""
        if self._at is None:
            self._probs, self._label = probs, int(np.argmax(probs))
        else:
            weight = 1.0 - math.exp(-max(0.0, at - self._at) / self._seconds)
            self._probs = self._probs + weight * (probs - self._probs)
            best = int(np.argmax(self._probs))
            if self._probs[best] >= self._probs[self._label] + self._lead:
                self._label = best
        self._at = at
        return self._label, self._probs

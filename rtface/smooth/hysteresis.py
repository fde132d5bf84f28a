"""A label that does not flicker between two near-equal probabilities."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.smooth.one_euro import FRESH_SECONDS


class Hysteresis:
    """Low-passed probabilities, and a label that changes only when another leads clearly and the old one had its time.

    Args:
        seconds: Time constant of the probabilities.
        lead: How much more probable another label must be than the present one.
        dwell: Seconds that a label stays at least.

    Attributes:
        label: The present one's index; None before the first value.
        since: When it began, in seconds.
        at: When the last value came.
    """

    def __init__(self, seconds: float = 0.15, lead: float = 0.1, dwell: float = 0.3) -> None:
        self._seconds, self._lead, self._dwell = seconds, lead, dwell
        self._probs: NDArray[Any] = np.zeros(0)
        self.label: int | None = None
        self.since = self.at = -math.inf

    def __call__(self, probs: NDArray[Any], at: float) -> tuple[int, NDArray[Any]]:
        """Index of the label and the smoothed probabilities at `at` seconds; they still sum to 1."""
        if self.label is None or at - self.at > FRESH_SECONDS:
            self._probs, self.label, self.since = probs, int(np.argmax(probs)), at
        else:
            weight = 1.0 - math.exp(-max(0.0, at - self.at) / self._seconds)
            self._probs = self._probs + weight * (probs - self._probs)
            best = int(np.argmax(self._probs))
            leads = self._probs[best] >= self._probs[self.label] + self._lead
            if best != self.label and leads and at - self.since >= self._dwell:
                self.label, self.since = best, at
        self.at = at
        return self.label, self._probs

"""The One-Euro filter: steady at rest, quick in motion.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012: a low-pass whose cutoff rises with the (itself low-passed) speed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray


class OneEuro:
    """Filter of one array over time, every element by itself.

    Args:
        rest_hz: Cutoff at rest; lower is steadier.
        per_speed: Rise of the cutoff in Hz for each unit of speed (value units a second over `scale`).
        speed_hz: Cutoff of the speed's own low-pass.
    """

    def __init__(self, rest_hz: float, per_speed: float, speed_hz: float = 1.0) -> None:
        self._rest_hz, self._per_speed, self._speed_hz = rest_hz, per_speed, speed_hz
        self._at: float | None = None
        self._value: NDArray[Any] = np.zeros(0)
        self._speed: NDArray[Any] = np.zeros(0)

    def __call__(self, value: NDArray[Any], at: float, scale: float = 1.0) -> NDArray[Any]:
        """The smoothed `value` at `at` seconds; speeds count in `scale` a second (a face's size, for points)."""
        if self._at is None:
            self._at, self._value, self._speed = at, value, np.zeros_like(value)
            return value
        elapsed = at - self._at
        if elapsed <= 0.0:
            return self._value
        speed = (value - self._value) / elapsed
        self._speed = self._speed + _weight(self._speed_hz, elapsed) * (speed - self._speed)
        cutoff = self._rest_hz + self._per_speed / scale * np.abs(self._speed)
        turns = 2.0 * math.pi * elapsed * cutoff
        self._value = self._value + turns / (1.0 + turns) * (value - self._value)
        self._at = at
        return self._value


def _weight(cutoff_hz: float, elapsed: float) -> float:
    turns = 2.0 * math.pi * elapsed * cutoff_hz
    return turns / (1.0 + turns)

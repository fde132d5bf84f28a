"""The One-Euro filter: steady at rest, quick in motion.

Casiez, Roussel and Vogel, "1 € Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems",
CHI 2012: a low-pass whose cutoff rises with the (itself low-passed) speed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

FRESH_SECONDS = 0.5
"""After a gap of so long the filter begins again: what it knew has nothing to do with what comes."""

Array = NDArray[Any]


def each(velocity: Array, value: Array) -> Array:
    """Every element's own speed, as in the paper."""
    return np.abs(velocity)


class OneEuro:
    """Filter of one array over time.

    Args:
        rest_hz: Cutoff at rest; lower is steadier.
        per_speed: Rise of the cutoff in Hz for each unit of speed (value units a second over `scale`).
        speed_hz: Cutoff of the velocity's own low-pass.
        speed: Velocity (in `scale` a second) and value → speeds that the cutoffs follow, of a shape that broadcasts.
    """

    def __init__(
        self,
        rest_hz: float,
        per_speed: float,
        speed_hz: float = 1.0,
        speed: Callable[[Array, Array], Array] = each,
    ) -> None:
        self._rest_hz, self._per_speed, self._speed_hz, self._speed = rest_hz, per_speed, speed_hz, speed
        self._at: float | None = None
        self._value: Array = np.zeros(0)
        self._velocity: Array = np.zeros(0)

    def __call__(self, value: Array, at: float, scale: float = 1.0) -> Array:
        """The smoothed `value` at `at` seconds; speeds count in `scale` a second (a face's size, for points)."""
        if self._at is None or at - self._at > FRESH_SECONDS:
            self._at, self._value, self._velocity = at, value, np.zeros_like(value)
            return value
        elapsed = at - self._at
        if elapsed <= 0.0:
            return self._value
        velocity = (value - self._value) / elapsed
        self._velocity = self._velocity + _weight(self._speed_hz, elapsed) * (velocity - self._velocity)
        cutoff = self._rest_hz + self._per_speed * self._speed(self._velocity / scale, value / scale)
        self._value = self._value + _weight(cutoff, elapsed) * (value - self._value)
        self._at = at
        return self._value


def _weight(cutoff_hz: Any, elapsed: float) -> Any:
    """Share of the new value in a low-pass of this cutoff, the same at every frame rate."""
    turns = 2.0 * math.pi * elapsed * cutoff_hz
    return turns / (1.0 + turns)

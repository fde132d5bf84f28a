"""The similarity that brings points closest to others (Umeyama, PAMI 1991, without reflection)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def fit_similarity(points: Array, others: Array) -> NDArray[np.float64]:
    """(2, 3) float64: the shift, turn and growth that brings `points` (P, 2) closest to `others` (P, 2), least squares.

    Points and turns as complex numbers: others ≈ a · points + b.
    """
    z, w = (np.ascontiguousarray(xy, np.float64).view(np.complex128)[:, 0] for xy in (points, others))
    arms = z - z.mean()
    spread = max(float(np.vdot(arms, arms).real), 1e-12)
    a = complex(np.vdot(arms, w - w.mean())) / spread
    b = complex(w.mean() - a * z.mean())
    return np.array(((a.real, -a.imag, b.real), (a.imag, a.real, b.imag)))

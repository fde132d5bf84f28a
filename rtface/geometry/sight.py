"""Lines of sight: yaw and pitch in degrees, and unit vectors.

x to the image's right, y down, z away from the camera, so that a look into the camera, 0, 0, is (0, 0, -1). Positive
yaw looks to the image's right, positive pitch up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def direction(yaw_pitch: Array) -> NDArray[np.float64]:
    """Unit vectors (..., 3) of yaw and pitch (..., 2) in degrees.

    >>> direction(np.array((90.0, 0.0))).round(3).tolist()
    [1.0, -0.0, -0.0]
    """
    yaw, pitch = np.radians(np.asarray(yaw_pitch, np.float64)).T
    cosine = np.cos(pitch)
    vectors: NDArray[np.float64] = np.stack((np.sin(yaw) * cosine, -np.sin(pitch), -np.cos(yaw) * cosine)).T
    return vectors


def turned(yaw: float, pitch: float, linear: Sequence[Sequence[float]]) -> tuple[float, float]:
    """A line of sight, degrees, in an image that a matrix (2, 2) turns and scales the image into; NaN where the matrix
    has no size, or an angle is no number.

    Plain numbers: of one face NumPy takes eight times as long.

    >>> quarter = ((0.0, -2.0), (2.0, 0.0))  # what was to the right is below
    >>> [round(angle, 3) + 0.0 for angle in turned(30.0, 0.0, quarter)]
    [0.0, -30.0]
    """
    (a, b), (c, d) = linear
    scale = math.sqrt(abs(a * d - b * c))
    if scale == 0.0 or not all(map(math.isfinite, (yaw, pitch, scale))):
        return math.nan, math.nan
    yaw, pitch = math.radians(yaw), math.radians(pitch)
    right, down, away = math.sin(yaw) * math.cos(pitch), -math.sin(pitch), math.cos(yaw) * math.cos(pitch)
    x, y = (a * right + b * down) / scale, (c * right + d * down) / scale
    return math.degrees(math.atan2(x, away)), math.degrees(math.atan2(-y, math.hypot(x, away)))

"""Lines of sight: yaw and pitch in degrees, and unit vectors.

x to the image's right, y down, z away from the camera, so that a look into the camera, 0, 0, is (0, 0, -1). Positive
yaw looks to the image's right, positive pitch up.
"""

from __future__ import annotations

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


def angles(vectors: Array) -> NDArray[np.float64]:
    """Yaw and pitch (..., 2) in degrees of vectors (..., 3) of any length but 0."""
    x, y, z = np.asarray(vectors, np.float64).T
    both: NDArray[np.float64] = np.degrees(np.stack((np.arctan2(x, -z), np.arctan2(-y, np.hypot(x, z))))).T
    return both


def turned(yaw_pitch: Array, linear: Array) -> NDArray[np.float64]:
    """Lines of sight (..., 2), degrees, in an image that these matrices (..., 2, 2) turn and scale the image into.

    >>> quarter = np.array(((0.0, -2.0), (2.0, 0.0)))  # what was to the right is below
    >>> turned(np.array((30.0, 0.0)), quarter).round(3).tolist()
    [0.0, -30.0]
    """
    vectors = direction(yaw_pitch)
    scale = np.sqrt(np.abs(np.linalg.det(linear)))[..., None]
    vectors[..., :2] = np.einsum("...ij,...j->...i", linear, vectors[..., :2]) / scale
    return angles(vectors)

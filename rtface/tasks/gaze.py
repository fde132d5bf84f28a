"""The line of sight, as the network's eye branch tells it.

Like the pose, the angles are those beside the ray from the camera to the face: 0, 0 looks into the camera wherever in
the picture the face is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.sight import turned
from rtface.types import Gaze

OUTPUT = "gaze"
"""Output (N, 2) float32: yaw and pitch in degrees, in the crop."""

CAMERA_DEG, SOFT_DEG = 12.0, 3.0
"""Half of the looks that are so far off are at the camera; how soft that border is."""


def gazes(told: NDArray[np.floating], to_frame: NDArray[np.floating]) -> list[Gaze]:
    """Of each face: what the engine told of its crop (N, 2), and the crop's map to the frame (N, 2, 3)."""
    linear = to_frame[: len(told), :, :2].tolist()
    looks = (turned(yaw, pitch, matrix) for (yaw, pitch), matrix in zip(told.tolist(), linear, strict=True))
    return [Gaze(yaw, pitch, on_camera(yaw, pitch)) for yaw, pitch in looks]


def on_camera(yaw: float, pitch: float) -> float:
    """0..1, how likely a line of sight (degrees) meets the camera."""
    return 1.0 / (1.0 + math.exp(min((math.hypot(yaw, pitch) - CAMERA_DEG) / SOFT_DEG, 50.0)))

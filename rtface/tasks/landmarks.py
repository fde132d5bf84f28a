"""68 points from the engine's tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import map_points
from rtface.types import Landmarks

OUTPUT = "landmarks"
"""(N, 68, 2) float32, px of the crop."""


def in_frame(tensor: NDArray[Any], to_frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """The tensor's points (N, 68, 2) in px of the frame; `to_frame` (N, 2, 3) maps each crop to it."""
    return map_points(to_frame, tensor)


def landmarks(points: NDArray[np.float32], quality: NDArray[Any]) -> list[Landmarks]:
    """Typed results of frame points (N, 68, 2) and the engine's `quality` (N,) 0..1, which is their score."""
    return [Landmarks(face, float(score)) for face, score in zip(points, quality, strict=True)]


def to_convention(found: Landmarks, side: float, shift: tuple[float, float]) -> Landmarks:
    """The same points where the people set them whose labels the network is compared with; as they are shown.

    Args:
        found: Points as the network sees them.
        side: Of the face's crop, px.
        shift: Right and down, in sides of the crop: `rtface.models.ModelEntry.landmark_shift`.
    """
    if shift == (0.0, 0.0):
        return found
    return Landmarks(found.points + np.array(shift, np.float32) * np.float32(side), found.score)

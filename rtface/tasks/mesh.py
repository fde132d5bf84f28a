"""478 points in MediaPipe's order from the engine's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import map_points
from rtface.types import FaceMesh

OUTPUT, SCORE = "mesh", "mesh_score"
"""(N, 478, 2) float32, px of the crop; and (N,) float32 0..1, exp(-25 × expected error / crop side)."""


def in_frame(tensor: NDArray[Any], to_frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """The tensor's points (N, 478, 2) in px of the frame; `to_frame` (N, 2, 3) maps each crop to it."""
    return map_points(to_frame, tensor)


def meshes(points: NDArray[np.float32], scores: NDArray[Any]) -> list[FaceMesh]:
    """Typed results of frame points (N, 478, 2) and their scores (N,) 0..1."""
    return [FaceMesh(face, float(score)) for face, score in zip(points, scores, strict=True)]

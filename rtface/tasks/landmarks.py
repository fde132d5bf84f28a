"""68 points from the engine's tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.geometry.crop import map_points
from rtface.types import Landmarks

OUTPUT = "landmarks"
"""(N, 68, 2) float32, px of the crop."""


LABELS_RIGHT = 0.0028
"""How far, in sides of the crop, 300-W's hand-set points lie to the right of the network's, which learned on mirrored
pictures and so takes no side: the median over the 1,675 training faces of Helen and LFPW (AFW's lie 0.0046 right), as
though the original files' counting pixels from 1 were still in them. Up and down the network learned where they are.
Other sets' five points (MTFL's) lie where the network's do."""


def in_frame(tensor: NDArray[Any], to_frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """The tensor's points (N, 68, 2) in px of the frame; `to_frame` (N, 2, 3) maps each crop to it."""
    return map_points(to_frame, tensor)


def landmarks(points: NDArray[np.float32], quality: NDArray[Any]) -> list[Landmarks]:
    """Typed results of frame points (N, 68, 2) and the engine's `quality` (N,) 0..1, which is their score."""
    return [Landmarks(face, float(score)) for face, score in zip(points, quality, strict=True)]


def annotated(found: Landmarks, side: float) -> Landmarks:
    """The same where 300-W's annotators set them, as they are shown; `side` is the crop's, px."""
    return Landmarks(found.points + np.array((LABELS_RIGHT * side, 0), np.float32), found.score)

"""Head pose from the engine's tensor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from rtface.types import HeadPose

OUTPUT = "pose"
"""(N, 3) float32: yaw, pitch, roll in degrees; the roll is what is left over by the crop's own."""


def poses(tensor: NDArray[Any], rolls: Sequence[float]) -> list[HeadPose]:
    """Head poses in the frame: the crop's roll (degrees, N) is added to the engine's, within [-180, 180)."""
    return [
        HeadPose(yaw, pitch, (roll + crop_roll + 180.0) % 360.0 - 180.0)
        for (yaw, pitch, roll), crop_roll in zip(tensor.tolist(), rolls, strict=True)
    ]

"""opentrack's "UDP over network" input, rebuilt from its layout, for tests only.

Layout from opentrack's `tracker-udp` (six doubles, a pose with a NaN in it is dropped). The signs are those that
opentrack's own trackers of a camera's picture hand on (`tracker-neuralnet`; `tracker-aruco` agrees in the angles).
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

BYTES = 48


class HeadPose(NamedTuple):
    """Centimetres and degrees. The picture is not mirrored: its right is the player's left."""

    x: float
    """To the picture's right."""
    y: float
    """Up."""
    z: float
    """Away from the camera."""
    yaw: float
    """Nose to the picture's left, the player's right."""
    pitch: float
    """Nose up."""
    roll: float
    """Clockwise in the picture."""


def decode(datagram: bytes) -> HeadPose:
    """The pose. Raises ValueError for another size, or a value that is no number."""
    if len(datagram) != BYTES:
        raise ValueError(f"{len(datagram)} bytes, not {BYTES}")
    pose = HeadPose(*struct.unpack("<6d", datagram))
    if any(math.isnan(value) for value in pose):
        raise ValueError(f"NaN in {pose}: opentrack drops the whole pose")
    return pose

"""OpenSeeFace's receiving side, rebuilt from its layout, for tests only.

Facts from the peer (emilianavt/OpenSeeFace: `Unity/OpenSee.cs` reads, `Unity/OpenSeeIKTarget.cs` moves the head,
`tracker.py` says what the numbers are); not from rtface's sender, which its author had not read. Not obvious there:

- landmarks are kept as (row, column), so PnP's first axis is the picture's vertical. With the peer's face model (x to
  the picture's left, y up, z to the camera) and its start at zero, PnP settles *behind* the camera: the raw translation
  is (up, to the picture's left, minus the distance) in units of the face model, and a face straight ahead has the
  Euler angles (180, 0, 90) and the quaternion (0.71, 0.71, 0, 0);
- the quaternion is that of the transposed matrix;
- turning the nose to the picture's right raises the second Euler angle, up lowers the first below 180, tilting
  clockwise lowers the third.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

FACE_BYTES = 1785
MAX_FIT_ERROR = 100.0
"""Above it the Unity side throws the face away."""
FEATURES = (
    ["eye_left", "eye_right"]
    + [f"eyebrow_{what}_{side}" for side in ("left", "right") for what in ("steepness", "up_down", "quirk")]
    + [f"mouth_corner_{what}_{side}" for side in ("left", "right") for what in ("up_down", "in_out")]
    + ["mouth_open", "mouth_wide"]
)
FIELDS = {  # name -> struct format without byte order, in wire order; little endian, no padding
    "time": "d",
    "id": "i",
    "size": "2f",
    "right_eye_open": "f",
    "left_eye_open": "f",
    "has_3d": "B",
    "fit_error": "f",
    "quaternion": "4f",
    "euler": "3f",
    "translation": "3f",
    "confidence": "68f",
    "points": "136f",
    "points_3d": "210f",
    "features": "14f",
}


class AvatarTurn(NamedTuple):
    """How far the avatar's head has turned from neutral, seen by the avatar itself, in degrees."""

    left: float
    up: float
    tilt_left: float


@dataclass(frozen=True, slots=True)
class OpenSeeFace:
    """One face of a datagram, raw. `points` are px (x, y); eyes 1 = open; left and right are the subject's."""

    time: float
    id: int
    size: tuple[float, float]
    right_eye_open: float
    left_eye_open: float
    has_3d: bool
    fit_error: float
    quaternion: tuple[float, ...]
    euler: tuple[float, ...]
    translation: tuple[float, ...]
    confidence: np.ndarray
    points: np.ndarray
    points_3d: np.ndarray
    features: dict[str, float]

    @property
    def rotation(self) -> tuple[float, float, float]:
        """OpenSee.cs's `rotation`, zero straight ahead: degrees up, to the picture's left, counter-clockwise."""
        x, y, z = self.euler[0], -self.euler[1], self.euler[2]
        return tuple(math.remainder(angle, 360.0) for angle in (-(x + 180.0), y, z - 90.0))  # type: ignore[return-value]

    @property
    def avatar_position(self) -> tuple[float, float, float]:
        """Where OpenSeeIKTarget.cs puts the head: x to the picture's left, y up, z the distance, negative."""
        up, left, depth = self.translation
        return left, up, depth

    def turn_since(self, neutral: OpenSeeFace) -> AvatarTurn:
        """OpenSeeIKTarget.cs's turn of an avatar that looks along z (x its right, y up), calibrated on `neutral`."""
        was_x, was_y, was_z, was_w = _to_unity(neutral.quaternion)
        turn = _matrix(_product(_to_unity(self.quaternion), (-was_x, -was_y, -was_z, was_w)))
        # Unity's order: about z, then x, then y; its positive turns go right, down, left.
        return AvatarTurn(
            left=-math.degrees(math.atan2(turn[0, 2], turn[2, 2])),
            up=math.degrees(math.asin(np.clip(turn[1, 2], -1.0, 1.0))),
            tilt_left=math.degrees(math.atan2(turn[1, 0], turn[1, 1])),
        )


def decode(datagram: bytes) -> list[OpenSeeFace]:
    """Every face of a datagram. Raises ValueError where the peer drops it: empty, or not whole faces."""
    if not datagram or len(datagram) % FACE_BYTES:
        raise ValueError(f"{len(datagram)} bytes are not faces of {FACE_BYTES} bytes")
    return [_face(datagram[at : at + FACE_BYTES]) for at in range(0, len(datagram), FACE_BYTES)]


def _face(data: bytes) -> OpenSeeFace:
    values, at = {}, 0
    for name, kind in FIELDS.items():
        value = struct.unpack_from("<" + kind, data, at)
        values[name] = value if len(value) > 1 else value[0]
        at += struct.calcsize("<" + kind)
    assert at == FACE_BYTES
    values["has_3d"] = values["has_3d"] != 0
    values["confidence"] = np.array(values["confidence"])
    values["points"] = np.array(values["points"]).reshape(68, 2)
    values["points_3d"] = np.array(values["points_3d"]).reshape(70, 3)
    values["features"] = dict(zip(FEATURES, values["features"], strict=True))
    return OpenSeeFace(**values)


def _to_unity(quaternion: tuple[float, ...]) -> tuple[float, float, float, float]:
    x, y, z, w = quaternion
    return -y, -x, z, w


def _product(a: tuple[float, ...], b: tuple[float, ...]) -> np.ndarray:
    va, vb = np.array(a[:3]), np.array(b[:3])
    return np.append(a[3] * vb + b[3] * va + np.cross(va, vb), a[3] * b[3] - va @ vb)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    x, y, z, w = quaternion / np.linalg.norm(quaternion)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )

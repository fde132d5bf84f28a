"""Reads OpenSeeFace's packets as its Unity receiver does (``Unity/OpenSee.cs``, ``OpenSeeIKTarget.cs``).

Written from that receiver's layout alone: what comes is read value after value, and put into Unity's axes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

FACE_BYTES = 8 + 4 + 2 * 4 + 2 * 4 + 1 + 4 + 4 * 4 + 3 * 4 + 3 * 4 + 68 * 4 + 68 * 2 * 4 + 70 * 3 * 4 + 14 * 4
FEATURES = (
    *("eye_left", "eye_right", "steepness_left", "updown_left", "quirk_left", "steepness_right", "updown_right"),
    *("quirk_right", "corner_updown_left", "corner_inout_left", "corner_updown_right", "corner_inout_right"),
    *("mouth_open", "mouth_wide"),
)


@dataclass
class SeenFace:
    time: float = 0.0
    id: int = 0
    camera: tuple[float, float] = (0.0, 0.0)
    eye_right: float = 0.0
    eye_left: float = 0.0
    got_3d: bool = False
    fit_error: float = 0.0
    quaternion: tuple[float, ...] = ()
    euler: tuple[float, ...] = ()
    #: As OpenSeeIKTarget puts it: x the avatar's right, y up, z ahead.
    position: tuple[float, ...] = ()
    confidence: tuple[float, ...] = ()
    points: Any = None
    points_3d: Any = None
    features: dict[str, float] = field(default_factory=dict)

    @property
    def unity_quaternion(self) -> np.ndarray:
        x, y, z, w = self.quaternion
        return np.array((-y, -x, z, w))


class Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.offset = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.offset)
        self.offset += struct.calcsize("<" + form)
        return values


def read(datagram: bytes) -> list[SeenFace]:
    """The faces of a datagram; none where its length is none of whole faces, as the receiver drops it."""
    if not datagram or len(datagram) % FACE_BYTES:
        return []
    return [_face(Reader(datagram[start : start + FACE_BYTES])) for start in range(0, len(datagram), FACE_BYTES)]


def _face(data: Reader) -> SeenFace:
    face = SeenFace()
    (face.time,) = data.take("d")
    (face.id,) = data.take("i")
    face.camera = data.take("ff")
    face.eye_right, face.eye_left = data.take("ff")
    face.got_3d = data.take("B")[0] != 0
    (face.fit_error,) = data.take("f")
    face.quaternion = data.take("ffff")
    face.euler = data.take("fff")
    x, y, z = data.take("fff")
    face.position = y, x, z  # OpenSee: (-y, x, -z); OpenSeeIKTarget turns x and z around again
    face.confidence = data.take("68f")
    face.points = np.array(data.take("136f")).reshape(68, 2)
    face.points_3d = np.array(data.take("210f")).reshape(70, 3) * (1, -1, 1)
    face.features = dict(zip(FEATURES, data.take("14f"), strict=True))
    assert data.offset == FACE_BYTES
    return face


def turned_from(face: SeenFace, neutral: SeenFace) -> np.ndarray:
    """(3,) degrees about Unity's axes that the avatar's head turns by, relative to its calibrated neutral."""
    turn = _times(face.unity_quaternion, neutral.unity_quaternion * (-1, -1, -1, 1))
    turn *= np.sign(turn[3])
    angle = 2 * np.arccos(np.clip(turn[3], -1, 1))
    axis = turn[:3] / max(np.linalg.norm(turn[:3]), 1e-9)
    return np.degrees(angle) * axis


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    vector = a[3] * b[:3] + b[3] * a[:3] + np.cross(a[:3], b[:3])
    return np.append(vector, a[3] * b[3] - a[:3] @ b[:3])

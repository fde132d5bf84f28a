"""A program that listens to the iFacialMocap app, rebuilt from the published packet (ifacialmocap.com), for tests only.

The program sends `HELLO` to the device's port 49983, from any port; the device answers to port 49983 of the program's
address, 60 times a second. A packet is text: `name-value|` for each blend shape (0..100), then `=head#` three degrees
and three metres, `rightEye#` and `leftEye#` three degrees. With `|sendDataVersion=v2` after `HELLO`, `&` stands between
name and value. Newer phones begin with `trackingStatus` (1 = a face is there).

Axes are ARKit's, in which the page's own sample agrees with itself (both eyes look down 17 and have x = +6; the right
one looks in 6 and has y = +2.4, the left one looks in 4 and has y = -1.7): x to the picture's right, y up, z to the
camera, right-handed. So a positive x turns the nose down, y to the picture's right, z tilts counter-clockwise, and a
face in front of the camera has a negative z.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass

PORT = 49983
HELLO = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719"
HELLO_V2 = HELLO + b"|sendDataVersion=v2"
_PAIRS = (
    *("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp"),
    *("eyeSquint", "eyeWide", "mouthDimple", "mouthFrown", "mouthLowerDown", "mouthPress", "mouthSmile"),
    *("mouthStretch", "mouthUpperUp", "noseSneer"),
)
_SINGLE = (
    *("browInnerUp", "cheekPuff", "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthFunnel"),
    *("mouthLeft", "mouthPucker", "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower"),
    *("mouthShrugUpper", "tongueOut"),
)
NAMES = {f"{name}_{side}" for name in _PAIRS for side in "LR"} | set(_SINGLE)
"""ARKit's 52 as the app writes them: `_L` and `_R` are the subject's."""


@dataclass(frozen=True, slots=True)
class Packet:
    blend_shapes: dict[str, int]
    tracks: bool
    head_degrees: tuple[float, float, float]
    head_metres: tuple[float, float, float]
    right_eye: tuple[float, float, float]
    left_eye: tuple[float, float, float]


def decode(datagram: bytes, between: str = "-") -> Packet:
    """The packet. Raises ValueError for anything that a program reading it by the page would trip over."""
    text = datagram.decode("ascii")
    shapes, tail = text.split("|=", 1)
    fields = shapes.split("|")
    status = fields.pop(0) if fields[0].startswith("trackingStatus") else f"trackingStatus{between}1"
    if status not in (f"trackingStatus{between}0", f"trackingStatus{between}1"):
        raise ValueError(status)
    blend_shapes = dict(_shape(part, between) for part in fields)
    if blend_shapes.keys() != NAMES or len(fields) != len(NAMES):
        raise ValueError(f"not the 52 names once each: {sorted(blend_shapes.keys() ^ NAMES)}")
    if not tail.endswith("|"):
        raise ValueError("no | at the end")
    parts = dict(part.split("#", 1) for part in tail[:-1].split("|"))
    if list(parts) != ["head", "rightEye", "leftEye"]:
        raise ValueError(f"not head, rightEye, leftEye: {list(parts)}")
    head = _numbers(parts["head"], 6)
    return Packet(
        blend_shapes,
        status[-1] == "1",
        head[:3],
        head[3:],
        _numbers(parts["rightEye"], 3),
        _numbers(parts["leftEye"], 3),
    )


def ask(device: tuple[str, int], host: str = "127.0.0.1", hello: bytes = HELLO) -> None:
    """Say hello as the page's example does: from another socket than the one that listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind((host, 0))
        other.sendto(hello, device)


def _shape(part: str, between: str) -> tuple[str, int]:
    name, value = part.split(between, 1)
    number = int(value)
    if not 0 <= number <= 100:
        raise ValueError(f"{part}: not 0 to 100")
    return name, number


def _numbers(text: str, count: int) -> tuple[float, ...]:
    values = tuple(float(value) for value in text.split(","))
    if len(values) != count or any(value != value or abs(value) == float("inf") for value in values):
        raise ValueError(f"{text}: not {count} numbers")
    return values

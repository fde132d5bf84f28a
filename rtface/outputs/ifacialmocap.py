"""iFacialMocap's protocol: this machine plays the phone, and a program (VSeeFace, Warudo, Blender, …) asks it for a
face.

The program sends a fixed greeting to UDP port 49983 here, and gets text packets back on its own port 49983: ARKit's
blend shapes as ``name-0…100``, then the head as degrees and metres (ifacialmocap.com, "for developers"). After a
greeting that ends in ``|sendDataVersion=v2`` the sign between name and value is ``&``.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping

from rtface.labels import BLENDSHAPES
from rtface.outputs.blend_shapes import NEUTRAL, BlendShapes
from rtface.outputs.eyes import AHEAD, Eyes, eyes_of
from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.head import GLIDE, Head, head_of
from rtface.outputs.network import NetworkSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

PORT = 49983
GREETING = b"iFacialMocap_sahuasouryya9218sauhuiayeta91555dy3719"
VERSION_2 = b"sendDataVersion=v2"
#: Programs that are served at a time, and seconds between looks at who asks while nothing is sent. A program may ask
#: once and then listen for hours, so nobody is given up but for one who asks.
LISTENERS, LOOK_S = 8, 0.1
#: A head where nobody was seen yet: half a metre ahead.
BEFORE_ANYBODY = Head(0.0, 0.0, 50.0, 0.0, 0.0, 0.0)


class IFacialMocapSink(NetworkSink[FrameResult]):
    """Listens, on this machine alone unless a host is named, and sends one person's face to who asked for it.

    Args:
        url: ``ifacialmocap://127.0.0.1:49983?face=ID&mirror=1&reply=PORT``; `reply` is the port that answers go to
            where it is not 49983, 0 = the one the greeting came from.
    """

    beat_s = LOOK_S
    picture = "none"

    def __init__(self, url: OutputUrl) -> None:
        url.only("face", "mirror", "reply")
        super().__init__(url.shown)
        self._listen_at = (url.host or "127.0.0.1", url.port if url.port is not None else PORT)
        self._reply_port = url.whole("reply", PORT, 0, 65535)
        self._mirror = url.switch("mirror")
        self._follower = FaceFollower(url.whole("face", None))
        self._shapes = BlendShapes(self._mirror)
        self._separators: dict[tuple[str, int], str] = {}  # who has asked, in that order
        self._socket: socket.socket | None = None
        self._values: Mapping[str, float] = NEUTRAL
        self._head = BEFORE_ANYBODY
        self._rest: Head | None = None
        self._eyes = AHEAD

    @property
    def port(self) -> int:
        """Where it listens; from the connection on."""
        assert self._socket is not None
        found: int = self._socket.getsockname()[1]
        return found

    def items(self, result: FrameResult) -> Iterable[FrameResult]:
        return (result,)

    def connect(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self._listen_at)

    def send(self, item: FrameResult) -> None:
        self.beat()
        at = frame_time(item.frame, self.info.live)
        face = self._follower.update(item, at)
        height, width = item.frame.image.shape[:2]
        if face is None:
            self._values = {name: value * GLIDE for name, value in self._values.items()}
            self._head = self._head.glided_to(self._rest or BEFORE_ANYBODY)
            self._eyes = self._eyes.scaled(GLIDE)
        else:
            head = head_of(face, (width, height))
            head = head.mirrored() if self._mirror else head
            if not head.is_finite:  # no program could read it
                return
            self._values, self._head = self._shapes.of(face, at), head
            self._rest = self._rest or head.upright()
            eyes = eyes_of(face)
            if eyes is not None:
                self._eyes = eyes.mirrored() if self._mirror else eyes
        assert self._socket is not None
        packets = {
            between: packet_of(self._values, self._head, self._eyes, seen=face is not None, between=between)
            for between in set(self._separators.values())
        }
        for address, between in self._separators.items():
            packet = packets[between]
            try:
                self._socket.sendto(packet, address)
            except (BlockingIOError, ConnectionRefusedError):
                self._dropped += 1

    def beat(self) -> None:
        """Look who asks."""
        assert self._socket is not None
        for _ in range(100):
            try:
                data, (host, port) = self._socket.recvfrom(2048)
            except (BlockingIOError, ConnectionRefusedError):
                break
            if data.startswith(GREETING):
                address = (host, self._reply_port or port)
                self._separators.pop(address, None)
                self._separators[address] = "&" if VERSION_2 in data else "-"
                while len(self._separators) > LISTENERS:
                    del self._separators[next(iter(self._separators))]

    def disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def packet_of(
    shapes: Mapping[str, float], head: Head, eyes: Eyes = AHEAD, *, seen: bool = True, between: str = "-"
) -> bytes:
    """The text of a face.

    ``head#`` has degrees about x (+ down), y (+ to the owner's left) and z (+ to the owner's right shoulder), then
    metres from the camera: to the owner's left, up, and the distance negative, as the phone's ARKit says them.

    Args:
        shapes: All 52.
        head: Where it is.
        eyes: Where they look within the head: degrees about the same axes.
        seen: Whether a face is there; newer phones begin with it.
        between: What stands between a name and its value.
    """
    shown = [int(seen), *[round(shapes[name] * 100) for name in BLENDSHAPES]]
    values = "|".join([f"{name}{between}{value}" for name, value in zip(_THEIR_NAMES, shown, strict=True)])
    numbers = (-head.pitch, -head.yaw, head.roll, -head.x / 100.0, head.y / 100.0, -head.z / 100.0)
    whole = ",".join(f"{number + 0.0:.4f}" for number in numbers)
    left, right = (f"{0.0 - eye.pitch:.4f},{0.0 - eye.yaw:.4f},0" for eye in eyes)
    return f"{values}|=head#{whole}|rightEye#{right}|leftEye#{left}|".encode()


def _their_name(name: str) -> str:
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft"):
        return name[: -len("Left")] + "_L"
    return name[: -len("Right")] + "_R" if name.endswith("Right") and name not in ("jawRight", "mouthRight") else name


_THEIR_NAMES = ("trackingStatus", *map(_their_name, BLENDSHAPES))


def open_output(url: OutputUrl) -> IFacialMocapSink:
    """The output for an address."""
    return IFacialMocapSink(url)

"""opentrack's input "UDP over network": head tracking for games and flight simulators.

A packet is six little-endian doubles: x, y, z in cm, then yaw, pitch, roll in degrees (opentrack's ``tracker-udp``).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.head import DEFAULT_FOV_DEG, NEUTRAL, Head, head_of
from rtface.outputs.network import DatagramSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

PORT = 4242
#: A step towards the middle, of a head that is gone: a game's view glides back and does not jump.
GLIDE = 0.85
_PACKET = struct.Struct("<6d")


class OpenTrackSink(DatagramSink):
    """The head of one person as opentrack reads it; ``Head`` says what the signs mean.

    Args:
        url: ``opentrack://host:4242?face=ID&mirror=1&fov=60``.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("face", "mirror", "fov")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._follower = FaceFollower(url.whole("face", None))
        self._mirror = url.switch("mirror")
        self._fov = url.number("fov", DEFAULT_FOV_DEG, 10.0, 170.0)
        self._last = NEUTRAL
        self._rest: Head | None = None

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        face = self._follower.update(result, frame_time(result.frame, self.info.live))
        if face is None:
            return self._gone()
        height, width = result.frame.image.shape[:2]
        head = head_of(face, (width, height), self._fov)
        head = head.mirrored() if self._mirror else head
        if not all(map(math.isfinite, head)):  # opentrack would drop the packet
            return ()
        self._rest = self._rest or head
        self._last = head
        return (_PACKET.pack(*head),)

    def idle_packets(self) -> Iterable[bytes]:
        return self._gone()

    def _gone(self) -> Iterable[bytes]:
        if self._rest is None:  # nobody was there yet
            return ()
        neutral = Head(*self._rest[:3], 0.0, 0.0, 0.0)  # where it was first: z = 0 would be in the camera
        self._last = Head(*(goal + (now - goal) * GLIDE for now, goal in zip(self._last, neutral, strict=True)))
        return (_PACKET.pack(*self._last),)


def open_output(url: OutputUrl) -> OpenTrackSink:
    """The output for an address."""
    return OpenTrackSink(url)

"""opentrack's input "UDP over network": head tracking for games and flight simulators.

A packet is six little-endian doubles: x, y, z in cm, then yaw, pitch, roll in degrees (opentrack's ``tracker-udp``).
Signs are those of opentrack's own camera trackers (``tracker-neuralnet``, ``-aruco``, ``-pt``), which its outputs to
games rely on: x and roll to the player's left, y up, z away from the camera, yaw to the player's right, pitch up.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from rtface.outputs.follow import FaceFollower, frame_time
from rtface.outputs.head import DEFAULT_FOV_DEG, Head, head_of
from rtface.outputs.network import DatagramSink
from rtface.outputs.output_url import OutputUrl
from rtface.types import FrameResult

PORT = 4242
_PACKET = struct.Struct("<6d")


class OpenTrackSink(DatagramSink):
    """The head of one person as opentrack reads it.

    Args:
        url: ``opentrack://host:4242?face=ID&mirror=1&fov=60``.
    """

    def __init__(self, url: OutputUrl) -> None:
        url.only("face", "mirror", "fov")
        super().__init__(url.shown, url.host or "127.0.0.1", url.port or PORT)
        self._follower = FaceFollower(url.whole("face", None))
        self._mirror = url.switch("mirror")
        self._fov = url.number("fov", DEFAULT_FOV_DEG, 10.0, 170.0)
        self._last: Head | None = None
        self._rest: Head | None = None

    def packets(self, result: FrameResult) -> Iterable[bytes]:
        face = self._follower.update(result, frame_time(result.frame, self.info.live))
        if face is None:
            return self._gone()
        height, width = result.frame.image.shape[:2]
        head = head_of(face, (width, height), self._fov)
        head = head.mirrored() if self._mirror else head
        if not head.is_finite:  # opentrack would drop the packet
            return ()
        self._rest = self._rest or head.upright()  # not the origin: z = 0 would be in the camera
        self._last = head
        return (_packet(head),)

    def idle_packets(self) -> Iterable[bytes]:
        return self._gone()

    def _gone(self) -> Iterable[bytes]:
        if self._rest is None or self._last is None:  # nobody was there yet
            return ()
        self._last = self._last.glided_to(self._rest)
        return (_packet(self._last),)


def _packet(head: Head) -> bytes:
    return _PACKET.pack(-head.x, head.y, head.z, head.yaw, head.pitch, -head.roll)


def open_output(url: OutputUrl) -> OpenTrackSink:
    """The output for an address."""
    return OpenTrackSink(url)

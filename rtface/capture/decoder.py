"""Packets of a file's video stream into frames, and an honest count of what was tried and failed."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: Packets that are read ahead to learn the frames' times, and at most so many bytes of them.
AHEAD_PACKETS = 64
AHEAD_BYTES = 16 << 20
#: Reads in a row that may fail in a damaged file before it counts as ended.
FAILED_READS = 16
#: Pixels a second that one thread decodes in time (1080p at 30 fps). With several, libavcodec marks damaged frames
#: too late to be seen, so they are for what needs them …
ONE_THREAD_PX_S = 1920 * 1088 * 31
#: … and so many at most: more hold more frames in memory than they gain.
MOST_THREADS = 8
#: A packet of MPEG-4 Part 2 this small repeats the last frame ("not coded"); with packed B-frames nothing comes of it.
_NOT_CODED_BYTES = 7


class Decoder:
    """The frames of one video stream, in the order in which they are shown.

    Attributes:
        ahead: Times in seconds of the first packets with one, read before any is decoded.
        frames: Frames that came out whole.
        raised: Packets that the decoder refused, and frames that it marked as damaged; none of them is handed out.
        ended_s: Where the last packet that was read ends, in the stream's own time.
        broke_off: Why reading ended before the file did, or None.
        partial: The last packet lacks its end.
        last_failed: The last packet could not be decoded.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, *, by_order: bool = False) -> None:
        """
        Args:
            container: The open file.
            stream: The stream of it.
            by_order: The format stamps packets by their place (AVI): sorted, these are the frames' times.
        """
        self._container, self._stream = container, stream
        self._places: list[int] | None = [] if by_order else None
        self._codec = stream.codec_context
        rate = float(stream.average_rate or 0) or 30.0
        many = self._codec.width * self._codec.height * rate > ONE_THREAD_PX_S and not self._codec.is_hwaccel
        self._codec.thread_type = "AUTO" if many else "NONE"
        self._codec.thread_count = min(os.cpu_count() or 1, MOST_THREADS) if many else 1
        self.frames = self.raised = 0
        self.ended_s: float | None = None
        self.broke_off: Exception | None = None
        self.partial = self.last_failed = False
        self._fed = self._leading = 0
        self._key_pts: int | None = None
        self._interlaced = self._ended = False
        packets = self._read()
        begin, size = deque[Any](), 0
        for packet in packets:
            begin.append(packet)
            size += packet.size
            if len(begin) >= AHEAD_PACKETS or size >= AHEAD_BYTES:
                break
        base = stream.time_base
        self.ahead = [float(packet.pts * base) for packet in begin if packet.pts is not None and base is not None]
        self._packets: Iterator[Any] = chain(_emptied(begin), packets)

    @property
    def failed(self) -> int:
        """Frames that were tried and did not come. Those that the decoder still holds may: they count at the end."""
        if not self._ended:
            return self.raised
        silent = self._fed - self.frames - self.raised - self._leading
        if self._interlaced and self.frames + self.raised >= self._fed // 2:
            silent = 0  # a packet a field
        return self.raised + max(silent, 0)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        packet = next(self._packets, None)
        while packet is not None:
            following = next(self._packets, None)
            if following is None and packet.is_corrupt:
                # Cut off in its middle. Decoding it would give half a picture, and cost those that still wait.
                self.partial = True
            else:
                self._count(packet)
                yield from self._decode(packet)
            packet = following
        yield from self._decode(_end(self._stream))
        self._ended = True

    def _read(self) -> Iterator[Any]:
        """Packets with something in them, over damaged places of the file."""
        from av.error import FFmpegError, InvalidDataError

        failures = 0
        while failures < FAILED_READS:
            try:
                for packet in self._container.demux(self._stream):
                    # An empty one is a frame that the recorder left out; to the decoder it would be the end.
                    if packet.size and not packet.is_discard:
                        failures = 0
                        if not packet.is_corrupt:
                            self._reach(packet)
                        yield packet
                    elif packet.size:
                        yield packet
                    elif packet.dts is not None:
                        self._reach(packet)
                return
            except InvalidDataError as error:
                failures += 1
                broke_off: Exception = error
            except FFmpegError as error:
                self.broke_off = error
                return
        self.broke_off = broke_off

    def _reach(self, packet: Any) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.time_base is not None:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self.ended_s = end if self.ended_s is None else max(self.ended_s, end)

    def _count(self, packet: Any) -> None:
        """Whether a frame is to come of the packet."""
        if packet.is_keyframe:
            self._key_pts = packet.pts
        elif self._key_pts is None and not self.frames:
            return  # a recording that begins between two key frames
        if packet.is_discard or self._is_hidden(packet):
            return
        self._fed += 1
        if self._places is not None and packet.dts is not None:
            heappush(self._places, packet.dts)
        if None not in (packet.pts, self._key_pts) and packet.pts < self._key_pts:
            self._leading += 1  # of an open group: cannot be decoded where the group before it is missing

    def _is_hidden(self, packet: Any) -> bool:
        if self._codec.name in ("vp8", "libvpx"):
            return not memoryview(packet)[0] & 0x10  # RFC 6386 §9.1: show_frame
        return self._codec.name == "mpeg4" and packet.size <= _NOT_CODED_BYTES

    def _decode(self, packet: Any) -> Iterator[av.VideoFrame]:
        from av.error import EOFError as Ended
        from av.error import FFmpegError

        try:
            frames = self._codec.decode(packet)
        except Ended:
            return
        except FFmpegError:
            self.raised += 1
            self.last_failed = True
            if self._places:
                heappop(self._places)
            return
        for frame in frames:
            if self._places:
                frame.pts = heappop(self._places)
            self.last_failed = frame.is_corrupt
            self._interlaced = self._interlaced or frame.interlaced_frame
            if frame.is_corrupt:
                self.raised += 1
            else:
                self.frames += 1
                yield frame


def _end(stream: VideoStream) -> Any:
    """The packet at which a decoder gives what it holds, with the stream's times."""
    from av import Packet

    packet = Packet()
    if stream.time_base is not None:
        packet.time_base = stream.time_base
    return packet


def _emptied(items: deque[Any]) -> Iterator[Any]:
    while items:
        yield items.popleft()

"""A video with an end as a source: a file, or an address that serves one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rtface.capture.completeness import FirstBytes, Structure, end_of_fragments, structure
from rtface.capture.decoder import Decoder
from rtface.capture.deinterlace import Deinterlacer
from rtface.capture.media_time import MediaTime, frame_rate
from rtface.capture.pixels import BgrConverter
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system import filetype, opencv
from rtface.system.clock import Clock
from rtface.types import Frame

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.video.stream import VideoStream

#: A gap of this many frame times between two frames means that one between them may be missing …
GAP = 1.75
#: … and no more than so many seconds; a longer one is a pause.
LONGEST_GAP_S = 10.0
#: Containers whose headers count the frames, or give the video's own length: to less than a frame.
_EXACT = frozenset({"mov", "avi"})
#: … and those that give a length in their headers, of the longest stream. Elsewhere it is guessed from what is there.
_ROUGH = frozenset({"matroska", "flv", "asf"})
#: What a rough length may promise beyond the last frame.
ROUGH_S = 0.5
#: Seconds without an answer from a server.
TIMEOUT_S = 5.0
_COPY = "Copy it again from where it came from"


class VideoSource(Source):
    """Every frame of a video, upright, deinterlaced and as 8-bit BGR, at its own time.

    Frames that were tried and failed are counted and left out. A video that ends before its time gives what is there,
    then a `SourceError`.
    """

    def __init__(self, name: str, container: InputContainer, clock: Clock, path: Path | None, kind: str | None) -> None:
        """
        Args:
            name: What the user called it.
            container: The open video; closed by this source.
            clock: For the times.
            path: The file, where it is one: its structure is looked at.
            kind: The file's kind by its first bytes.

        Raises:
            SourceError: It holds no video, or no frame could be decoded.
        """
        self.name = name
        self._container, self._clock, self._path, self._kind = container, clock, path, kind
        self._format = container.format.name.split(",")[0]
        self._stream = _video_of(container, name, kind)
        _check_size(self._stream, container, name)
        self._decoder = Decoder(container, self._stream, by_order=self._format == "avi")
        declared = self._stream.average_rate or self._stream.guessed_rate
        exact = self._format in _EXACT
        self.fps = frame_rate(self._decoder.ahead, float(declared) if declared else None, exact=exact)
        start_s = (container.start_time or 0) / 1e6
        joined = bool(container.format.flags & _TS_DISCONT)
        self._time = MediaTime(max(start_s, 0.0), self.fps, joined=joined)
        self.frame_count = self._frame_count()
        self._bgr, self._deinterlacer = BgrConverter(), Deinterlacer()
        self._index = self._gaps = 0
        self._expected_s, self._slack_s = self._expected_end()
        self._structure: Structure | None = None  # looked at when the video has ended
        self._pictures = self._decode()
        self._next = next(self._pictures, None)
        if self._next is None:
            self.close()
            if self._is_cut():
                raise SourceError(name, f"is cut short ({kind or self._format})", _COPY)
            raise SourceError(name, "no frame of it could be decoded", "Check that it plays, or convert it to mp4")
        height, width = self._next.image.shape[:2]
        self.size_wh = (width, height)

    def read(self) -> Frame | None:
        frame, self._next = self._next, None
        if frame is not None:  # the first, decoded to see whether there is one
            return replace(frame, captured_at=self._clock.now())
        frame = next(self._pictures, None)
        if frame is None and self._is_cut():
            why = f"is cut short: {self._index} frames could be read"
            raise SourceError(self.name, why, f"Outputs hold those; {_COPY[0].lower()}{_COPY[1:]}")
        return frame

    def _decode(self) -> Iterator[Frame]:
        started = self._clock.now()
        for frame in self._whole():
            yield self._frame(frame, started)
            started = self._clock.now()

    def _whole(self) -> Iterator[av.VideoFrame]:
        for frame in self._decoder:
            yield from self._deinterlacer(frame)
        yield from self._deinterlacer.flush()

    def _frame(self, frame: av.VideoFrame, started: float) -> Frame:
        image = self._bgr(frame)
        last = self._time.last
        media_time = self._time.at(frame.time)
        if last is not None and self.fps is not None:
            steps = (media_time - last) * self.fps
            if steps > GAP and media_time - last <= LONGEST_GAP_S:
                self._gaps += round(steps) - 1
        self._index += 1
        return Frame(image=image, index=self._index - 1, captured_at=started, media_time=media_time)

    @property
    def corrupt(self) -> int:
        # A recording may pause: a gap alone is no damage. Frames that failed are within gaps.
        failed = self._decoder.failed
        facts = self._structure
        if facts is None:
            return failed
        if self._kind == "avi" and not facts.short and self._missing_s() > self._slack_s:
            return failed + round(self._missing_s() * (self.fps or 0.0))
        return max(failed, self._gaps) if facts.damaged else failed

    def _is_cut(self) -> bool:
        """Whether the video ended before its time."""
        if self._structure is None:
            self._structure = structure(self._path, self._kind) if self._path is not None else Structure()
        decoder = self._decoder
        if decoder.broke_off is not None or decoder.partial or self._structure.cut:
            return True
        if self._expected_s is None:
            return decoder.last_failed
        # An AVI's times are counts: frames that are missing in its middle shorten it as well.
        return self._missing_s() > self._slack_s and (self._kind != "avi" or self._structure.short)

    def _missing_s(self) -> float:
        """Seconds between the video's last frame and the end that the headers give."""
        return 0.0 if self._expected_s is None else self._expected_s - (self._decoder.ended_s or 0.0)

    def _expected_end(self) -> tuple[float | None, float]:
        """Where the headers say that the video ends, in the stream's own time, and how far to believe them."""
        stream, base = self._stream, self._stream.time_base
        frame_s = 1.0 / (self.fps or 25.0)
        if self._format == "avi" and stream.frames and stream.average_rate:
            return float(stream.frames / stream.average_rate), frame_s / 2
        if self._format == "mov" and stream.frames and stream.duration and base is not None:
            return float(((stream.start_time or 0) + stream.duration) * base), frame_s / 2
        if self._format in _ROUGH and self._container.duration and len(self._container.streams) == 1:
            start = self._container.start_time or 0
            return (start + self._container.duration) / 1e6, max(ROUGH_S, 2 * frame_s)
        return None, 0.0

    def _frame_count(self) -> int | None:
        stream, base = self._stream, self._stream.time_base
        seconds = float(stream.duration * base) if stream.duration and base is not None else None
        if seconds is None and self._container.duration:
            seconds = self._container.duration / 1e6
        guess = round(seconds * self.fps) if seconds and self.fps else 0
        if stream.frames and (not guess or abs(stream.frames - guess) <= max(2, guess // 20)):
            return stream.frames  # else an edit list leaves frames out
        return guess or None

    def close(self) -> None:
        self._container.close()


#: AVFMT_TS_DISCONT: times in the format may jump.
_TS_DISCONT = 0x0200


def _video_of(container: InputContainer, name: str, kind: str | None) -> VideoStream:
    """The video stream: not a cover picture."""
    from av.stream import Disposition

    streams = [
        one
        for one in container.streams.video
        if one.codec_context is not None and not one.disposition & Disposition.attached_pic
    ]
    if streams:
        return max(streams, key=lambda one: bool(one.disposition & Disposition.default))
    container.close()
    raise _no_video(name, kind)


def _check_size(stream: VideoStream, container: InputContainer, name: str) -> None:
    """Raises SourceError where frames are too large to be decoded; a header of a few bytes can promise gigabytes."""
    width, height = stream.codec_context.width, stream.codec_context.height
    if width * height > opencv.MAX_PIXELS or max(width, height) > opencv.MAX_SIDE_PX:
        container.close()
        mend = f"Shrink it to at most {opencv.MAX_PIXELS // 10**6} million px a frame"
        raise SourceError(name, f"is too large: {width}x{height} px", mend)
    # Frames may change their size: the decoder refuses those that are too large.
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(opencv.MAX_PIXELS)}


def open_video(name: str, path: Path, kind: str | None, clock: Clock, hwaccel: str = "none") -> VideoSource:
    """The video in a file.

    Args:
        name, path, kind, clock: As for `VideoSource`.
        hwaccel: What decodes it, as in `CaptureSettings`.

    Raises:
        SourceError: The file is cut short, holds no video, or is not a video.
    """
    if kind is None and filetype.is_text(path):
        raise _not_a_video(path)
    return VideoSource(name, _open_file(path, kind, hwaccel), clock, path, kind)


def has_several_frames(path: Path) -> bool:
    """Whether a file has more than one frame; False also where it cannot be read: who reads it says why."""
    import av
    from av.error import FFmpegError

    with suppress(FFmpegError, ValueError, IndexError), av.open("file:" + os.fspath(path)) as container:
        packets = (packet for packet in container.demux(video=0) if packet.size)
        return len(list(islice(packets, 2))) > 1
    return False


def _open_file(path: Path, kind: str | None, hwaccel: str) -> InputContainer:
    import av
    from av.error import FFmpegError

    # "file:" so that a colon or a digit pattern in a name means itself.
    address = "file:" + os.fspath(path)
    try:
        plain = av.open(address, metadata_errors="replace")
    except (FFmpegError, ValueError) as error:
        facts = structure(path, kind)
        if kind == "mp4" and (end := end_of_fragments(path)):
            with suppress(FFmpegError, ValueError):
                whole: Any = FirstBytes(path, end)
                container: InputContainer = av.open(whole, "r", metadata_errors="replace")
                return container
        if facts.cut or facts.short:
            raise SourceError(str(path), f"is cut short ({kind})", _COPY) from error
        if kind is None:
            raise _not_a_video(path) from error
        raise _no_video(str(path), kind) from error
    return plain if hwaccel == "none" else _accelerated(address, plain, hwaccel, path)


def _accelerated(address: str, plain: InputContainer, hwaccel: str, path: Path) -> InputContainer:
    """The file with a device that decodes it; with "auto", `plain` where there is none."""
    import av
    from av.codec.hwaccel import HWAccel, hwdevices_available
    from av.error import FFmpegError

    here = hwdevices_available()
    why = "this build of FFmpeg does not know it"
    for device in here if hwaccel == "auto" else [name for name in here if name == hwaccel]:
        try:
            # What the device cannot decode the CPU does.
            found = HWAccel(device_type=device, allow_software_fallback=True)
            container = av.open(address, metadata_errors="replace", hwaccel=found)
        except (FFmpegError, ValueError, RuntimeError, NotImplementedError) as error:
            why = f"the device cannot be opened: {error}"
            continue
        plain.close()
        return container
    if hwaccel == "auto":
        return plain
    plain.close()
    raise SourceError(str(path), f"cannot be decoded by {hwaccel}: {why}", "Use --set hwaccel=auto, or leave it out")


def open_url(name: str, url: str, clock: Clock) -> VideoSource:
    """The video that a web server has as a file.

    Raises:
        SourceError: It cannot be opened as a video, or holds none.
    """
    import av
    from av.error import FFmpegError

    try:
        container: Any = av.open(url, metadata_errors="replace", timeout=TIMEOUT_S)
    except (FFmpegError, ValueError) as error:
        mend = "Check the address, and that the server is up"
        raise SourceError(name, "cannot be opened as a video", mend) from error
    return VideoSource(name, container, clock, None, None)


def _no_video(name: str, kind: str | None) -> SourceError:
    why = f"holds no video that can be decoded ({kind})" if kind else "holds no video that can be decoded"
    return SourceError(name, why, "Check that it plays, or convert it to mp4")


def _not_a_video(path: Path) -> SourceError:
    return SourceError(str(path), "is not a video or picture", "Name a video, a picture, or a folder of pictures")

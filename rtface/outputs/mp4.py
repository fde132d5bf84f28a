"""An mp4 that grows: it plays in a browser, and what was written stays readable if the program or the machine dies.

It is written in fragments (ISO/IEC 14496-12 §8.8) of at most a second, each with a key frame first and each on the disk
before the next is begun. At the end an index for the whole is added, so that the finished file is an ordinary mp4.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import OutputError, UsageError, unknown

if TYPE_CHECKING:
    from rtface.system.files import PartFile

#: Longest fragment in seconds of the video.
FRAGMENT_S = 1.0
#: Ticks a second, at least: so fine are the times of a variable rate.
TICKS = 90000
#: A sample may last for 2^32 ticks; a longer pause is written as one of so many seconds.
LONGEST_S = 36000.0
#: How each encoder gives a frame out as soon as it has it, in good quality. Others are taken with a bit rate.
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "libx264": {"preset": "superfast", "crf": "23", "tune": "zerolatency"},
    "h264_nvenc": {"preset": "p4", "tune": "ll", "rc": "vbr", "cq": "23", "delay": "0", "forced-idr": "1"},
    "h264_qsv": {"async_depth": "1", "forced_idr": "1", "global_quality": "23"},
    "h264_amf": {"usage": "lowlatency"},
    "h264_videotoolbox": {"realtime": "1"},
    "libopenh264": {},
    "h264_mf": {},
    "h264_v4l2m2m": {},
}
#: Tried in this order where none is named.
DEFAULTS = ("libx264", "h264_videotoolbox", "libopenh264", "h264_mf")
#: Bits a pixel and frame for encoders that know no constant quality.
BITS_PER_PIXEL = 0.12
#: Pictures up to this size are encoded by one thread: it is enough, and slices for more cost quality.
ONE_THREAD_PX = 1280 * 720
# H.273: BT.601 matrix, primaries and transfer; limited range.
_BT601, _LIMITED = 6, 1


class Mp4Writer:
    """Pictures and their times into a file.

    Args:
        file: Where it goes; `mark`ed after each fragment.
        size_wh: Of all pictures; even.
        fps: The usual rate, for players that show one.
        encoder: By FFmpeg's name; None = the first of `DEFAULTS` that is here.

    Raises:
        OutputError: No encoder can be opened.
        OSError: The file cannot be written.
    """

    def __init__(self, file: PartFile, size_wh: tuple[int, int], fps: float, encoder: str | None) -> None:
        import av

        rate = Fraction(fps).limit_denominator(1001)
        ticks = rate.numerator * -(-TICKS // rate.numerator)
        self._base = Fraction(1, ticks)
        self._frame_ticks = max(round(ticks / rate), 1)
        self._file = file
        options = {"movflags": "hybrid_fragmented+frag_keyframe", "flush_packets": "1"}
        self._container: Any = av.open(file, "w", format="mp4", options=options)
        self._stream = self._open(self._names(encoder), size_wh, rate)
        self._last = self._key = -1

    def _names(self, encoder: str | None) -> tuple[str, ...]:
        if encoder is not None:
            return (encoder,)
        from av.codec import codecs_available

        return tuple(name for name in DEFAULTS if name in codecs_available)

    def _open(self, names: tuple[str, ...], size_wh: tuple[int, int], rate: Fraction) -> Any:
        import av
        from av.error import FFmpegError

        why: Exception | None = None
        for name in names:
            # Opened for a try: a stream cannot be taken back.
            context: Any = av.CodecContext.create(name, "w")
            _set_up(context, name, size_wh, rate, self._base)
            try:
                context.open()
            except FFmpegError as error:
                why = error
                continue
            stream = self._container.add_stream(name, rate=rate)
            stream.time_base = self._base
            _set_up(stream.codec_context, name, size_wh, rate, self._base)
            return stream
        what = f"encoder {names[0]}" if len(names) == 1 else "an H.264 encoder"
        raise OutputError(str(self._file.target), f"{what} cannot be opened ({why})", "Leave encoder= out") from why

    def write(self, picture: NDArray[np.uint8], at_s: float) -> None:
        """Add a picture.

        Args:
            picture: (H, W, 3) uint8 BGR.
            at_s: When it is shown, in seconds from the start; later than the last.

        Raises:
            OSError: The file cannot be written.
        """
        from av import VideoFrame

        planes = cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420)
        frame = VideoFrame.from_ndarray(np.asarray(planes, np.uint8), format="yuv420p")
        at = max(round(at_s / self._base), self._last + 1)
        if self._last >= 0:
            at = min(at, self._last + round(LONGEST_S / self._base))
        frame.pts, frame.time_base, self._last = at, self._base, at
        if self._key < 0 or at + self._frame_ticks > self._key + FRAGMENT_S / self._base:
            frame.pict_type, self._key = 1, at  # an I frame begins a fragment, and the last one is written out
        self._mux(self._stream.codec_context.encode(frame))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            packet.stream = self._stream
            packet.duration = self._frame_ticks  # of the last frame; others last until the next
            before = self._file.tell()
            self._container.mux(packet)
            if before and self._file.tell() > before:
                self._file.mark()

    def close(self) -> None:
        """Write what is left and the index.

        Raises:
            OSError: The file cannot be written to its end.
        """
        try:
            self._mux(self._stream.codec_context.encode(None))
        finally:
            self._container.close()


def _set_up(encoder: Any, name: str, size_wh: tuple[int, int], rate: Fraction, base: Fraction) -> None:
    width, height = encoder.width, encoder.height = size_wh
    encoder.pix_fmt, encoder.framerate, encoder.time_base = "yuv420p", rate, base
    options = dict(SETTINGS.get(name, {}))
    if "crf" not in options:
        encoder.bit_rate = int(width * height * float(rate) * BITS_PER_PIXEL)
    encoder.options = options
    encoder.gop_size, encoder.max_b_frames = 1 << 16, 0  # key frames are set by time; none waits for a later one
    if width * height <= ONE_THREAD_PX:
        encoder.thread_count = 1
    encoder.color_range, encoder.colorspace = _LIMITED, _BT601
    encoder.color_primaries = encoder.color_trc = _BT601


def check_encoder(name: str) -> str:
    """The name of a video encoder that is here.

    Raises:
        UsageError: It is none.
    """
    import av

    if name in av.codec.codecs_available:
        try:
            codec = av.Codec(name, "w")
        except ValueError:  # it only decodes
            raise UsageError(f"encoder {name}", "is a decoder", f"Use one such as {', '.join(SETTINGS)}") from None
        if codec.type == "video":
            return name
    here = [one for one in SETTINGS if one in av.codec.codecs_available]
    raise unknown("encoder", name, here, UsageError)

"""A video as a source: a file, or an address that serves one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system import filetype
from rtface.system.clock import Clock
from rtface.system.opencv import cv2, quiet
from rtface.types import Frame

#: Tries behind a frame that cannot be decoded where the file does not say how many frames it holds.
TRIES_UNKNOWN = 64
#: … and at most, where it says so: a damaged header may promise billions.
TRIES_MOST = 4096
#: A gap of this many frame times between two frames means that one between them is missing.
GAP = 1.75


class VideoSource(Source):
    """Every frame of a file. Those that cannot be decoded are counted and skipped.

    FFmpeg behind OpenCV says "no frame" at the end of the file and for a frame that is damaged; only frames that still
    come afterwards tell the two apart. Some decoders leave a damaged frame out without a word: then the
    next one's time has jumped, and fewer frames came than the file holds. An AVI has no times, but an exact count.
    """

    def __init__(
        self, name: str, capture: cv2.VideoCapture, clock: Clock, *, counted: bool = False, cut_short: bool = False
    ) -> None:
        """
        Args:
            name: What the user called it.
            capture: The open video; closed by this source.
            clock: For the times.
            counted: Its number of frames is exact.
            cut_short: The file is known to end before its end.

        Raises:
            SourceError: No frame could be decoded.
        """
        self.name = name
        self._capture = capture
        self._clock = clock
        self._counted = counted
        self._cut_short = cut_short
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.0 < fps <= 1000.0 else None
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.frame_count = count if count > 0 else None
        self._index = 0
        self._failed = 0  # reads that gave nothing, with a frame behind them
        self._gaps = 0  # frames missing between the times of two others
        self._media_time: float | None = None
        self._next = self._decode()
        if self._next is None:
            self.close()
            raise SourceError(name, "no frame of it could be decoded", "Check that it plays, or convert it to mp4")
        height, width = self._next.image.shape[:2]
        self.size_wh = (width, height)

    def read(self) -> Frame | None:
        frame, self._next = self._next, None
        frame = replace(frame, captured_at=self._clock.now()) if frame is not None else self._decode()
        if frame is None and self._cut_short:
            why = f"is cut short: {self._index} frames could be read"
            raise SourceError(self.name, why, "Outputs hold those; copy the file again from where it came from")
        return frame

    def _decode(self) -> Frame | None:
        for failures in range(self._tries()):
            started = self._clock.now()
            if not self._capture.grab():
                continue
            media_time = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
            decoded, image = self._capture.retrieve()
            if not decoded:
                continue
            self._failed += failures
            self._step_to(media_time)
            self._index += 1
            return Frame(image=image, index=self._index - 1, captured_at=started, media_time=self._media_time)
        return None

    def _tries(self) -> int:
        if self.frame_count is None:
            return TRIES_UNKNOWN
        left = self.frame_count - self._index - self._failed
        return min(max(left, 1), TRIES_MOST)

    def _step_to(self, media_time: float) -> None:
        frame_time = 1.0 / (self.fps or 25.0)
        last = self._media_time
        if last is not None:
            if media_time <= last:  # a file without times
                media_time = last + frame_time
            elif media_time - last > GAP * frame_time:
                self._gaps += round((media_time - last) / frame_time) - 1
        self._media_time = media_time

    @property
    def corrupt(self) -> int:
        # Known at the end. A recording may pause: a gap alone is no damage, frames in the file that did not come are.
        if self.frame_count is None or self._cut_short:
            return self._failed
        missing = max(self.frame_count - self._index - self._failed, 0)
        return self._failed + (missing if self._counted else min(self._gaps, missing))

    def close(self) -> None:
        self._capture.release()


def open_video(name: str, path: Path, kind: str | None, clock: Clock) -> VideoSource:
    """The video in a file.

    Raises:
        SourceError: The file is cut short, holds no video, or is not a video.
    """
    cut_short = filetype.is_cut_short(path, kind)
    capture = _open(path, kind, cut_short)
    return VideoSource(name, capture, clock, counted=kind == "avi", cut_short=cut_short)


def _open(path: Path, kind: str | None, cut_short: bool) -> cv2.VideoCapture:
    if kind is None and filetype.is_text(path):
        raise SourceError(str(path), "is not a video or picture", "Name a video, a picture, or a folder of pictures")
    with quiet():
        # By name FFmpeg only: other backends would take the digits in a name for a numbered series of pictures.
        capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if capture.isOpened():
        return capture
    if cut_short:
        raise SourceError(str(path), f"is cut short ({kind})", "Copy it again from where it came from")
    if kind is not None:
        why = f"holds no video that can be decoded ({kind})"
        raise SourceError(str(path), why, "Check that it plays, or convert it to mp4")
    raise SourceError(str(path), "is not a video or picture", "Name a video, a picture, or a folder of pictures")

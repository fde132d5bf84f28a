"""What was found, drawn: an mp4 of a run, or a picture of a still."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing import draw, hud
from rtface.drawing.status import status_lines
from rtface.errors import OutputError, UsageError
from rtface.outputs.mp4 import Mp4Writer, check_encoder
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink, tell_parts_left
from rtface.system.files import PartFile, atomic_write
from rtface.system.images import encoded
from rtface.types import FrameResult

DEFAULT_FPS = 25.0


class VideoSink(Sink):
    """An annotated mp4 (H.264).

    Written under another name beside its own, which it gets when it is whole: ``path`` is never half a video. A run
    that is killed leaves the part, readable to its last seconds. Each picture is shown at its frame's own time; those
    of a live source say in a corner at which level of quality they were made.
    """

    def __init__(self, path: Path, *, overwrite: bool = False, encoder: str | None = None) -> None:
        """
        Args:
            path: The video's name.
            overwrite: Whether a file that has it may be replaced.
            encoder: By FFmpeg's name, such as "h264_nvenc"; None = x264, or what the system has.

        Raises:
            UsageError: There is no such encoder.
        """
        self.name = str(path)
        self._path, self._overwrite = path, overwrite
        self._encoder = check_encoder(encoder) if encoder is not None else None
        self._part: PartFile | None = None
        self._writer: Mp4Writer | None = None
        self._live = False
        self._fps = DEFAULT_FPS
        self._size_wh = (0, 0)
        self._started_at = 0.0

    def open(self, info: RunInfo) -> None:
        self._live = info.live
        self._fps = info.fps or DEFAULT_FPS
        tell_parts_left(self._path, info, "; it plays")
        try:
            self._part = PartFile(self._path, overwrite=self._overwrite)
        except OSError as error:
            raise self._failed(error) from error

    def write(self, result: FrameResult) -> None:
        picture = draw(result.frame.image, result)
        hud(picture, status_lines(result, always=self._live))
        assert self._part is not None
        try:
            if self._writer is None:
                self._writer = self._start(result)
            self._writer.write(_fit(picture, self._size_wh), self._time(result))
        except OSError as error:
            raise self._failed(error) from error

    def _start(self, result: FrameResult) -> Mp4Writer:
        assert self._part is not None
        height, width = result.frame.image.shape[:2]
        self._size_wh = (max(width + width % 2, 16), max(height + height % 2, 16))  # 4:2:0 colour needs even sides
        self._started_at = result.captured_at
        return self.new_writer(self._part, self._size_wh, self._fps)

    def new_writer(self, part: PartFile, size_wh: tuple[int, int], fps: float) -> Mp4Writer:
        """What writes the file; for other formats."""
        return Mp4Writer(part, size_wh, fps, self._encoder)

    def _time(self, result: FrameResult) -> float:
        """When a frame is shown: in seconds from the first, where the source has no time of its own."""
        frame = result.frame
        if frame.media_time is not None:
            return frame.media_time
        return result.captured_at - self._started_at if self._live else frame.index / self._fps

    def finish(self, summary: dict[str, Any]) -> None:
        if self._writer is None or self._part is None:
            return
        try:
            self._writer.close()
            self._part.publish()
        except FileExistsError as error:
            why = f"appeared while the run went on, and is left alone; the video is {self._part.path}"
            raise OutputError(self.name, why, "Rename the one or the other; -y overwrites what is there") from error
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> OutputError:
        kept = self._part.keep() if self._part is not None else None
        why = f"cannot be written ({error.strerror or error})"
        if kept is not None:
            why += f"; up to there it is {kept}"
        return OutputError(self.name, why, mend(error))

    def close(self) -> None:
        if self._part is not None:
            self._part.keep()


class PictureSink(Sink):
    """An annotated picture of a single still."""

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        """
        Args:
            path: The picture's name; its ending says its format.
            overwrite: Whether a file that has it may be replaced.
        """
        self.name = str(path)
        self._path, self._overwrite = path, overwrite

    def open(self, info: RunInfo) -> None:
        """
        Raises:
            UsageError: The source has more than one frame.
        """
        if not info.stills or info.frame_count != 1:
            raise UsageError(self.name, f"is one picture, and {info.source} has many frames", "Name an .mp4 instead")

    def write(self, result: FrameResult) -> None:
        data = encoded(draw(result.frame.image, result), self._path.suffix)
        if data is None:
            raise OutputError(self.name, "could not be encoded", "Name a .png instead")
        try:
            with atomic_write(self._path, overwrite=self._overwrite) as file:
                file.write(data)
        except OSError as error:
            raise OutputError(self.name, f"cannot be written ({error.strerror})", mend(error)) from error


def mend(error: OSError) -> str:
    """What helps against an error of the file system."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Make room on the disk, or name another path"
    return "Check its folder, or name another path"


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> Sink:
    """The sink for a path, with what stands behind its ``?``: ``faces.mp4?encoder=h264_nvenc``.

    Raises:
        UsageError: A setting is unknown.
    """
    if path.suffix.lower() != ".mp4":
        settings.only()
        return PictureSink(path, overwrite=overwrite)
    settings.only("encoder")
    return VideoSink(path, overwrite=overwrite, encoder=settings.settings.get("encoder"))


def _fit(picture: NDArray[np.uint8], size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """The picture within the video's frame, shrunk where it is larger, black around it where it is smaller."""
    width, height = size_wh
    scale = min(width / picture.shape[1], height / picture.shape[0])
    if scale < 1.0:
        size = (max(int(picture.shape[1] * scale), 1), max(int(picture.shape[0] * scale), 1))
        picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    missing_y, missing_x = height - picture.shape[0], width - picture.shape[1]
    if not missing_x and not missing_y:
        return picture
    return np.asarray(cv2.copyMakeBorder(picture, 0, missing_y, 0, missing_x, cv2.BORDER_CONSTANT), np.uint8)

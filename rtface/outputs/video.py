"""What was found, drawn: an mp4 of a run, or a picture of a still."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing import draw, hud
from rtface.drawing.status import status_lines
from rtface.errors import OutputError, UsageError
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.opencv import quiet
from rtface.types import FrameResult

DEFAULT_FPS = 25.0
#: A live source that pauses for longer than this many seconds is shown as having paused for that long.
LONGEST_PAUSE_S = 10.0


class VideoSink(Sink):
    """An annotated mp4 (MPEG-4 Part 2, which every OpenCV can write).

    Written under another name beside its own and renamed when whole, so that ``path`` is never half a video. A file
    gives one picture a frame; a live source's pictures are repeated or left out so that the video keeps time. Those
    of a live source say in a corner at which level of quality they were made.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._part = path.with_name(f"{path.stem}.part{path.suffix}")
        self._writer: cv2.VideoWriter | None = None
        self._live = False
        self._fps = DEFAULT_FPS
        self._size_wh = (0, 0)
        self._written = 0
        self._started_at = 0.0

    def open(self, info: RunInfo) -> None:
        self._live = info.live
        self._fps = info.fps or DEFAULT_FPS

    def write(self, result: FrameResult) -> None:
        at = result.captured_at
        if self._writer is None:
            self._writer = self._start(result)
            self._started_at = at
        times = self._due(at) - self._written if self._live else 1
        if times <= 0:
            return
        picture = draw(result.frame.image, result)
        hud(picture, status_lines(result, always=self._live))
        picture = _fit(picture, self._size_wh)
        for _ in range(times):
            self._writer.write(picture)
        self._written += times

    def _start(self, result: FrameResult) -> cv2.VideoWriter:
        height, width = result.frame.image.shape[:2]
        self._size_wh = (max(width + width % 2, 16), max(height + height % 2, 16))  # 4:2:0 colour needs even sides
        with quiet():
            fourcc = cv2.VideoWriter.fourcc(*"mp4v")
            writer = cv2.VideoWriter(str(self._part), cv2.CAP_FFMPEG, fourcc, self._fps, self._size_wh)
        if not writer.isOpened():
            raise OutputError(self.name, "cannot be written as mp4", "Check that there is room, or name another path")
        return writer

    def _due(self, at: float) -> int:
        """Pictures that the video holds by now, if it keeps time."""
        seconds = at - self._started_at
        pause = seconds - self._written / self._fps
        if pause > LONGEST_PAUSE_S:
            self._started_at += pause - LONGEST_PAUSE_S
            seconds = at - self._started_at
        return int(seconds * self._fps) + 1

    def finish(self, summary: dict[str, Any]) -> None:
        if self._writer is None:
            return
        self._release()
        if not self._is_whole():
            raise OutputError(
                self.name, "could not be written to its end", "Make room on the disk, or name another path"
            )
        self._part.replace(self._path)

    def _is_whole(self) -> bool:
        # The writer says nothing of a full disk.
        with quiet():
            video = cv2.VideoCapture(str(self._part), cv2.CAP_FFMPEG)
        try:
            return video.isOpened() and video.get(cv2.CAP_PROP_FRAME_COUNT) >= self._written
        finally:
            video.release()

    def _release(self) -> None:
        if self._writer is not None:
            with quiet():
                self._writer.release()

    def close(self) -> None:
        self._release()
        if self._writer is not None:
            self._part.unlink(missing_ok=True)


class PictureSink(Sink):
    """An annotated picture of a single still."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path

    def open(self, info: RunInfo) -> None:
        """
        Raises:
            UsageError: The source has more than one frame.
        """
        if not info.stills or info.frame_count != 1:
            raise UsageError(self.name, f"is one picture, and {info.source} has many frames", "Name an .mp4 instead")

    def write(self, result: FrameResult) -> None:
        encoded, data = cv2.imencode(self._path.suffix, draw(result.frame.image, result))
        if not encoded:
            raise OutputError(self.name, "could not be encoded", "Name a .png instead")
        try:
            self._path.write_bytes(data.tobytes())
        except OSError as error:
            raise OutputError(self.name, f"cannot be written ({error.strerror})", "Name another path") from error


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

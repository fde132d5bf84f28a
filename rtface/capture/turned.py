"""A source whose pictures are turned or mirrored, and one that begins again at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtface.capture.settings import CaptureSettings
from rtface.capture.source import Source
from rtface.system.opencv import cv2
from rtface.types import Frame

_TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


class _Around(Source):
    """All of another source's facts."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.name, self.live, self.stills, self.fps = source.name, source.live, source.stills, source.fps
        self.frame_count, self.size_wh, self.notes = source.frame_count, source.size_wh, source.notes

    @property
    def corrupt(self) -> int:
        return self._source.corrupt

    @property
    def unreadable(self) -> tuple[str, ...]:
        return self._source.unreadable

    def close(self) -> None:
        self._source.close()


class Turned(_Around):
    """Each picture turned clockwise, then mirrored, as the settings say."""

    def __init__(self, source: Source, settings: CaptureSettings) -> None:
        super().__init__(source)
        self._settings = settings
        if settings.rotate in (90, 270):
            self.size_wh = source.size_wh[::-1]
        reopen = source.reopen
        if reopen is not None:
            self.reopen = lambda: Turned(reopen(), settings)

    def read(self) -> Frame | None:
        frame = self._source.read()
        return None if frame is None else replace(frame, image=turned(frame.image, self._settings))


def turned(image: NDArray[np.uint8], settings: CaptureSettings) -> NDArray[np.uint8]:
    """The picture (H, W, 3) as the settings have it: (W, H, 3) where it is turned by 90 or 270 degrees."""
    if settings.rotate:
        image = np.asarray(cv2.rotate(image, _TURNS[settings.rotate]))
    return np.asarray(cv2.flip(image, 1)) if settings.mirror else image


class Looped(_Around):
    """A file that begins again when it has ended; numbers and times go on."""

    frame_count = None

    def __init__(self, source: Source, again: Callable[[], Source]) -> None:
        super().__init__(source)
        self.frame_count = None
        self._again = again
        self._index = 0
        self._corrupt = 0
        self._offset_s, self._last_s = 0.0, 0.0

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            frame = self._begin_again()
        if frame is None:
            return None
        self._index += 1
        if frame.media_time is None:
            return replace(frame, index=self._index - 1)
        self._last_s = self._offset_s + frame.media_time
        return replace(frame, index=self._index - 1, media_time=self._last_s)

    def _begin_again(self) -> Frame | None:
        if not self._index:
            return None
        self._corrupt += self._source.corrupt
        self._source.close()
        self._source = self._again()
        self._offset_s = self._last_s + 1.0 / (self.fps or 25.0)
        return self._source.read()

    @property
    def corrupt(self) -> int:
        return self._corrupt + self._source.corrupt

"""A file that begins again when it is over, for demonstrations."""

from __future__ import annotations

from dataclasses import replace

from rtface.capture.open import open_source
from rtface.capture.source import Source
from rtface.system.clock import Clock, SystemClock
from rtface.types import Frame


class LoopedSource(Source):
    """Plays a file again and again; frames are numbered, and media time goes on, over all rounds.

    Args:
        name: File, folder of pictures, or "demo".
        clock: For tests.

    Raises:
        SourceError: It cannot be opened.
    """

    def __init__(self, name: str, clock: Clock | None = None) -> None:
        self.name = name
        self._clock = clock or SystemClock()
        self._source = open_source(name, self._clock)
        self.live, self.stills = self._source.live, self._source.stills
        self.fps, self.size_wh, self.reopen = self._source.fps, self._source.size_wh, self._source.reopen
        self._corrupt = 0
        self._index = 0
        self._offset_s = self._end_s = 0.0

    def read(self) -> Frame | None:
        frame = self._source.read()
        if frame is None:
            self._corrupt += self._source.corrupt
            self._source.close()
            self._source = open_source(self.name, self._clock)
            self._offset_s = self._end_s
            frame = self._source.read()
        return None if frame is None else self._placed(frame)

    def _placed(self, frame: Frame) -> Frame:
        media_time = None if frame.media_time is None else frame.media_time + self._offset_s
        self._end_s = (media_time or 0.0) + 1.0 / (self.fps or 25.0)
        self._index += 1
        return replace(frame, index=self._index - 1, media_time=media_time)

    @property
    def corrupt(self) -> int:
        return self._corrupt + self._source.corrupt

    def close(self) -> None:
        self._source.close()

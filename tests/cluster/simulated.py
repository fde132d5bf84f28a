"""Cameras that there are not; importable where an actor is."""

from __future__ import annotations

import time

import numpy as np

from rtface.capture.source import Source
from rtface.types import Frame


class SimulatedCamera(Source):
    """Grey pictures at a rate, for ever."""

    live = True
    size_wh = (160, 120)

    def __init__(self, name: str, fps: float = 5.0) -> None:
        self.name, self.fps = name, fps
        self._index, self._due = 0, 0.0

    def read(self) -> Frame | None:
        now = time.monotonic()
        self._due = max(self._due + 1.0 / (self.fps or 5.0), now)
        time.sleep(self._due - now)
        self._index += 1
        return Frame(np.full((120, 160, 3), 90, np.uint8), self._index, time.monotonic())

    def close(self) -> None:
        """There is nothing to release."""

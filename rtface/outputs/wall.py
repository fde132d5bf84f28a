"""A window with the pictures of several cameras side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import cv2

from rtface.drawing import draw
from rtface.drawing.status import status_lines
from rtface.drawing.tiles import sheet
from rtface.outputs.window import TITLE, WindowSink
from rtface.types import FrameResult

WALL_FPS = 15.0
"""Pictures a second: it is drawn by the thread that analyses, and each of them shows every camera."""

WALL_WIDTH_PX = 1280
GONE_S = 5.0
"""A camera that gave nothing for so long is no longer shown."""


class WallSink(WindowSink):
    """Shows the newest result of every camera. Keys as in `WindowSink`.

    Args:
        full_screen: Begin with the whole screen.
        clock: Monotonic seconds, for tests.
    """

    many_cameras = True

    def __init__(self, *, full_screen: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(full_screen=full_screen)
        self._clock = clock
        self._newest: dict[str, tuple[FrameResult, float]] = {}
        self._drawn_at, self._shape = -math.inf, (0, 0, 0)

    def write(self, result: FrameResult) -> None:
        now = self._clock()
        self._newest[result.camera] = result, now
        if now - self._drawn_at < 1.0 / WALL_FPS:
            return
        self._drawn_at = now
        self._newest = {name: one for name, one in self._newest.items() if now - one[1] < GONE_S}
        results = [one for _, (one, _) in sorted(self._newest.items())]
        columns = math.ceil(math.sqrt(len(results)))
        width = WALL_WIDTH_PX // columns
        height, across = results[0].frame.image.shape[:2]
        size = (width, max(round(width * height / across), 1))
        picture = sheet([(draw(one.frame.image, one), _caption(one)) for one in results], columns, size)
        assert picture is not None
        if picture.shape != self._shape:
            self._fit(picture)
            self._shape = picture.shape
        cv2.imshow(TITLE, picture)
        self.idle()


def _caption(result: FrameResult) -> str:
    status = "  ".join(status_lines(result)[:1])
    return f"{result.camera}  age {result.timing.age_ms:.0f} ms  {status}".strip()

"""A window with the picture, what was found, and a few figures."""

from __future__ import annotations

import os
from contextlib import suppress

import cv2

from rtface.draw import draw, hud
from rtface.errors import OutputError
from rtface.outputs.display import why_no_display
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.status import status_lines
from rtface.types import FrameResult

TITLE = "rtface"
QUIT_KEYS = frozenset({27, ord("q")})
#: Weight of the newest frame in the frame rate shown.
FPS_WEIGHT = 0.1


class WindowSink(Sink):
    """Shows each result. Esc, q or closing the window ends the run.

    Written by the thread that analyses: window libraries want the main thread.
    """

    name = "window"
    own_thread = False

    def __init__(self) -> None:
        self._opened = False
        self._shown = False
        self._last_at: float | None = None
        self._interval_s: float | None = None

    def open(self, info: RunInfo) -> None:
        mend = "Use --no-show, and -o for a file"
        why = why_no_display()
        if why is not None:
            raise OutputError(self.name, why, mend)
        # OpenCV's Qt comes without fonts and complains of it at every window; no text of ours needs them.
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false;qt.qpa.fonts.warning=false")
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
            self._opened = True
        except cv2.error as error:
            why = "this OpenCV was built without windows (opencv-python-headless?)"
            raise OutputError(self.name, why, f"pip install opencv-python. {mend}") from error

    def write(self, result: FrameResult) -> None:
        picture = draw(result.frame.image, result)
        hud(picture, self._figures(result))
        if not self._shown:
            cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
            self._shown = True
        cv2.imshow(TITLE, picture)
        self.idle()

    def idle(self) -> None:
        """Lets the window live while no picture comes: it can be closed, and Esc and q work."""
        if not self._shown:
            return
        key = cv2.waitKey(1) & 0xFF
        self.done = key in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1

    def _figures(self, result: FrameResult) -> list[str]:
        at = result.frame.captured_at
        if self._last_at is not None and at > self._last_at:
            interval = at - self._last_at
            before = self._interval_s
            self._interval_s = interval if before is None else before + FPS_WEIGHT * (interval - before)
        self._last_at = at
        timing = result.timing
        fps = f"{1.0 / self._interval_s:.1f} fps" if self._interval_s else ""
        first = f"{fps}  age {timing.age_ms:.1f} ms  work {timing.total_ms:.1f} ms".strip()
        return [first, *status_lines(result)]

    def close(self) -> None:
        if self._opened:
            with suppress(cv2.error):  # the user closed it
                cv2.destroyWindow(TITLE)

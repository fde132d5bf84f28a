"""A window with the picture, what was found, and a few figures."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing import draw, hud
from rtface.drawing.status import status_lines
from rtface.errors import OutputError
from rtface.outputs.sink import RunInfo, Sink
from rtface.types import FrameResult

TITLE = "rtface"
QUIT_KEYS = frozenset({27, ord("q")})
FULL_SCREEN_KEY = ord("f")
#: Weight of the newest frame in the frame rate shown.
FPS_WEIGHT = 0.1
X11_PORT = 6000
TIMEOUT_S = 1.0


class WindowSink(Sink):
    """Shows each result. Esc, q or closing the window ends the run; f fills the screen and gives it back.

    Written by the thread that analyses: window libraries want the main thread.

    Args:
        full_screen: Begin with the whole screen.
    """

    name = "window"
    own_thread = False

    def __init__(self, *, full_screen: bool = False) -> None:
        self._full_screen = full_screen
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
            self._fit(picture)
        cv2.imshow(TITLE, picture)
        self.idle()

    def idle(self) -> None:
        """Lets the window live while no picture comes: it can be closed, and Esc and q work."""
        if not self._shown:
            return
        try:
            key = cv2.waitKey(1) & 0xFF
            if key == FULL_SCREEN_KEY:
                self._fill(not self._full_screen)
            self.done = key in QUIT_KEYS or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:  # some window libraries raise once the window was closed by its X
            self.done = True

    def _fit(self, picture: NDArray[np.uint8]) -> None:
        """The window as large as the picture, or as the screen."""
        cv2.resizeWindow(TITLE, picture.shape[1], picture.shape[0])
        self._fill(self._full_screen)
        self._shown = True

    def _fill(self, whole: bool) -> None:
        self._full_screen = whole
        state = cv2.WINDOW_FULLSCREEN if whole else cv2.WINDOW_NORMAL
        with suppress(cv2.error):  # a window library without
            cv2.setWindowProperty(TITLE, cv2.WND_PROP_FULLSCREEN, state)

    def _figures(self, result: FrameResult) -> list[str]:
        at = result.captured_at
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


def why_no_display(env: Mapping[str, str] | None = None, platform: str = sys.platform) -> str | None:
    """Why there is no display to open a window on, or None where there is one."""
    if platform in ("win32", "darwin"):
        return None
    display = (os.environ if env is None else env).get("DISPLAY")
    if not display:
        # OpenCV's own Qt has only the X11 plugin: Wayland alone will not do.
        return "there is no display (DISPLAY is not set)"
    return None if _answers(display) else f"the display {display} does not answer"


def _answers(display: str) -> bool:
    match = re.fullmatch(r"(?:unix|([^:/]*)):(\d+)(?:\.\d+)?", display)
    if match is None:
        return True  # a form that we do not know: leave it to the window library
    host, number = match[1], int(match[2])
    try:
        if host:
            socket.create_connection((host, X11_PORT + number), TIMEOUT_S).close()
            return True
        with socket.socket(socket.AF_UNIX) as unix:
            unix.settimeout(TIMEOUT_S)
            unix.connect(f"/tmp/.X11-unix/X{number}")
    except OSError:
        return False
    return True

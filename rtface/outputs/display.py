"""Whether a window can be shown. Qt and GTK end the whole process where it cannot, so it is asked first."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Mapping

X11_PORT = 6000
TIMEOUT_S = 1.0


def why_no_display(env: Mapping[str, str] = os.environ, platform: str = sys.platform) -> str | None:
    """Why there is no display to open a window on, or None where there is one."""
    if platform in ("win32", "darwin"):
        return None
    display = env.get("DISPLAY")
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

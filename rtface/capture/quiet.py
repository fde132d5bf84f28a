"""Keeps OpenCV's and FFmpeg's own messages off stderr: what failed is said once, by our errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# FFmpeg's level is read once, when the first capture opens: before cv2 is asked for one. -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

__all__ = ["cv2", "quiet"]

# OpenCV 5 moved it into a module of its own.
_set_level = cv2.utils.logging.setLogLevel if hasattr(cv2.utils, "logging") else cv2.setLogLevel
SILENT = 0


class _Level:
    """OpenCV's log level is one for all threads: the last to leave puts back what the first found."""

    lock = threading.Lock()
    depth = 0
    before = 0


@contextmanager
def quiet() -> Iterator[None]:
    """No messages from OpenCV within."""
    with _Level.lock:
        _Level.depth += 1
        if _Level.depth == 1:
            _Level.before = _set_level(SILENT)
    try:
        yield
    finally:
        with _Level.lock:
            _Level.depth -= 1
            if not _Level.depth:
                _set_level(_Level.before)

"""Keeps OpenCV's and FFmpeg's own messages off stderr: what failed is said once, by our errors."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# FFmpeg's level is read once, when the first capture opens: before cv2 is asked for one. -8 is AV_LOG_QUIET.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

# `MAX_PIXELS`, read once when cv2 is imported; `image_bytes` looks at a picture's header before that.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "120000000")

import cv2

#: A larger picture, in px, is not decoded: 360 MB as BGR.
MAX_PIXELS = 120_000_000
#: OpenCV's warps address a picture with 16-bit coordinates.
MAX_SIDE_PX = 32766

__all__ = ["MAX_PIXELS", "MAX_SIDE_PX", "cv2", "quiet"]

# OpenCV 5 moved it into a module of its own.
_log: Any = getattr(cv2.utils, "logging", cv2)
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
            _Level.before = _log.setLogLevel(SILENT)
    try:
        yield
    finally:
        with _Level.lock:
            _Level.depth -= 1
            if not _Level.depth:
                _log.setLogLevel(_Level.before)

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


class OneThread:
    """Keeps OpenCV at one thread until `release`; the last to release gives the setting of before back.

    OpenCV's thread pool and ONNX Runtime's would fight for the same cores: a frame with detection took 7.1 ms with
    OpenCV's default and 4.5 ms with one thread (2 cores, 640x480). The setting is the process's.
    """

    _lock = threading.Lock()
    _holders = 0
    _before = 0

    def __init__(self) -> None:
        self._held = True
        with OneThread._lock:
            if not OneThread._holders:
                OneThread._before = cv2.getNumThreads()
                cv2.setNumThreads(1)
            OneThread._holders += 1

    def release(self) -> None:
        """Idempotent."""
        with OneThread._lock:
            if self._held:
                self._held = False
                OneThread._holders -= 1
                if not OneThread._holders:
                    cv2.setNumThreads(OneThread._before)

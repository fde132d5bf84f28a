"""Cameras and network streams as sources: frames come at their own pace."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rtface.capture.source import Source
from rtface.capture.video import open_url
from rtface.errors import SourceError
from rtface.system.clock import Clock
from rtface.system.opencv import cv2, quiet
from rtface.types import Frame

#: Reads in a row that may fail before a stream counts as lost …
FAILED_READS = 10
#: … unless they take this share of the read timeout: then each of them ran into it.
FAILED_SHARE = 0.8
OPEN_TIMEOUT_MS = 5000
READ_TIMEOUT_MS = 5000
#: What such an address serves may have an end, and is then a file; all others are live whatever the server says.
FILE_SCHEMES = frozenset({"http", "https", "ftp", "file"})


class _CaptureSource(Source):
    """Frames of an open cv2.VideoCapture, stamped when they were grabbed, before they are decoded."""

    live = True

    def __init__(self, name: str, capture: cv2.VideoCapture, clock: Clock, lost: SourceError) -> None:
        self.name = name
        self._capture = capture
        self._clock = clock
        self._lost = lost
        self._index = 0
        self._failed = 0
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.0 < fps <= 1000.0 else None
        self.size_wh = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))

    def read(self) -> Frame | None:
        began = self._clock.now()
        for failures in range(FAILED_READS):
            with quiet():
                grabbed = self._capture.grab()
                captured_at = self._clock.now()
                decoded, image = self._capture.retrieve() if grabbed else (False, None)
            if decoded and image is not None:
                self._failed += failures
                self._index += 1
                return Frame(image=image, index=self._index - 1, captured_at=captured_at)
            if captured_at - began >= FAILED_SHARE * READ_TIMEOUT_MS / 1000.0:
                break
        raise self._lost

    @property
    def corrupt(self) -> int:
        return self._failed

    def close(self) -> None:
        self._capture.release()


class CameraSource(_CaptureSource):
    """A camera by its index."""

    def __init__(self, index: int, clock: Clock) -> None:
        """
        Raises:
            SourceError: There is no such camera, or it gives no picture.
        """
        name = f"camera {index}"
        self.reopen = lambda: CameraSource(index, clock)
        with quiet():
            capture = cv2.VideoCapture(index)
        if not capture.isOpened():
            raise SourceError(name, "is not there, or may not be opened", "rtface cameras lists those that are")
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest one kept
        lost = SourceError(name, "gives no picture", "Plug it in again, or end the program that uses it")
        super().__init__(name, capture, clock, lost)


class NetworkSource(_CaptureSource):
    """A stream from an address: rtsp://, or MJPEG over http://."""

    def __init__(self, url: str, capture: cv2.VideoCapture, clock: Clock) -> None:
        name = without_password(url)
        lost = SourceError(name, "the stream ended or was lost", "Check the server, then start again")
        self.reopen = lambda: NetworkSource(url, _open(url), clock)
        super().__init__(name, capture, clock, lost)


def open_address(url: str, clock: Clock) -> Source:
    """What an address serves: a stream, or over HTTP a video with an end, which is read like a file.

    Raises:
        SourceError: It cannot be opened as a video.
    """
    try:
        scheme = urlsplit(url).scheme.lower()
    except ValueError as error:  # half an IPv6 address
        raise SourceError(url, f"is no address ({error})", "Compare it with rtsp://camera.local/stream") from error
    capture = _open(url)
    if scheme in FILE_SCHEMES and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0:
        capture.release()
        return open_url(without_password(url), url, clock)
    return NetworkSource(url, capture, clock)


def _open(url: str) -> cv2.VideoCapture:
    settings = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS),
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS),
        *(cv2.CAP_PROP_N_THREADS, 1),  # each decoder thread more holds a frame back
    ]
    with quiet():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, settings)
    if not capture.isOpened():
        mend = "Check the address, and that the server is up"
        raise SourceError(without_password(url), "cannot be opened as a video", mend)
    return capture


def without_password(url: str) -> str:
    """The address as it may be shown and written: ``rtsp://user:…@host/path``."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name, colon, _ = user.partition(":")
    return parts._replace(netloc=f"{name}{colon}…{at}{host}").geturl() if colon else url


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that opens: its index, its name where the system tells, and the picture it gives by default."""

    index: int
    name: str
    width_px: int
    height_px: int
    fps: float


def list_cameras(limit: int = 10) -> list[CameraInfo]:
    """The cameras with an index below ``limit`` that can be opened now."""
    return list(_probe(limit))


def _probe(limit: int) -> Iterator[CameraInfo]:
    for index in range(limit):
        if sys.platform == "linux" and not Path(f"/dev/video{index}").exists():
            continue
        with quiet():
            capture = cv2.VideoCapture(index)
        if capture.isOpened():
            yield CameraInfo(
                index=index,
                name=_camera_name(index),
                width_px=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
                height_px=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
                fps=float(capture.get(cv2.CAP_PROP_FPS)),
            )
        capture.release()


def _camera_name(index: int) -> str:
    try:
        return Path(f"/sys/class/video4linux/video{index}/name").read_text().strip()
    except OSError:
        return ""

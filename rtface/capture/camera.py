"""Cameras as sources: frames come at their own pace."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtface.capture.settings import AS_IT_COMES, CaptureSettings
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system.clock import Clock
from rtface.system.opencv import cv2, quiet
from rtface.types import Frame

#: Reads in a row that may fail before a stream counts as lost …
FAILED_READS = 10
#: … unless they take this share of the read timeout: then each of them ran into it.
FAILED_SHARE = 0.8
OPEN_TIMEOUT_MS = 5000
#: Number of video4linux among Linux's devices.
V4L_MAJOR = 81
READ_TIMEOUT_MS = 5000


class CaptureSource(Source):
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


class CameraSource(CaptureSource):
    """A camera by its index, or by a name of its device that stays: ``/dev/v4l/by-id/usb-…-video-index0``."""

    def __init__(self, camera: int | Path, clock: Clock, settings: CaptureSettings = AS_IT_COMES) -> None:
        """
        Raises:
            SourceError: There is no such camera, or it gives no picture.
        """
        # The index that a name stands for is looked up at every opening: it may be another one after a replug.
        self.reopen = lambda: CameraSource(camera, clock, settings)
        index = camera if isinstance(camera, int) else index_of(camera)
        name = f"camera {camera}" if isinstance(camera, int) else str(camera)
        mend = "rtface cameras lists those that are"
        if index is None:
            raise SourceError(str(camera), "is not there", f"Plug it in; {mend}")
        with quiet():
            capture = cv2.VideoCapture(index)
        if not capture.isOpened():
            raise SourceError(f"camera {index}", "is not there, or may not be opened", mend)
        _ask(capture, settings)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame, not the oldest one kept
        lost = SourceError(name, "gives no picture", "Plug it in again, or end the program that uses it")
        super().__init__(name, capture, clock, lost)
        self.notes = tuple(_refused(self.size_wh, self.fps, settings))


def is_camera(path: Path) -> bool:
    """Whether a path is that of a camera: a device of video4linux, or a name below /dev/v4l that may be absent now."""
    try:
        facts = path.stat()
        return stat.S_ISCHR(facts.st_mode) and os.major(facts.st_rdev) == V4L_MAJOR
    except (OSError, ValueError):
        return path.is_relative_to("/dev/v4l")


def index_of(path: Path) -> int | None:
    """The index of the camera behind a path or the links to it; None where there is none now."""
    try:
        device = path.resolve(strict=True)
        number = device.name.removeprefix("video")
        return int(number) if number.isdecimal() else os.minor(device.stat().st_rdev)
    except OSError:
        return None


def _ask(capture: cv2.VideoCapture, settings: CaptureSettings) -> None:
    """The camera's mode: how it packs its pictures first, as that decides which sizes and rates there are."""
    if settings.fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc))
    if settings.size_wh is not None:
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.size_wh[0])
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.size_wh[1])
    if settings.fps is not None:
        capture.set(cv2.CAP_PROP_FPS, settings.fps)


def _refused(size_wh: tuple[int, int], fps: float | None, settings: CaptureSettings) -> Iterator[str]:
    if settings.size_wh is not None and settings.size_wh != size_wh:
        yield "asked for {}x{}, gives {}x{}".format(*settings.size_wh, *size_wh)
    if settings.fps is not None and fps is not None and abs(fps - settings.fps) > 0.5:
        yield f"asked for {settings.fps:g} fps, gives {fps:g}"


@dataclass(frozen=True, slots=True)
class CameraInfo:
    """A camera that opens: its index, its name where the system tells, and the picture it gives by default.

    `links` are names that it has after a replug and a reboot too: Linux's ``/dev/v4l/by-id`` and ``by-path``.
    """

    index: int
    name: str
    width_px: int
    height_px: int
    fps: float
    links: tuple[str, ...] = ()


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
                links=stable_names(Path(f"/dev/video{index}")),
            )
        capture.release()


def stable_names(device: Path, folder: Path = Path("/dev/v4l")) -> tuple[str, ...]:
    """Links to a camera's device, those that name the camera before those that name where it is plugged in."""
    links = [link for kind in ("by-id", "by-path") for link in sorted((folder / kind).glob("*"))]
    return tuple(str(link) for link in links if link.resolve() == device.resolve())


def _camera_name(index: int) -> str:
    try:
        return Path(f"/sys/class/video4linux/video{index}/name").read_text().strip()
    except OSError:
        return ""

"""Which source a name means."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from rtface.capture.camera import CameraSource, open_address
from rtface.capture.images import PictureSource, pictures_in
from rtface.capture.source import Source
from rtface.capture.video import open_video
from rtface.errors import SourceError
from rtface.system import filetype
from rtface.system.clock import Clock, SystemClock
from rtface.system.images import check_file
from rtface.system.opencv import cv2


def open_source(source: int | str | Path, clock: Clock | None = None) -> Source:
    """Open a camera (index), a file, a folder of pictures, an rtsp/http URL, or ``"demo"``.

    Raises:
        SourceError: It cannot be opened; the message tells missing, empty, cut short and "not a video" apart.
    """
    clock = clock or SystemClock()
    name = str(source)
    camera = name.removeprefix("/dev/video")
    if camera.isdecimal():
        return CameraSource(int(camera), clock)
    if "://" in name:
        return open_address(name, clock)
    path = demo_clip() if name == "demo" else Path(name).expanduser()
    if path.is_dir():
        return PictureSource(name, pictures_in(path), clock)
    kind = check_file(path)
    # OpenCV calls a GIF a picture; it may be a clip.
    if kind != "gif" and (kind in filetype.PICTURES or cv2.haveImageReader(str(path))):
        return PictureSource(name, [path], clock)
    return open_video(name, path, kind, clock)


def demo_clip() -> Path:
    """The clip that ships in the package.

    Raises:
        SourceError: This installation is without it.
    """
    path = Path(str(resources.files("rtface"))) / "assets" / "demo.mp4"
    if not path.is_file():
        raise SourceError("demo", "the clip is missing from this installation", "pip install --force-reinstall rtface")
    return path

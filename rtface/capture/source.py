"""What every source of frames is, and which one a name means."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from importlib import resources
from pathlib import Path

from rtface.capture import container
from rtface.capture.image import check_file
from rtface.capture.quiet import cv2
from rtface.clock import Clock, SystemClock
from rtface.errors import SourceError
from rtface.types import Frame


class Source(ABC):
    """Frames, one after the other. A context manager that closes itself.

    Attributes:
        name: What the user called it.
        live: Frames come at their own pace, and one that is not taken is lost: a camera, a network stream.
        stills: Frames have nothing to do with one another: pictures.
        fps: Frames in a second, or None where unknown.
        frame_count: Frames in all, as far as the source knows; None where unknown.
        size_wh: Width and height in px of the first frame.
        reopen: Opens it anew after it was lost; None where that makes no sense: a file.
        corrupt: Frames in the middle that could not be decoded and were skipped.
    """

    name: str
    live: bool = False
    stills: bool = False
    fps: float | None = None
    frame_count: int | None = None
    size_wh: tuple[int, int] = (0, 0)
    reopen: Callable[[], Source] | None = None

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, or None after the last.

        Raises:
            SourceError: The source broke off.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the device or file."""

    @property
    def corrupt(self) -> int:
        return 0

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_source(source: int | str | Path, clock: Clock | None = None) -> Source:
    """Open a camera (index), a file, a folder of pictures, an rtsp/http URL, or ``"demo"``.

    Raises:
        SourceError: It cannot be opened; the message tells missing, empty, cut short and "not a video" apart.
    """
    # Imported here: these modules import this one.
    from rtface.capture.camera import CameraSource, open_address
    from rtface.capture.pictures import PictureSource, pictures_in
    from rtface.capture.video import open_video

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
    if kind != "gif" and (kind in container.PICTURES or cv2.haveImageReader(str(path))):
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

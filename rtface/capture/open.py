"""Which source a name means."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from rtface.capture.address import open_address
from rtface.capture.camera import CameraSource, is_camera
from rtface.capture.gstreamer import PREFIX, GstSource
from rtface.capture.images import PictureSource, pictures_in
from rtface.capture.reconnecting import Reconnect
from rtface.capture.settings import AS_IT_COMES, CaptureSettings
from rtface.capture.source import Source
from rtface.capture.turned import Looped, Turned
from rtface.capture.video import has_several_frames, open_video
from rtface.errors import SourceError
from rtface.system import filetype
from rtface.system.addresses import shown_address
from rtface.system.clock import Clock, SystemClock
from rtface.system.images import check_file
from rtface.system.paths import expanded, is_folder

#: What a file of one JPEG behind the other is called; its first bytes are those of a picture.
MOTION_JPEG = (".mjpeg", ".mjpg")
#: While a source is waited for, its user hears about so often that it is, in seconds.
BEAT_S = 0.5


def open_source(
    source: int | str | Path, clock: Clock | None = None, settings: CaptureSettings = AS_IT_COMES
) -> Source:
    """Open a camera, a file, a folder of pictures, an address, a GStreamer pipeline, or ``"demo"``.

    Args:
        source: A camera's index, or a path of its device; the path of a file or a folder; an address such as
            ``rtsp://camera.local/stream``; ``gst:`` and a pipeline. A file or folder that is there wins over a camera
            of that number: ``2024``.
        clock: For the times; None = the system's.
        settings: What a camera is asked for, and how pictures are turned.

    Raises:
        SourceError: It cannot be opened; the message tells missing, empty, cut short and "not a video" apart.
    """
    clock = clock or SystemClock()

    def opened() -> Source:
        return _open(source, clock, settings)

    found = opened()
    if settings.loop and not found.live:
        found = Looped(found, opened)
    return Turned(found, settings) if settings.rotate or settings.mirror else found


def open_waiting(
    source: int | str | Path,
    clock: Clock,
    settings: CaptureSettings,
    reconnect: Reconnect,
    on_wait: Callable[[SourceError], None],
    stop: threading.Event,
    on_idle: Callable[[float], None] | None = None,
) -> Source:
    """Open a source; a camera, stream or pipeline that is not there yet is waited for.

    Args:
        source: What `open_source` takes.
        clock: For the times, and for how long it is waited.
        settings: What a camera is asked for, and how pictures are turned.
        reconnect: How often it is tried, and when it is given up.
        on_wait: Called once, with why it cannot be opened, when it is waited for.
        stop: Set when nobody waits any more.
        on_idle: Called about twice a second between two tries, with the seconds since the first.

    Raises:
        SourceError: It is a file that cannot be opened, was given up, or nobody waits any more.
    """
    started, tries = clock.now(), 0
    while True:
        try:
            return open_source(source, clock, settings)
        except SourceError as error:
            if not _may_come(source) or reconnect.gives_up(clock.now() - started):
                raise
            if not tries:
                on_wait(error)
        if _stopped(clock, stop, reconnect.pause_s(tries), lambda: on_idle and on_idle(clock.now() - started)):
            raise SourceError(shown_address(str(source)), "was not there when the run was stopped", "Start it again")
        tries += 1


def _stopped(clock: Clock, stop: threading.Event, seconds: float, beat: Callable[[], object]) -> bool:
    """Wait, with a beat now and then; whether it was stopped."""
    end = clock.now() + seconds
    while not stop.is_set() and (left := end - clock.now()) > 0:
        clock.wait(stop, min(left, BEAT_S))
        beat()
    return stop.is_set()


def check_there(source: int | str | Path | Source) -> None:
    """Find a file's name that is wrong before anything is opened; what may come later is let through.

    Raises:
        SourceError: There is no such file.
    """
    if isinstance(source, Source) or _may_come(source):
        return
    path = _path_of(str(source))
    if not is_folder(path) and not is_camera(path):
        check_file(path)


def _may_come(source: int | str | Path) -> bool:
    """Whether a source that is not there may be so later: all but files."""
    name = str(source)
    return isinstance(source, int) or name.isdecimal() or "://" in name or name.startswith(("/dev/", PREFIX))


def _open(source: int | str | Path, clock: Clock, settings: CaptureSettings) -> Source:
    name = str(source)
    if isinstance(source, int):
        return CameraSource(source, clock, settings)
    if isinstance(source, str) and not os.path.lexists(name):
        special = _special(name, clock, settings)
        if special is not None:
            return special
    path = _path_of(name)
    if is_camera(path):
        return CameraSource(path, clock, settings)
    if is_folder(path):
        return PictureSource(name, pictures_in(path), clock)
    kind = check_file(path)
    if kind == "playlist":
        raise SourceError(name, "is a playlist, which could name any file", "Give the address that it comes from")
    if _is_picture(path, kind):
        return PictureSource(name, [path], clock)
    return open_video(name, path, kind, clock, settings.hwaccel)


def _is_picture(path: Path, kind: str | None) -> bool:
    """Whether a file has one picture: a GIF may be a clip, and a row of JPEGs is a video by its name only."""
    if kind == "gif":
        return not has_several_frames(path)
    return kind in filetype.PICTURES and path.suffix.lower() not in MOTION_JPEG


def _special(name: str, clock: Clock, settings: CaptureSettings) -> Source | None:
    """What a name means that is no path: a camera, an address, a pipeline; None for all others."""
    camera = name.removeprefix("/dev/video")
    if camera.isdecimal() and camera.isascii():
        return CameraSource(int(camera), clock, settings)
    if name.startswith(PREFIX):
        return GstSource(name.removeprefix(PREFIX), clock, settings)
    if "://" in name and not name.lower().startswith("file://"):
        return open_address(name, clock)
    return None


def _path_of(name: str) -> Path:
    if name == "demo" and not os.path.lexists(name):
        return demo_clip()
    if name.lower().startswith("file://"):
        return Path(unquote(urlsplit(name).path))
    return expanded(name)


def demo_clip() -> Path:
    """The clip that ships in the package.

    Raises:
        SourceError: This installation is without it.
    """
    path = Path(str(resources.files("rtface"))) / "assets" / "demo.mp4"
    if not path.is_file():
        raise SourceError("demo", "the clip is missing from this installation", "pip install --force-reinstall rtface")
    return path

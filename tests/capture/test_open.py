"""Which source a name means."""

from __future__ import annotations

import itertools
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

import cv2
import pytest

from rtface.capture import open as opening
from rtface.capture.camera import index_of, is_camera
from rtface.capture.files import expand
from rtface.capture.open import open_source, open_waiting
from rtface.capture.reconnecting import Reconnect
from rtface.capture.settings import AS_IT_COMES, CaptureSettings
from rtface.errors import SourceError
from rtface.system.clock import SystemClock
from rtface.testing import FakeClock
from tests.media import picture, write_video


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_there_wins_over_a_camera_of_that_number(here: Path) -> None:
    (here / "2024").mkdir()
    cv2.imwrite(str(here / "2024" / "a.png"), picture())
    cv2.imwrite(str(here / "7.png"), picture())
    (here / "7.png").rename(here / "7")
    for name in ("2024", Path("2024"), "7", Path("7")):
        with open_source(name) as source:
            assert source.stills and source.read() is not None
    with pytest.raises(SourceError, match="8: does not exist"):
        open_source(Path("8"))
    with pytest.raises(SourceError, match="camera 98: is not there"):
        open_source("98")


def test_a_file_may_be_called_demo_or_like_an_address(here: Path) -> None:
    cv2.imwrite(str(here / "x.png"), picture())
    (here / "x.png").rename(here / "demo")
    with open_source("demo") as source:
        assert source.stills


def test_a_file_address_is_a_path(here: Path) -> None:
    write_video(here / "a b.mp4")
    with open_source(f"file://{here}/a%20b.mp4") as source:
        assert source.read() is not None


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="making a device needs root on Linux")
def test_a_camera_by_a_name_that_stays(here: Path) -> None:
    try:
        os.mknod("video7", 0o600 | 0o020000, os.makedev(81, 7))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    (here / "by-id").mkdir()
    link = here / "by-id" / "usb-Cam-video-index0"
    link.symlink_to("../video7")
    assert is_camera(link) and index_of(link) == 7
    with pytest.raises(SourceError, match="camera 7: is not there"):
        open_source(link)


def test_a_camera_that_is_unplugged_is_no_missing_file() -> None:
    with pytest.raises(SourceError, match=r"is not there. Plug it in"):
        open_source("/dev/v4l/by-id/usb-Nobody_Camera-video-index0")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev")
def test_a_device_that_is_no_camera_is_refused() -> None:
    with pytest.raises(SourceError, match="is a device, not a video or picture"):
        open_source("/dev/null")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(here: Path) -> None:
    os.mkfifo(here / "clip.mp4")
    for name in ("clip.mp4", here / "clip.mp4"):
        with pytest.raises(SourceError, match="is a pipe"):
            open_source(name)


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile {}\n"])
def test_a_playlist_opens_no_file_of_this_machine(here: Path, content: str) -> None:
    (here / "list.m3u8").write_text(content.format(write_video(here / "private.mp4")))
    with pytest.raises(SourceError, match="is a playlist"):
        open_source("list.m3u8")


@pytest.mark.parametrize("address", ["gopher://host/x", "rtps://host/x", "concat://a", "subfile:///etc/passwd", "://x"])
def test_an_unknown_scheme_is_refused_by_its_name(address: str) -> None:
    with pytest.raises(SourceError, match=r"addresses of the kind .* are not read"):
        open_source(address)


def test_pictures_are_turned_then_mirrored(here: Path) -> None:
    image = picture()
    cv2.imwrite("a.png", image)
    for degrees, turn in ((90, 0), (180, 1), (270, 2)):
        with open_source("a.png", settings=CaptureSettings(rotate=degrees, mirror=True)) as source:
            frame = source.read()
            assert frame is not None
            expected = cv2.flip(cv2.rotate(image, turn), 1)
            assert (frame.image == expected).all()
            assert source.size_wh == (expected.shape[1], expected.shape[0])


def test_a_file_begins_again(here: Path) -> None:
    with open_source(write_video(here / "a.mp4", frames=5), settings=CaptureSettings(loop=True)) as source:
        frames = [source.read() for _ in range(12)]
    assert [frame.index for frame in frames if frame] == list(range(12))
    times = [frame.media_time for frame in frames if frame]
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]  # type: ignore[operator]
    assert all(abs(step - 0.04) < 1e-3 for step in steps)


def test_a_source_that_is_not_there_is_waited_for_and_a_file_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told, tries = FakeClock(), [], []

    def opened(source: object, *_: object) -> object:
        tries.append(source)
        if len(tries) < 4:
            raise SourceError("camera 0", "is not there", "Plug it in")
        return "the camera"

    monkeypatch.setattr(opening, "open_source", opened)
    assert open_waiting("0", clock, AS_IT_COMES, Reconnect(), told.append, threading.Event()) == "the camera"
    assert len(tries) == 4 and len(told) == 1
    tries.clear()
    with pytest.raises(SourceError):
        open_waiting("missing.mp4", clock, AS_IT_COMES, Reconnect(), told.append, threading.Event())
    with pytest.raises(SourceError):
        open_waiting(0, clock, AS_IT_COMES, Reconnect(give_up_s=0.0), told.append, threading.Event())
    assert len(told) == 1


def test_who_waits_for_a_source_hears_of_it_and_may_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, beats = threading.Event(), []

    def missing(source: object, *_: object) -> object:
        raise SourceError("camera 0", "is not there", "Plug it in")

    def beat(seconds: float) -> None:
        beats.append(seconds)
        if len(beats) == 5:
            stop.set()

    monkeypatch.setattr(opening, "open_source", missing)
    with pytest.raises(SourceError, match="was not there when the run was stopped"):
        open_waiting("0", FakeClock(), AS_IT_COMES, Reconnect(), lambda error: None, stop, beat)
    assert len(beats) == 5 and beats == sorted(beats) and beats[0] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux")
def test_names_that_are_not_utf8(here: Path) -> None:
    video, still = (os.fsdecode(os.fsencode(here) + name) for name in (b"/Stra\xdfe.mp4", b"/Gr\xfc\xdfe.png"))
    Path(video).write_bytes(write_video(here / "a.mp4").read_bytes())
    Path(still).write_bytes(cv2.imencode(".png", picture())[1].tobytes())
    for name in (video, still):
        with open_source(name, SystemClock()) as source:
            assert source.read() is not None


@pytest.mark.parametrize("name", ["x" * 300 + ".jpg", "x" * 300 + ".txt", "x" * 300, "a\0b.jpg"])
def test_a_name_that_cannot_be_is_one_error(here: Path, name: str) -> None:
    for way in (open_source, expand):
        with suppress(SourceError):  # expand may let it through, opening does not
            way(name)
    with pytest.raises(SourceError, match="cannot be read"):
        open_source(name)


@pytest.mark.parametrize("name", ["http:/me:s3cret@cam.local/x", "rtsp:me:s3cret@cam.local/x", "me:s3cret@cam/x.mp4"])
def test_an_address_with_a_slip_in_it_keeps_its_password(here: Path, name: str) -> None:
    with pytest.raises(SourceError, match="does not exist") as caught:
        open_source(name)
    assert "s3cret" not in str(caught.value)

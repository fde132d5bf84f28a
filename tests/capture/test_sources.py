"""Files, folders, cameras and streams as frames."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rtface.capture import camera
from rtface.capture.images import SUFFIXES, PictureSource
from rtface.capture.open import demo_clip, open_source
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.testing import FakeClock
from rtface.types import Frame
from tests.media import blank, cut, index_first, picture, write_video


def frames_of(source: Source) -> Iterator[Frame]:
    while (frame := source.read()) is not None:
        yield frame


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv"])
def test_a_video_gives_every_frame_with_its_time(tmp_path: Path, suffix: str) -> None:
    with open_source(write_video(tmp_path / f"clip{suffix}", frames=12)) as source:
        assert (source.frame_count, source.fps, source.size_wh) == (12, 25.0, (160, 120))
        assert not source.live and not source.stills
        frames = list(frames_of(source))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.media_time for frame in frames] == pytest.approx([index / 25 for index in range(12)])
    moved = np.roll(frames[0].image, 3 * 5, axis=1).astype(int)
    assert np.abs(frames[5].image.astype(int) - moved).mean() < 12
    assert source.corrupt == 0
    assert source.read() is None


@pytest.mark.parametrize(("suffix", "length"), [(".mp4", 900), (".mp4", 4000), (".mkv", 3000), (".avi", 12000)])
def test_corrupt_frames_in_the_middle_are_counted_and_skipped(tmp_path: Path, suffix: str, length: int) -> None:
    path = blank(write_video(tmp_path / f"clip{suffix}", frames=60), 0.5, length)
    with open_source(path) as source:
        frames = list(frames_of(source))
    assert source.corrupt > 0
    assert len(frames) + source.corrupt == 60
    assert [frame.index for frame in frames] == list(range(len(frames)))
    times = [frame.media_time for frame in frames]
    assert times == sorted(times)
    assert source.corrupt < 30


def test_a_cut_video_gives_what_is_there_and_then_says_so(tmp_path: Path) -> None:
    path = cut(index_first(write_video(tmp_path / "clip.mp4")), 0.6)
    with open_source(path) as source:
        frames = []
        with pytest.raises(SourceError, match=r"is cut short: \d+ frames could be read"):
            frames.extend(frames_of(source))
    assert 5 < len(frames) < 30
    assert source.corrupt == 0


def test_a_cut_video_without_its_index_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="is cut short"):
        open_source(cut(write_video(tmp_path / "clip.mp4"), 0.6))


def test_what_is_no_video_is_told_apart(tmp_path: Path) -> None:
    empty, text, noise = tmp_path / "empty.mp4", tmp_path / "notes.txt", tmp_path / "noise.mp4"
    empty.touch()
    text.write_text("FFmpeg would play this as a terminal's picture\n" * 20)
    noise.write_bytes(np.random.default_rng(0).bytes(20000))
    hollow = tmp_path / "hollow.mp4"
    hollow.write_bytes((16).to_bytes(4, "big") + b"ftypisom\0\0\2\0")
    for path, why in [
        (tmp_path / "none.mp4", "does not exist"),
        (empty, "is empty"),
        (text, "is not a video or picture"),
        (noise, "is not a video or picture"),
        (hollow, "holds no video that can be decoded"),
        (tmp_path / "no\0pe.mp4", "cannot be read"),
    ]:
        with pytest.raises(SourceError, match=why):
            open_source(path)


def test_a_folder_gives_its_pictures_in_the_order_people_count(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        cv2.imwrite(str(tmp_path / f"Img{number}.png"), np.full((8, 8 + number, 3), number, np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "sub.png").mkdir()
    with open_source(tmp_path, FakeClock()) as source:
        assert source.stills and not source.live
        assert source.frame_count == 3
        frames = list(frames_of(source))
    assert [int(frame.image[0, 0, 0]) for frame in frames] == [1, 2, 10]
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert frames[0].media_time is None


def test_a_corrupt_picture_of_a_folder_is_counted_and_skipped(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.jpg"), picture())
    cut(tmp_path / "0.jpg", 0.5)
    cut(tmp_path / "2.jpg", 0.5)
    with open_source(tmp_path) as source:
        assert len(list(frames_of(source))) == 2
        assert source.corrupt == 2


def test_a_folder_without_pictures_and_one_with_only_broken_ones(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no pictures"):
        open_source(tmp_path)
    (tmp_path / "a.png").touch()
    (tmp_path / "b.png").touch()
    with pytest.raises(SourceError, match=r"none of its 2 pictures could be read.*is empty"):
        open_source(tmp_path)


def test_a_single_picture_and_a_gif(tmp_path: Path) -> None:
    path = tmp_path / "face.jpg"
    cv2.imwrite(str(path), picture())
    with open_source(path) as source:
        assert isinstance(source, PictureSource)
        assert [frame.image.shape for frame in frames_of(source)] == [(120, 160, 3)]
    with pytest.raises(SourceError, match="is cut short"):
        open_source(cut(path, 0.5))


@pytest.mark.parametrize("pictures", [1, 3])
def test_a_gif_is_a_picture_or_a_clip(tmp_path: Path, pictures: int) -> None:
    path = tmp_path / "face.gif"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "rgb8"
        for index in range(pictures):
            frame = av.VideoFrame.from_ndarray(np.roll(picture(), 9 * index, axis=1), format="bgr24")
            container.mux(stream.encode(frame.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    with open_source(path) as source:
        assert isinstance(source, PictureSource) == (pictures == 1)
        assert [frame.image.shape for frame in frames_of(source)] == [(120, 160, 3)] * pictures


@pytest.mark.parametrize("ending", [".mjpeg", ".MJPG"])
def test_jpegs_one_behind_the_other_are_a_video(tmp_path: Path, ending: str) -> None:
    data = b"".join(cv2.imencode(".jpg", np.roll(picture(), 9 * index, axis=1))[1].tobytes() for index in range(5))
    path = tmp_path / f"clip{ending}"
    path.write_bytes(data)
    with open_source(path) as source:
        assert len(list(frames_of(source))) == 5
    path.rename(tmp_path / "photo.jpg")  # a phone's picture with another one behind it
    with open_source(tmp_path / "photo.jpg") as source:
        assert isinstance(source, PictureSource) and len(list(frames_of(source))) == 1


@pytest.mark.parametrize("ending", sorted(SUFFIXES - {".heic", ".heif", ".hif", ".avif"}))
def test_pictures_of_every_ending_count_in_a_folder(tmp_path: Path, ending: str) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), picture())
    (tmp_path / "a.png").rename(tmp_path / f"a{ending.upper()}")
    with open_source(tmp_path) as source:
        assert source.frame_count == 1 and len(list(frames_of(source))) == 1


def test_the_demo_clip_ships() -> None:
    assert demo_clip().stat().st_size < 1_500_000
    with open_source("demo") as source:
        assert source.read() is not None
        assert source.name == "demo"


class FakeCapture:
    """A camera that gives ``answers``: True = a frame, False = a failed read."""

    def __init__(self, answers: list[bool], opens: bool = True) -> None:
        self.answers, self.opens, self.released = list(answers), opens, False

    def isOpened(self) -> bool:  # noqa: N802
        return self.opens

    def grab(self) -> bool:
        return self.answers.pop(0) if self.answers else False

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, picture()

    def get(self, which: int) -> float:
        return {cv2.CAP_PROP_FPS: 30.0, cv2.CAP_PROP_FRAME_WIDTH: 160.0, cv2.CAP_PROP_FRAME_HEIGHT: 120.0}[which]

    def set(self, which: int, value: float) -> bool:
        return True

    def release(self) -> None:
        self.released = True


def test_a_camera_stamps_at_grab_and_survives_a_few_failed_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeCapture([True, False, False, True])
    opened: list[object] = []
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda *args: opened.append(args) or device)
    clock = FakeClock(tick=1.0)
    with open_source("/dev/video3", clock) as source:
        assert opened == [(3,)]
        assert (source.name, source.live, source.fps, source.size_wh) == ("camera 3", True, 30.0, (160, 120))
        first, second = source.read(), source.read()
        assert first is not None and second is not None
        assert (first.captured_at, second.captured_at) == (102.0, 106.0)  # a look at the clock before each read
        assert (second.index, second.media_time) == (1, None)
        assert source.corrupt == 2
        with pytest.raises(SourceError, match="camera 3: gives no picture"):
            source.read()
    assert device.released


@pytest.mark.parametrize(
    ("source", "says"),
    [(7, "camera 7: is not there"), ("rtsp://nowhere/x", "cannot be opened as a video")],
)
def test_a_camera_or_stream_that_does_not_open(monkeypatch: pytest.MonkeyPatch, source: int | str, says: str) -> None:
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda *_: FakeCapture([], opens=False))
    with pytest.raises(SourceError, match=says):
        open_source(source)


@contextmanager
def served(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """The address of an HTTP server on this machine that answers every GET so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_mjpeg_over_http_behaves_like_a_camera() -> None:
    _, jpeg = cv2.imencode(".jpg", picture())

    def stream(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        request.end_headers()
        for _ in range(30):
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {jpeg.size}\r\n\r\n"
            request.wfile.write(head.encode() + jpeg.tobytes() + b"\r\n")

    with served(stream) as address, open_source(f"{address}/video.mjpg") as source:
        assert source.live and source.frame_count is None
        frames = [source.read() for _ in range(10)]
        assert [frame.index for frame in frames if frame is not None] == list(range(10))
        assert frames[9] is not None and frames[9].image.shape == (120, 160, 3)
        with pytest.raises(SourceError, match="the stream ended or was lost"):
            list(frames_of(source))


def test_a_video_over_http_is_read_like_a_file(tmp_path: Path) -> None:
    content = index_first(write_video(tmp_path / "clip.mp4", frames=12)).read_bytes()

    def send(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        with suppress(ConnectionError):
            request.wfile.write(content)

    with served(send) as address, open_source(f"{address}/clip.mp4") as source:
        assert not source.live
        assert len(list(frames_of(source))) == 12


def test_cameras_are_listed_with_their_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera.sys, "platform", "darwin")
    monkeypatch.setattr(camera.cv2, "VideoCapture", lambda index: FakeCapture([True], opens=index == 1))
    (found,) = camera.list_cameras(limit=3)
    assert (found.index, found.width_px, found.height_px, found.fps) == (1, 160, 120, 30.0)


def test_a_camera_has_names_that_stay(tmp_path: Path) -> None:
    device, other = tmp_path / "video7", tmp_path / "video8"
    device.touch()
    other.touch()
    for folder, name, to in (
        ("by-path", "pci-0-index0", device),
        ("by-id", "usb-Cam-index0", device),
        ("by-id", "b", other),
    ):
        (tmp_path / "v4l" / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / "v4l" / folder / name).symlink_to(f"../../{to.name}")
    names = camera.stable_names(device, tmp_path / "v4l")
    assert names == (f"{tmp_path}/v4l/by-id/usb-Cam-index0", f"{tmp_path}/v4l/by-path/pci-0-index0")
    assert camera.stable_names(tmp_path / "video9", tmp_path / "none") == ()

"""What a web server serves: pictures, videos, playlists, and bodies that break off."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import pytest

from rtface.analyzer import Analyzer
from rtface.capture.open import open_source
from rtface.capture.reconnecting import Reconnect
from rtface.errors import SourceError
from rtface.options import Options
from rtface.stream import Stream
from rtface.testing import FakeDetector, FakeEngine
from tests.media import picture, write_video

QUICK = Reconnect(first_s=0.02, longest_s=0.1)


class WebServer(ThreadingHTTPServer):
    """Serves `files`; `cut` are paths whose bodies break off in their middle; `asked` what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []
        self.logins: list[str | None] = []

    def url(self, path: str, user: str = "") -> str:
        return f"http://{user}127.0.0.1:{self.server_port}{path}"


class _Handler(BaseHTTPRequestHandler):
    server: WebServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.logins.append(self.headers.get("Authorization"))
        body = self.server.files.get(self.path.partition("?")[0])
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body[: len(body) // 2] if self.path in self.server.cut else body)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebServer]:
    server = WebServer()
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for ending in (".png", ".jpg", ".webp"):
        server.files[f"/a{ending}"] = cv2.imencode(ending, picture())[1].tobytes()
    server.files["/a.mkv"] = write_video(tmp_path / "a.mkv", frames=50).read_bytes()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["/a.png", "/a.jpg", "/a.webp"])
def test_a_picture_is_read_once(web: WebServer, path: str) -> None:
    with open_source(web.url(path)) as source:
        assert source.stills and not source.live and source.size_wh == (160, 120)
        frame = source.read()
        assert frame is not None and frame.image.shape == (120, 160, 3)
        assert source.read() is None
    assert web.asked == [path]


def test_a_video_is_read_to_its_end(web: WebServer) -> None:
    with open_source(web.url("/a.mkv")) as source:
        assert not source.live
        assert len(list(iter(source.read, None))) == 50


@pytest.mark.parametrize("path", ["/a.png", "/a.jpg"])
def test_a_picture_that_breaks_off_is_told(web: WebServer, path: str) -> None:
    web.cut.add(path)
    with pytest.raises(SourceError, match=r"broke off before its end|is cut short"):
        open_source(web.url(path))


def test_nothing_there_is_told_and_the_password_is_not(web: WebServer) -> None:
    with pytest.raises(SourceError, match="the server answered 404") as caught:
        open_source(web.url("/none.png?token=s3cret", user="me:s3cret@"))
    assert "s3cret" not in str(caught.value)
    assert web.logins == ["Basic bWU6czNjcmV0"]


def test_a_playlist_on_the_web_opens_no_file_of_this_machine(web: WebServer, tmp_path: Path) -> None:
    write_video(tmp_path / "b.avi").rename(tmp_path / "private.ts")
    for target in (f"file://{tmp_path}/private.ts", f"{tmp_path}/private.ts"):
        lines = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n"
        web.files["/list.m3u8"] = lines.encode()
        with pytest.raises(SourceError):
            open_source(web.url("/list.m3u8"))


def streamed(address: str, *, live: bool) -> Stream:
    options = Options(threads=1)
    analyzer = Analyzer(options, detector=FakeDetector(), engine=FakeEngine())
    return Stream(address, live=live, options=options, analyzer=analyzer, reconnect=QUICK)


def test_a_video_that_breaks_off_is_incomplete_for_run(web: WebServer) -> None:
    web.cut.add("/a.mkv")
    with pytest.raises(SourceError), streamed(web.url("/a.mkv"), live=False) as stream:
        list(stream)
    assert not stream.summary["complete"] and 0 < stream.summary["frames"] < 50


def test_a_video_that_breaks_off_is_opened_again_under_live(web: WebServer) -> None:
    web.cut.add("/a.mkv")
    began = time.monotonic()
    with streamed(web.url("/a.mkv"), live=True) as stream:
        for _ in stream:
            if [event["kind"] for event in stream.summary["events"]] == ["source_lost", "source_back"]:
                break
            web.cut.clear()
            assert time.monotonic() - began < 20.0


def test_a_whole_video_plays_at_its_own_speed_under_live_and_ends(web: WebServer) -> None:
    began = time.monotonic()
    with streamed(web.url("/a.mkv"), live=True) as stream:
        frames = [result.frame for result in stream]
    assert time.monotonic() - began > 1.8 and frames[-1].index == 49
    assert stream.summary["events"] == []

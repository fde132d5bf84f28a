"""Cameras on the network: real servers on this machine, killed in mid-stream, silent, and back again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rtface.analyzer import Analyzer
from rtface.capture import camera
from rtface.capture.open import open_source
from rtface.capture.reconnecting import Reconnect
from rtface.errors import SourceError
from rtface.options import Options
from rtface.stream import Stream
from rtface.testing import FakeDetector, FakeEngine
from rtface.types import Event, FrameResult
from tests.servers import MjpegServer, RtspServer, StreamServer

QUICK = Reconnect(first_s=0.02, longest_s=0.1, stall_s=5.0)
PATIENCE_S = 10.0
SYSTEM_PYTHON = "/usr/bin/python3"


@pytest.fixture(params=[MjpegServer, RtspServer])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[StreamServer]:
    monkeypatch.setattr(camera, "READ_TIMEOUT_MS", 400)
    monkeypatch.setattr(camera, "OPEN_TIMEOUT_MS", 2000)
    with request.param() as running:
        yield running


def live(url: str, events: list[Event], reconnect: Reconnect = QUICK, *, play_live: bool = True) -> Stream:
    options = Options(threads=1, detect_every_ms=0.0)
    analyzer = Analyzer(options, detector=FakeDetector(), engine=FakeEngine())
    return Stream(url, live=play_live, options=options, analyzer=analyzer, on_event=events.append, reconnect=reconnect)


def results_until(stream: Stream, reached: Callable[[FrameResult], bool]) -> list[FrameResult]:
    results, deadline = [], time.monotonic() + PATIENCE_S
    for result in stream:
        results.append(result)
        if reached(result):
            return results
        assert time.monotonic() < deadline
    raise AssertionError("the stream ended")


def kinds(events: list[Event]) -> list[str]:
    return [event.kind for event in events]


def test_an_address_behaves_like_a_camera(server: StreamServer) -> None:
    with open_source(server.url) as source:
        assert source.live and source.frame_count is None and source.reopen is not None
        assert source.size_wh == (160, 120)
        frames = [source.read() for _ in range(10)]
    assert [frame.index for frame in frames if frame is not None] == list(range(10))
    stamps = [frame.captured_at for frame in frames if frame is not None]
    assert stamps == sorted(stamps)
    assert all(frame is not None and frame.media_time is None for frame in frames)


@pytest.mark.parametrize("play_live", [True, False])
def test_of_an_address_the_newest_wins(server: StreamServer, play_live: bool) -> None:
    """For `run` too: what is live cannot wait."""
    with live(server.url, [], play_live=play_live) as stream:
        first = next(stream)
        time.sleep(0.2)
        second, third = next(stream), next(stream)
    assert second.dropped >= 3 and second.frame.index == first.frame.index + second.dropped + 1
    assert third.frame.captured_at - second.frame.captured_at < 0.2


def test_killed_in_mid_stream_and_back_again(server: StreamServer) -> None:
    events: list[Event] = []
    with live(server.url, events) as stream:
        results_until(stream, lambda result: result.frame.index >= 5)
        server.kill()
        deadline = time.monotonic() + PATIENCE_S
        while not events and time.monotonic() < deadline:
            time.sleep(0.005)
        assert kinds(events) == ["source_lost"]
        server.start()
        results = results_until(stream, lambda result: "source_back" in kinds(list(result.events)))
        more = results_until(stream, lambda result: result.frame.index > results[-1].frame.index + 5)
    told = [event for result in results for event in result.events]
    assert told == events and kinds(events) == ["source_lost", "source_back"]
    assert events[1].duration_s is not None and 0.0 < events[1].duration_s < PATIENCE_S
    assert not any(result.events for result in more)
    indices = [result.frame.index for result in results + more]
    assert indices == sorted(set(indices))
    assert [event["kind"] for event in stream.summary["events"]] == ["source_lost", "source_back"]
    assert stream.summary["complete"]


def test_a_server_that_falls_silent_is_lost_and_comes_back(server: StreamServer) -> None:
    events: list[Event] = []
    with live(server.url, events) as stream:
        results_until(stream, lambda result: result.frame.index >= 5)
        before = server.served  # a web server was asked what it serves, and then for that
        server.silent.set()
        deadline = time.monotonic() + PATIENCE_S
        while not events and time.monotonic() < deadline:
            time.sleep(0.005)
        assert kinds(events) == ["source_lost"] and server.served == before
        server.silent.clear()
        results_until(stream, lambda result: "source_back" in kinds(events))
    assert kinds(events) == ["source_lost", "source_back"]


def test_the_watchdog_does_not_wait_for_the_network_library(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that would block for a minute is left behind after a second of silence, and the next connection serves."""
    monkeypatch.setattr(camera, "READ_TIMEOUT_MS", 60_000)
    events: list[Event] = []
    with live(server.url, events, Reconnect(first_s=0.02, longest_s=0.1, stall_s=1.0)) as stream:
        results_until(stream, lambda result: result.frame.index >= 5)
        server.silent.set()
        while not events:
            time.sleep(0.005)
        assert events[0].what == "gave no picture for 1 s"
        server.silent.clear()
        results_until(stream, lambda result: "source_back" in kinds(events))
        server.kill()  # lets go of every reader
    assert kinds(events)[:2] == ["source_lost", "source_back"]


def test_gone_for_good_ends_the_run_after_the_time_that_was_asked_for(server: StreamServer) -> None:
    reconnect = Reconnect(first_s=0.02, longest_s=0.05, give_up_s=0.3)
    with pytest.raises(SourceError, match="did not come back"), live(server.url, [], reconnect) as stream:
        results_until(stream, lambda result: result.frame.index >= 2)
        server.kill()
        list(stream)
    assert stream.summary["error"] is not None and kinds_of(stream) == ["source_lost"]


def kinds_of(stream: Stream) -> list[str]:
    return [event["kind"] for event in stream.summary["events"]]


def test_passwords_are_not_shown() -> None:
    for address in (
        "rtsp://me:secret@127.0.0.1:9/x",
        "rtsp://me:sec#secret@127.0.0.1:9/x",
        "http://127.0.0.1:9/video.cgi?usr=me&pwd=secret",
        "gopher://me:secret@127.0.0.1/x",
        "rtsp://me:secret@[127.0.0.1/x",
    ):
        with pytest.raises(SourceError) as caught:
            open_source(address)
        assert "secret" not in str(caught.value)


class GstServer:
    """A GStreamer RTSP server as a process of its own."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"rtsp://127.0.0.1:{self.port}/live"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> str:
        """What kept it from serving, or nothing."""
        script = Path(__file__).parents[1] / "gst_rtsp.py"
        command = [SYSTEM_PYTHON, str(script), str(self.port)]
        try:
            self._process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PATH": "/usr/bin:/bin"}
            )
        except OSError as error:
            return str(error)
        assert self._process.stdout is not None and self._process.stderr is not None
        if self._process.stdout.readline() == "ready\n":
            return ""
        said = self._process.stderr.read().strip().splitlines()
        self.kill()
        return said[-1] if said else "it ended at once"

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture
def gst() -> Iterator[GstServer]:
    server = GstServer()
    if why := server.start():
        pytest.skip(f"no GStreamer RTSP server here ({why}); .ci/run names the packages")
    try:
        yield server
    finally:
        server.kill()


def test_a_real_rtsp_server_with_h264_killed_and_back_again(gst: GstServer) -> None:
    events: list[Event] = []
    with live(gst.url, events) as stream:
        results = results_until(stream, lambda result: result.frame.index >= 40)
        assert results[0].frame.image.shape == (240, 320, 3) and results[0].frame.image.max() > 200
        gst.kill()
        deadline = time.monotonic() + PATIENCE_S
        while not events and time.monotonic() < deadline:
            time.sleep(0.005)
        assert kinds(events) == ["source_lost"]
        assert gst.start() == ""
        results_until(stream, lambda result: "source_back" in kinds(events))
    assert kinds(events) == ["source_lost", "source_back"]

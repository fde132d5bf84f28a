"""Pipelines of GStreamer as sources; the real gst-launch-1.0."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest

from rtface.capture import gstreamer
from rtface.capture.gstreamer import GstSource
from rtface.capture.open import open_source
from rtface.capture.settings import CaptureSettings
from rtface.errors import SourceError
from rtface.system.clock import SystemClock

needs_gstreamer = pytest.mark.skipif(
    shutil.which(gstreamer.LAUNCH) is None,
    reason="apt install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good",
)
BLUE = "videotestsrc pattern=blue ! video/x-raw,width={},height={},framerate=30/1"


@needs_gstreamer
@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_frames_come_in_their_colours_and_size(size: tuple[int, int]) -> None:
    with open_source("gst:" + BLUE.format(*size)) as source:
        frame = source.read()
        assert source.live and source.fps == 30.0
        (width, height), (asked_w, asked_h) = source.size_wh, size
        assert (width % 2, height % 2) == (0, 0) and abs(width - asked_w) < 2 and abs(height - asked_h) < 2
        assert frame is not None and frame.image.shape == (height, width, 3)
        blue, green, red = frame.image.reshape(-1, 3).mean(axis=0)
        assert blue > 240 and green < 12 and red < 12


@needs_gstreamer
def test_a_nul_is_in_no_pipeline() -> None:
    with pytest.raises(SourceError, match="holds a NUL"):
        open_source("gst:videotest\0src")


@needs_gstreamer
def test_a_size_and_a_rate_can_be_asked_for() -> None:
    settings = CaptureSettings(size_wh=(128, 96), fps=10.0)
    with GstSource("videotestsrc is-live=true", SystemClock(), settings) as source:
        assert source.size_wh == (128, 96) and source.fps == 10.0


@needs_gstreamer
def test_a_pipeline_that_ends_is_lost_and_can_be_opened_again() -> None:
    with GstSource(
        "videotestsrc is-live=true num-buffers=9 ! video/x-raw,framerate=10/1", SystemClock(), CaptureSettings()
    ) as source:
        with pytest.raises(SourceError, match="the pipeline ended"):
            for index in range(10):
                frame = source.read()
                assert frame is not None and frame.index == index
        assert source.reopen is not None
        with source.reopen() as again:
            assert again.read() is not None


@needs_gstreamer
def test_a_wrong_pipeline_says_why() -> None:
    with pytest.raises(SourceError, match=r"gives no picture .*nosuchelement"):
        open_source("gst:nosuchelement")
    with pytest.raises(SourceError, match="names no pipeline"):
        open_source("gst:")
    with pytest.raises(SourceError, match="cannot be read"):
        open_source('gst:"half a quote')


@needs_gstreamer
def test_a_pipeline_that_hangs_is_killed() -> None:
    source = GstSource("videotestsrc is-live=true", SystemClock(), CaptureSettings())
    process = source._process
    os.killpg(process.pid, signal.SIGSTOP)
    began = time.monotonic()
    source.close()
    assert process.poll() is not None and time.monotonic() - began < 10.0


def test_without_gstreamer_the_mend_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gstreamer, "LAUNCH", "no-such-program")
    with pytest.raises(SourceError, match=r"is not installed. apt install gstreamer1.0-tools"):
        open_source("gst:videotestsrc")

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from rtface.outputs import window
from rtface.outputs.sink import RunInfo
from rtface.outputs.wall import GONE_S, WALL_FPS, WALL_WIDTH_PX, WallSink
from rtface.types import Frame, FrameResult

INFO = RunInfo("cameras", live=True, stills=False, fps=None, frame_count=None, header={})


def result(camera: str, grey: int) -> FrameResult:
    return FrameResult(Frame(np.full((120, 160, 3), grey, np.uint8)), camera=camera)


class Screen:
    """OpenCV's windows."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[Any] = []
        self.full: list[bool] = []
        monkeypatch.setattr(window, "why_no_display", lambda: None)
        for name in ("namedWindow", "resizeWindow", "destroyWindow"):
            monkeypatch.setattr(cv2, name, lambda *given: None)
        monkeypatch.setattr(cv2, "imshow", lambda title, image: self.shown.append(image))
        monkeypatch.setattr(
            cv2, "setWindowProperty", lambda title, which, value: self.full.append(value == cv2.WINDOW_FULLSCREEN)
        )
        monkeypatch.setattr(cv2, "waitKey", lambda ms: -1)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda title, which: 1.0)


class Time:
    now = 10.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def test_every_camera_has_its_tile(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    screen = Screen(monkeypatch)
    with WallSink(clock=time) as sink:
        sink.open(INFO)
        for number, camera in enumerate("abc"):
            time.now += 1.0 / WALL_FPS
            sink.write(result(camera, 50 * (number + 1)))
        picture = screen.shown[-1]
    assert picture.shape[1] == WALL_WIDTH_PX  # two columns
    tile = WALL_WIDTH_PX // 2
    assert picture[200, 300, 0] == 50 and picture[200, tile + 300, 0] == 100
    assert picture[-200, 300, 0] == 150 and picture[-200, tile + 300, 0] == 0


def test_it_is_drawn_a_few_times_a_second_however_many_results_come(
    monkeypatch: pytest.MonkeyPatch, time: Time
) -> None:
    screen = Screen(monkeypatch)
    with WallSink(clock=time) as sink:
        sink.open(INFO)
        for number in range(240):
            sink.write(result("ab"[number % 2], 50))
            time.now += 1.0 / 240.0
    assert len(screen.shown) <= WALL_FPS + 1


def test_a_camera_that_is_gone_leaves_its_place(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    screen = Screen(monkeypatch)
    with WallSink(clock=time) as sink:
        sink.open(INFO)
        sink.write(result("a", 50))
        time.now += GONE_S + 1.0
        sink.write(result("b", 100))
    assert screen.shown[-1][200, 300, 0] == 100


def test_it_fills_the_screen_and_stays_so_when_a_camera_comes(monkeypatch: pytest.MonkeyPatch, time: Time) -> None:
    screen = Screen(monkeypatch)
    with WallSink(full_screen=True, clock=time) as sink:
        sink.open(INFO)
        for camera in "abc":
            sink.write(result(camera, 50))
            time.now += 1.0
    assert len(screen.shown) == 3 and screen.full and all(screen.full)

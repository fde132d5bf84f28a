"""Whether a window can be shown, and the window that is refused or closed."""

from __future__ import annotations

import socket

import cv2
import numpy as np
import pytest

from rtface.errors import OutputError
from rtface.outputs import window
from rtface.outputs.sink import RunInfo
from rtface.types import Frame, FrameResult, Skip, SkipReason, Timing

INFO = RunInfo("clip", live=True, stills=False, fps=None, frame_count=None, header={})


@pytest.mark.parametrize("platform", ["win32", "darwin"])
def test_windows_and_macos_have_a_display(platform: str) -> None:
    assert window.why_no_display({}, platform) is None


def test_linux_without_a_display() -> None:
    assert window.why_no_display({}, "linux") == "there is no display (DISPLAY is not set)"


def test_a_display_that_nobody_serves() -> None:
    assert window.why_no_display({"DISPLAY": ":987654"}, "linux") == "the display :987654 does not answer"


def test_a_display_that_answers_over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setattr(window, "X11_PORT", server.getsockname()[1])
        assert window.why_no_display({"DISPLAY": "127.0.0.1:0.0"}, "linux") is None


def test_a_form_of_display_that_we_do_not_know_is_left_to_the_window_library() -> None:
    assert window.why_no_display({"DISPLAY": "/private/tmp/launchd/org.x:0"}, "linux") is None


def test_the_window_is_refused_without_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "why_no_display", lambda: "there is no display")
    with window.WindowSink() as sink, pytest.raises(OutputError, match=r"there is no display\. Use --no-show"):
        sink.open(INFO)


class FakeScreen:
    """OpenCV's windows; ``key`` is the next key pressed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.key, self.visible, self.shown, self.open = -1, 1.0, [], False
        self.full: list[bool] = []
        monkeypatch.setattr(window, "why_no_display", lambda: None)
        for name in (
            "namedWindow",
            "resizeWindow",
            "imshow",
            "waitKey",
            "getWindowProperty",
            "destroyWindow",
            "setWindowProperty",
        ):
            monkeypatch.setattr(cv2, name, getattr(self, name))

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        self.open = True

    def resizeWindow(self, title: str, width: int, height: int) -> None:  # noqa: N802
        assert (width, height) == (320, 240)

    def imshow(self, title: str, image: np.ndarray) -> None:
        self.shown.append(image)

    def waitKey(self, ms: int) -> int:  # noqa: N802
        return self.key

    def getWindowProperty(self, title: str, which: int) -> float:  # noqa: N802
        return self.visible

    def setWindowProperty(self, title: str, which: int, value: float) -> None:  # noqa: N802
        assert which == cv2.WND_PROP_FULLSCREEN
        self.full.append(value == cv2.WINDOW_FULLSCREEN)

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        self.open = False


def result(at: float = 0.0) -> FrameResult:
    frame = Frame(np.zeros((240, 320, 3), np.uint8), captured_at=at)
    return FrameResult(
        frame,
        timing=Timing(age_ms=12.3, total_ms=4.5),
        dropped=2,
        skips=(Skip("parsing", SkipReason.BUDGET, "over budget"),),
    )


def test_each_result_is_shown_with_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeScreen(monkeypatch)
    lines: list[list[str]] = []
    monkeypatch.setattr(window, "hud", lambda picture, figures: lines.append(figures))
    with window.WindowSink() as sink:
        sink.open(INFO)
        sink.write(result(at=1.0))
        sink.write(result(at=1.05))
        assert screen.open and not sink.done
    assert not screen.open
    assert len(screen.shown) == 2
    assert lines[0][0] == "age 12.3 ms  work 4.5 ms"
    assert lines[1] == ["20.0 fps  age 12.3 ms  work 4.5 ms", "level 0: full  dropped 2", "parsing: over budget"]


@pytest.mark.parametrize(("key", "visible"), [(27, 1.0), (ord("q"), 1.0), (-1, 0.0)])
def test_esc_q_and_closing_end_the_run(monkeypatch: pytest.MonkeyPatch, key: int, visible: float) -> None:
    screen = FakeScreen(monkeypatch)
    screen.key, screen.visible = key, visible
    with window.WindowSink() as sink:
        sink.open(INFO)
        sink.write(result())
        assert sink.done


def test_the_window_can_be_closed_while_no_picture_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeScreen(monkeypatch)
    with window.WindowSink() as sink:
        sink.open(INFO)
        sink.idle()
        sink.write(result())
        sink.idle()
        assert not sink.done
        screen.key = 27
        sink.idle()
        assert sink.done


def test_an_opencv_without_windows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeScreen(monkeypatch)

    def headless(title: str, flags: int) -> None:
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "namedWindow", headless)
    with window.WindowSink() as sink, pytest.raises(OutputError, match="pip install opencv-python"):
        sink.open(INFO)


def test_f_fills_the_screen_and_gives_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = FakeScreen(monkeypatch)
    with window.WindowSink(full_screen=True) as sink:
        sink.open(INFO)
        sink.write(result())
        screen.key = ord("f")
        sink.idle()
        sink.idle()
        screen.key = -1
        sink.idle()
        assert not sink.done
    assert screen.full == [True, False, True]

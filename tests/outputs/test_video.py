"""Annotated video and pictures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.errors import OutputError, UsageError
from rtface.outputs.sink import RunInfo
from rtface.outputs.video import PictureSink, VideoSink
from rtface.types import Face, Frame, FrameResult
from tests.media import picture


def info(*, live: bool = False, stills: bool = False, frame_count: int | None = 10) -> RunInfo:
    return RunInfo("clip", live=live, stills=stills, fps=10.0, frame_count=frame_count, header={})


def result(image: np.ndarray | None = None, at: float = 0.0) -> FrameResult:
    face = Face(np.array([20, 20, 90, 90]), 0.9, np.full((5, 2), 50.0))
    return FrameResult(Frame(picture() if image is None else image, captured_at=at), (face,))


def read(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = video.read()
        if not there:
            return frames
        frames.append(frame)


def test_a_file_gives_one_picture_a_frame_with_the_face_drawn(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info())
        for _ in range(7):
            sink.write(result())
            assert not path.exists()
        sink.finish({})
    frames = read(path)
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 7
    changed = np.abs(frames[0].astype(int) - picture()).mean(axis=2)
    assert changed[18:23, 30:80].mean() > 2 * changed[100:, 100:].mean()  # the box's upper edge
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(("live", "level", "said"), [(True, 0, True), (False, 3, True), (False, 0, False)])
def test_a_video_says_its_level_where_there_are_levels(tmp_path: Path, live: bool, level: int, said: bool) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info(live=live))
        sink.write(replace(result(np.full((480, 640, 3), 120, np.uint8)), level=level))
        sink.finish({})
    corner = read(path)[0][:10, :40].astype(int)
    assert (corner.mean() < 100) == said


def test_a_live_video_keeps_time(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info(live=True))
        for at in (5.0, 5.02, 5.1, 5.5, 105.0):
            sink.write(result(at=at))
        sink.finish({})
    # 0.5 s at 10 fps, where 5.02 is left out and 5.1 shown for four frames; of the pause ten seconds.
    assert len(read(path)) == 6 + 100


@pytest.mark.parametrize(("width", "height"), [(1, 1), (161, 121), (33, 200)])
def test_odd_and_tiny_sizes_are_padded(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info())
        sink.write(result(np.full((height, width, 3), 200, np.uint8)))
        sink.finish({})
    (frame,) = read(path)
    assert frame.shape[1] >= width and frame.shape[0] >= height
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0


def test_pictures_of_other_sizes_fit_into_the_first_ones_frame(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info())
        for width, height in ((160, 120), (400, 100), (20, 300), (64, 48)):
            sink.write(FrameResult(Frame(np.full((height, width, 3), 255, np.uint8))))
        sink.finish({})
    frames = read(path)
    assert [frame.shape for frame in frames] == [(120, 160, 3)] * 4
    assert [round(float((frame[:, :, 1] > 128).mean()), 1) for frame in frames] == [1.0, 0.3, 0.1, 0.2]


def test_a_run_that_is_never_finished_leaves_nothing_half(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "out.mp4") as sink:
        sink.open(info())
        sink.write(result())
    assert not list(tmp_path.iterdir())
    with VideoSink(tmp_path / "none.mp4") as sink:
        sink.open(info())
        sink.finish({})
    assert not list(tmp_path.iterdir())


def test_a_folder_that_goes_away(tmp_path: Path) -> None:
    with VideoSink(tmp_path / "gone" / "out.mp4") as sink:
        sink.open(info())
        with pytest.raises(OutputError, match="cannot be written as mp4"):
            sink.write(result())


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.outputs.test_video import info, result
from rtface.outputs.video import VideoSink
from rtface.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
with VideoSink(Path(sys.argv[1])) as sink:
    sink.open(info())
    try:
        for index in range(60):
            sink.write(result())
        sink.finish({})
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_full_disk_is_noticed_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"the video of before")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "could not be written to its end" in done.stdout
    assert path.read_bytes() == b"the video of before"
    assert [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_of_a_still(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with PictureSink(path) as sink:
        sink.open(info(stills=True, frame_count=1))
        sink.write(result(np.zeros((120, 160, 3), np.uint8)))
    drawn = cv2.imread(str(path))
    assert drawn.shape == (120, 160, 3)
    assert drawn[16:94, 16:94].max() > 150  # the box's corners
    assert drawn[100:, 100:].max() < 20


def test_a_picture_is_refused_for_a_video(tmp_path: Path) -> None:
    with PictureSink(tmp_path / "out.png") as sink, pytest.raises(UsageError, match=r"Name an \.mp4 instead"):
        sink.open(info())

"""Annotated video and pictures."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from rtface.errors import OutputError, UsageError
from rtface.outputs.open import choose
from rtface.outputs.sink import RunInfo
from rtface.outputs.video import PictureSink, VideoSink
from rtface.types import Event, Face, Frame, FrameResult
from tests.media import picture


def info(*, live: bool = False, stills: bool = False, frame_count: int | None = 10) -> RunInfo:
    return RunInfo("clip", live=live, stills=stills, fps=10.0, frame_count=frame_count, header={})


def result(image: np.ndarray | None = None, at: float = 0.0) -> FrameResult:
    face = Face(np.array([20, 20, 90, 90]), 0.9, np.full((5, 2), 50.0))
    return FrameResult(Frame(picture() if image is None else image, captured_at=at), (face,))


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as video:
        return [frame.to_ndarray(format="bgr24") for frame in video.decode(video=0)]


def times(path: Path) -> list[float]:
    with av.open(str(path)) as video:
        return [round(frame.time or 0.0, 3) for frame in video.decode(video=0)]


def test_a_file_gives_one_picture_a_frame_with_the_face_drawn(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info())
        for index in range(7):
            sink.write(replace(result(), frame=Frame(picture(), index=index)))
            assert not path.exists()
        sink.finish({})
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.frames) == ("h264", "yuv420p", 7)
        assert stream.average_rate == 10
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
    path, moments = tmp_path / "out.mp4", (5.0, 5.02, 5.1, 5.5, 105.0)
    with VideoSink(path) as sink:
        sink.open(info(live=True))
        for at in moments:
            sink.write(result(at=at))
        sink.finish({})
    assert times(path) == pytest.approx([at - 5.0 for at in moments], abs=0.001)


def test_a_files_own_times_are_kept(tmp_path: Path) -> None:
    path, moments = tmp_path / "out.mp4", (0.0, 0.04, 0.05, 0.9, 1.3, 8.0)
    with VideoSink(path) as sink:
        sink.open(info())
        for at in moments:
            sink.write(FrameResult(Frame(picture(), media_time=at)))
        sink.finish({})
    assert times(path) == pytest.approx(moments, abs=0.001)


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
    with VideoSink(tmp_path / "gone" / "out.mp4") as sink, pytest.raises(OutputError, match="cannot be written"):
        sink.open(info())


FULL_DISK = """
import resource, sys
import numpy as np
from pathlib import Path
from tests.media import picture
from tests.outputs.test_video import info
from rtface.outputs.video import VideoSink
from rtface.errors import OutputError
from rtface.types import Frame, FrameResult
resource.setrlimit(resource.RLIMIT_FSIZE, (60000, 60000))
image, written = picture(), 0
with VideoSink(Path(sys.argv[1]), overwrite=True) as sink:
    sink.open(info())
    try:
        for written in range(200):
            image = np.roll(image, 3, axis=1)
            sink.write(FrameResult(Frame(image, media_time=written / 10)))
        sink.finish({})
    except OutputError as error:
        print(written, error)
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
    assert done.stdout.count("\n") == 1
    written, said = done.stdout.split(" ", 1)
    assert "cannot be written" in said and "Make room on the disk" in said
    assert path.read_bytes() == b"the video of before"
    (part,) = (file for file in tmp_path.iterdir() if file != path)
    assert f"up to there it is {part}" in said
    assert int(written) - 22 <= len(read(part)) <= int(written)  # the fragment that did not fit, and the frame after


def test_what_appears_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path) as sink:
        sink.open(info())
        sink.write(result())
        path.write_bytes(b"somebody else's")
        with pytest.raises(OutputError, match="appeared while the run went on") as caught:
            sink.finish({})
    assert path.read_bytes() == b"somebody else's"
    (part,) = (file for file in tmp_path.iterdir() if file != path)
    assert str(part) in str(caught.value) and len(read(part)) == 1


def test_two_runs_into_one_name_do_not_mix(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoSink(path, overwrite=True) as first, VideoSink(path, overwrite=True) as second:
        for sink, shade in ((first, 40), (second, 200)):
            sink.open(info())
            for index in range(3 if sink is first else 5):
                sink.write(FrameResult(Frame(np.full((48, 64, 3), shade, np.uint8), index=index)))
        first.finish({})
        second.finish({})
    assert len(read(path)) == 5 and [file.name for file in tmp_path.iterdir()] == ["out.mp4"]


def test_the_part_of_a_killed_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "out.part-0123abcd.mp4").write_bytes(b"fragments")
    (tmp_path / "out.part-of-mine.mp4").write_bytes(b"the user's own")
    happened: list[Event] = []
    with VideoSink(tmp_path / "out.mp4") as sink:
        sink.open(replace(info(), on_event=happened.append))
    (event,) = happened
    assert event.kind == "part_left" and "out.part-0123abcd.mp4 is left of a run" in event.what
    assert len(list(tmp_path.iterdir())) == 2


def test_an_encoder_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    (sink,) = choose([f"{path}?encoder=libx264"], source="clip")
    with sink:
        sink.open(info())
        sink.write(result())
        sink.finish({})
    assert len(read(path)) == 1
    with pytest.raises(UsageError, match="encoder 'h265x': is unknown"):
        choose([f"{tmp_path / 'b.mp4'}?encoder=h265x"], source="clip")
    with pytest.raises(UsageError, match="is a decoder"):
        VideoSink(path, encoder="wmv3")


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

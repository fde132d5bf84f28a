"""WebM, GIF and folders of pictures, looked at by ffprobe and OpenCV."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.errors import UsageError
from rtface.outputs.open import choose
from rtface.types import Frame, FrameResult
from tests.media import picture
from tests.outputs.made import a_face, a_run, run_through
from tests.outputs.receivers import needs

RESULTS = [
    FrameResult(
        Frame(np.roll(picture(320, 240), 4 * index, axis=1), index, 10.0 + index * 0.04, index * 0.04),
        (a_face(at=(160.0, 120.0), px_per_mm=0.6),),
        tasks=("landmarks", "emotion", "pose"),
    )
    for index in range(25)
]


def probe(path: Path) -> dict[str, str]:
    command = [
        needs("ffprobe", "ffmpeg"),
        "-v",
        "error",
        "-count_frames",
        "-show_streams",
        "-show_format",
        "-of",
        "json",
    ]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=True)
    facts = json.loads(done.stdout)
    return {**facts["streams"][0], "format": facts["format"]["format_name"], "length": facts["format"]["duration"]}


def written(path: Path, name: str) -> Path:
    (sink,) = choose([f"{path}/{name}"], source="demo")
    run_through(sink, RESULTS, a_run(live=False))
    return path / name.partition("?")[0]


def test_webm_is_vp9_with_every_frame_at_its_time(tmp_path: Path) -> None:
    facts = probe(written(tmp_path, "faces.webm"))
    assert (facts["codec_name"], facts["width"], facts["height"]) == ("vp9", 320, 240)
    assert facts["nb_read_frames"] == "25" and "webm" in facts["format"]
    assert float(facts["length"]) == pytest.approx(1.0, abs=0.05)


def test_a_gif_is_small_slow_and_in_colour(tmp_path: Path) -> None:
    gif = written(tmp_path, "faces.gif?width=160")
    facts = probe(gif)
    assert (facts["codec_name"], facts["width"], facts["height"]) == ("gif", 160, 120)
    assert 9 <= int(facts["nb_read_frames"]) <= 11
    assert float(facts["length"]) == pytest.approx(1.0, abs=0.15)
    video = cv2.VideoCapture(str(gif))
    read, frame = video.read()
    video.release()
    assert read
    shrunk = cv2.resize(RESULTS[0].frame.image, (160, 120), interpolation=cv2.INTER_AREA)
    assert (
        np.abs(frame[:10, :40].astype(int) - shrunk[:10, :40]).mean() < 20
    )  # dithered; a corner where nothing is drawn


def test_a_folder_holds_a_picture_a_frame(tmp_path: Path) -> None:
    folder = written(tmp_path, "frames/")
    assert sorted(file.name for file in folder.iterdir()) == [f"frame_{index:06}.jpg" for index in range(25)]
    assert cv2.imread(str(folder / "frame_000024.jpg")).shape == (240, 320, 3)
    (again,) = choose([f"{folder}/"], source="demo")
    with pytest.raises(UsageError, match="holds frames already"):
        again.open(a_run())
    (sink,) = choose([f"{folder}/"], source="demo", overwrite=True)
    run_through(sink, RESULTS[:1], a_run(live=False))


def test_a_run_that_breaks_off_leaves_no_half_clip_under_its_name(tmp_path: Path) -> None:
    for name in ("a.webm", "a.gif"):
        (sink,) = choose([tmp_path / name], source="demo")
        with sink:
            sink.open(a_run())
            sink.write(RESULTS[0])
        assert not (tmp_path / name).exists()

"""The verbs run and live, on painted faces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import rtface.stream
from rtface.analyzer import Analyzer
from rtface.options import Options
from rtface.testing import FakeDetector, FakeEngine, Painted
from tests.conftest import Cli
from tests.media import blank, cut, index_first, write_video
from tests.servers import MjpegServer


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    """Analyzers are made on fakes; the options that they were made with."""
    seen: list[Options] = []

    def make(options: Options) -> Analyzer:
        seen.append(options)
        return Analyzer(options, detector=FakeDetector([Painted(80, 60, 20)]), engine=FakeEngine())

    monkeypatch.setattr(rtface.stream, "Analyzer", make)
    return seen


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_run_writes_json_lines_to_stdout_by_default(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=5)
    done = cli("run", clip, "--tasks", "pose", "--max-faces", 3, "--set", "iterations=0", "--no-smooth")
    assert done.code == 0
    kinds = [record["kind"] for record in records(done.out)]
    assert kinds == ["header", *["frame"] * 5, "summary"]
    assert done.err.startswith(f"{clip}: 5 frames, ")
    (options,) = opened
    assert (options.tasks, options.max_faces, options.iterations, options.smooth) == (("pose",), 3, 0, False)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--tasks", "mesh", "--set", "iterations=1"), "iterations: expected 0 with the tasks mesh"),
        (("--tasks", "all", "--set", "iterations=2"), "or leave mesh, expression, gaze out"),
        (("--set", "detect_width=330"), "the nearest are 320 or 352"),
        (("--set", "still_width=500"), "the nearest are 480 or 512"),
    ],
)
def test_what_no_network_can_do_is_refused_before_anything_is_opened(
    cli: Cli, opened: list[Options], tmp_path: Path, flags: tuple[str, ...], said: str
) -> None:
    done = cli("run", tmp_path / "no-such.mp4", *flags)
    assert (done.code, done.out) == (2, "") and said in done.err and "no-such" not in done.err
    assert opened == []


def test_run_says_that_it_keeps_no_budget(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=2)
    done = cli("run", clip, "--set", "budget_ms=33")
    assert done.code == 0 and done.err.startswith("rtface: budget_ms is left out: run keeps no deadline")
    assert records(done.out)[-1]["frames"] == 2


def test_run_writes_files_and_overwrites_them_only_when_asked(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=4)
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    command = ["run", clip, "-o", lines, "-o", video]
    assert cli(*command).code == 0
    before = lines.read_bytes()
    again = cli(*command)
    assert (again.code, again.out) == (1, "")
    assert again.err == f"rtface: {lines}: exists already. -y (overwrite=True in Python) overwrites it\n"
    assert lines.read_bytes() == before
    assert cli(*command, "-y", "--max-frames", 2).code == 0
    assert [record["kind"] for record in records(lines.read_text())] == ["header", "frame", "frame", "summary"]
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == 2


def test_run_on_a_folder_and_on_a_picture(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / name), cv2.imread(str(tmp_path / name)) or _grey())
    done = cli("run", tmp_path)
    assert [record["kind"] for record in records(done.out)] == ["header", "frame", "frame", "summary"]
    assert cli("run", tmp_path / "a.jpg", "-o", tmp_path / "drawn.png").code == 0
    assert cv2.imread(str(tmp_path / "drawn.png")).shape == (90, 120, 3)
    refused = cli("run", tmp_path, "-o", tmp_path / "all.png")
    assert refused.code == 2
    assert "is one picture" in refused.err


def _grey() -> Any:
    import numpy as np

    return np.full((90, 120, 3), 128, np.uint8)


def test_corrupt_frames_are_counted_in_the_summary(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = blank(write_video(tmp_path / "clip.mp4", frames=60), 0.5, 900)
    done = cli("run", clip)
    assert done.code == 0
    summary = records(done.out)[-1]
    assert summary["corrupt"] > 0
    assert summary["frames"] + summary["corrupt"] == 60
    assert f"{summary['corrupt']} could not be decoded and were skipped" in done.err


def test_a_clip_that_is_cut_leaves_whole_outputs_and_exit_code_3(
    cli: Cli, opened: list[Options], tmp_path: Path
) -> None:
    clip = cut(index_first(write_video(tmp_path / "clip.mp4")), 0.6)
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    done = cli("run", clip, "-o", lines, "-o", video)
    assert done.code == 3
    assert "is cut short" in done.err
    assert done.err.count("\n") == 1
    _header, *frames, summary = records(lines.read_text())
    assert not summary["complete"] and "is cut short" in summary["error"]
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == len(frames) > 5


INTERRUPTED = """
import os, signal, sys
import rtface.stream
from rtface.analyzer import Analyzer
from rtface.cli.app import main
from rtface.testing import FakeDetector, FakeEngine

class Detector(FakeDetector):
    def detect(self, image, *, still=False):
        if self.calls == 6:
            os.kill(os.getpid(), signal.{signal})
        return super().detect(image)

rtface.stream.Analyzer = lambda options: Analyzer(options, detector=Detector(), engine=FakeEngine())
main(sys.argv[1:])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize(
    ("name", "code", "said"),
    [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated"), ("SIGHUP", 129, "hung up")],
)
def test_a_signal_leaves_whole_outputs_and_its_exit_code(tmp_path: Path, name: str, code: int, said: str) -> None:
    assert getattr(signal, name)
    lines, video = tmp_path / "out.jsonl", tmp_path / "out.mp4"
    args = ["run", "demo", "-o", str(lines), "-o", str(video), "--set", "detect_every_ms=0"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(signal=name), *args],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"rtface: {said}; what was written is whole\n"
    _header, *frames, summary = records(lines.read_text())
    assert summary["interrupted"]
    assert len(frames) == 6
    assert int(cv2.VideoCapture(str(video)).get(cv2.CAP_PROP_FRAME_COUNT)) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.jsonl", "out.mp4"]


def test_the_progress_bar_is_for_terminals_only(
    cli: Cli, opened: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    assert "3/3" not in cli("run", clip).err
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = cli("run", clip)
    assert "3/3" in shown.err
    assert len(records(shown.out)) == 5


def test_live_without_a_window(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3, fps=100.0)
    done = cli("live", clip, "--no-show", "--budget", "2s", "--max-frames", 2)
    assert done.code == 0
    assert [record["kind"] for record in records(done.out)] == ["header", "frame", "frame", "summary"]
    assert "0 late" in done.err
    assert opened[0].budget_ms == 2000.0


def test_a_lost_stream_is_said_on_stderr(cli: Cli, opened: list[Options], monkeypatch: pytest.MonkeyPatch) -> None:
    class Cut(MjpegServer):
        """Hangs up after 20 frames."""

        def _pace(self, number: int) -> None:
            if number == 20:
                raise OSError
            super()._pace(number)

    # The hang-up is what ends a read, not the time-out, which a busy machine would reach between two frames.
    monkeypatch.setattr("rtface.capture.camera.READ_TIMEOUT_MS", 5000)
    with Cut() as server:
        done = cli("live", server.url, "--no-show", "--max-frames", 30, "--set", "reconnect_s=90")
        refused = cli("live", server.url, "--no-show", "--set", "reconnect_s=0")
    assert done.code == 0
    lost, back, *more, figures = done.err.splitlines()
    assert lost == "rtface: the source is lost (the stream ended or was lost); trying again"
    assert back.startswith("rtface: the source is back after ") and figures.startswith("30 frames")
    kinds = [event["kind"] for event in records(done.out)[-1]["events"]]
    assert len(more) % 2 == 0 and kinds == ["source_lost", "source_back"] * (1 + len(more) // 2)  # a slow machine's
    assert refused.code == 3 and refused.err.endswith("lost. Check the server, then start again\n")


def test_live_is_refused_without_a_display(
    cli: Cli, opened: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.outputs.window.why_no_display", lambda: "there is no display")
    done = cli("live", write_video(tmp_path / "clip.mp4", frames=3))
    assert (done.code, done.out) == (1, "")
    assert done.err == "rtface: window: there is no display. Use --no-show, and -o for a file\n"


@pytest.mark.parametrize(
    ("arguments", "source"), [((), 0), (("--camera", 0), 0), (("--camera", 7), 7), (("7",), "7"), (("demo",), "demo")]
)
def test_live_opens_the_camera_that_is_named(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str | int, ...], source: str | int
) -> None:
    asked = []
    monkeypatch.setattr("rtface.cli.live._run_one", lambda given, *_: asked.append(given))
    done = cli("live", *arguments, "--no-show")
    assert (done.code, done.err, asked) == (0, "", [source])


def test_live_takes_a_source_or_a_camera(cli: Cli) -> None:
    done = cli("live", "demo", "--camera", 0)
    assert done.code == 2
    assert "both a SOURCE and --camera" in done.err


def test_live_at_a_level(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = cli("live", clip, "--no-show", "--level", 2, "--floor", 3, "--priority", "parsing,pose", "--max-frames", 1)
    assert done.code == 0
    header, frame, summary = records(done.out)
    assert frame["level"] == 2 and summary["levels"] == {"2": 1} and summary["level_moves"] == 0
    assert header["runtime"]["levels"][0] == "full" and header["options"]["priority"] == ["parsing", "pose"]
    (options,) = opened
    assert (options.level, options.max_level) == (2, 3)
    beyond = cli("live", clip, "--no-show", "--level", 40)
    assert beyond.code == 2 and "level: expected 0 to 7, got 40. The levels are: 0 full" in beyond.err


def test_run_takes_sub_folders_and_names_what_it_leaves_out(cli: Cli, tmp_path: Path) -> None:
    deep = tmp_path / "album" / "deep"
    deep.mkdir(parents=True)
    cv2.imwrite(str(deep / "grey.png"), np.full((64, 64, 3), 128, np.uint8))
    (deep / "broken.png").write_bytes(b"no picture")
    assert "--recursive" in cli("run", tmp_path / "album").err
    done = cli("run", tmp_path / "album", "-r", "--set", "threads=1")
    lines = [json.loads(line) for line in done.out.splitlines()]
    assert (done.code, lines[1]["source"]) == (0, str(deep / "grey.png"))
    assert "broken.png: is not a picture" in lines[-1]["unreadable"][0]
    assert f"rtface: left out {deep / 'broken.png'}" in done.err
    several = cli("run", deep / "grey.png", deep / "grey.png", "--set", "threads=1")
    assert [json.loads(line)["kind"] for line in several.out.splitlines()] == ["header", "frame", "frame", "summary"]


def test_run_dates_the_frames_of_a_video(cli: Cli) -> None:
    done = cli("run", "demo", "--max-frames", 2, "--started-at", "2026-07-01T12:00:00+02:00", "--set", "threads=1")
    header, _, second, _ = map(json.loads, done.out.splitlines())
    assert (header["started_at"], second["time"]) == ("2026-07-01T10:00:00.000Z", "2026-07-01T10:00:00.040Z")
    assert cli("run", "demo", "--started-at", "noon").code == 2

"""`rtface live` with several cameras, on painted faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rtface.cameras.cameras
import rtface.outputs.wall
from rtface.analyzer import Analyzer
from rtface.options import Options
from rtface.outputs.sink import RunInfo, Sink
from rtface.testing import FakeDetector, FakeEngine, Painted
from rtface.types import FrameResult
from tests.conftest import Cli
from tests.media import write_video


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    seen: list[Options] = []

    def make(options: Options, streams: int = 1) -> Analyzer:
        seen.append(options)
        return Analyzer(options, detector=FakeDetector([Painted(80, 60, 20)]), engine=FakeEngine(), streams=streams)

    monkeypatch.setattr(rtface.cameras.cameras, "Analyzer", make)
    return seen


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_several_cameras_share_stdout_and_one_set_of_networks(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=5)
    done = cli("live", f"door={clip}", f"hall={clip}", "--no-show", "--budget", "66ms", "--tasks", "pose")
    assert done.code == 0, done.err
    header, *frames, summary = records(done.out)
    assert header["source"]["cameras"] == ["door", "hall"]
    assert {frame["camera"] for frame in frames} == {"door", "hall"}
    assert set(summary["cameras"]) == {"door", "hall"}
    assert len(opened) == 1 and opened[0].budget_ms == 66
    assert "door: 5 frames" in done.err or "door: " in done.err
    assert "all: " in done.err


def test_one_named_camera_has_its_name_in_every_record(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = cli("live", f"door={clip}", "--no-show", "-o", tmp_path / "{camera}.jsonl")
    assert done.code == 0, done.err
    header, *frames, _ = records((tmp_path / "door.jsonl").read_text())
    assert header["camera"] == "door" and {frame["camera"] for frame in frames} == {"door"}
    assert done.out == ""


def test_a_name_that_is_taken_ends_the_run_before_another_camera_has_written(
    cli: Cli, opened: list[Options], tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "hall.jsonl").write_text("before\n")
    done = cli("live", f"door={clip}", f"hall={clip}", "--no-show", "-o", tmp_path / "{camera}.jsonl")
    assert done.code == 1 and "hall.jsonl: exists already" in done.err
    assert not (tmp_path / "door.jsonl").exists() and (tmp_path / "hall.jsonl").read_text() == "before\n"


def test_the_same_source_twice_has_two_names(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = cli("live", clip, clip, "--no-show", "-o", tmp_path / "{camera}.jsonl")
    assert done.code == 0, done.err
    assert (tmp_path / "clip-2.jsonl").exists() and (tmp_path / "clip.jsonl").exists()


def test_a_file_lists_cameras(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=5)
    file = tmp_path / "cameras.toml"
    door = f"[door]\nsource = {str(clip)!r}\nrotate = 180\nloop = true\n"
    file.write_text(f"{door}[hall]\nsource = {str(clip)!r}\nenabled = false\n")
    done = cli("live", "--cameras", file, "--no-show", "--max-frames", "3")
    assert done.code == 0, done.err
    _, *frames, _ = records(done.out)
    assert {frame["camera"] for frame in frames} == {"door"} and len(frames) == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a=demo", "a=demo"], "names two cameras"),
        (["demo", "demo", "-o", "faces.mp4"], "{camera}"),
        (["demo", "0", "--camera", "1"], "both a SOURCE and --camera"),
        (["--cameras", "missing.toml"], "missing.toml"),
    ],
)
def test_what_cannot_be_is_one_line(
    cli: Cli, opened: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = cli("live", *arguments, "--no-show")
    assert done.code in (1, 2) and words in done.err and done.err.count("\n") == 1, done.err


def test_a_clip_that_is_missing_ends_it_before_the_start(cli: Cli, opened: list[Options], tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = cli("live", clip, tmp_path / "nothing.mp4", "--no-show")
    assert done.code == 3 and "nothing.mp4" in done.err.splitlines()[-1]


def test_the_window_of_several_cameras_fills_the_screen_where_asked(
    cli: Cli, opened: list[Options], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[bool] = []

    class Wall(Sink):
        name, many_cameras = "wall", True

        def __init__(self, *, full_screen: bool) -> None:
            made.append(full_screen)

        def open(self, info: RunInfo) -> None:
            pass

        def write(self, result: FrameResult) -> None:
            pass

    monkeypatch.setattr(rtface.outputs.wall, "WallSink", Wall)
    clip = write_video(tmp_path / "clip.mp4", frames=3)
    done = cli("live", f"a={clip}", f"b={clip}", "--full-screen")
    assert done.code == 0, done.err
    assert made == [True]

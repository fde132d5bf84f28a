"""A file appears where an output is to be, while the run goes on: it stays, and so does what was written."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import rtface
from rtface.outputs.open import choose

NEEDS = {".rosbag": "rosbags", ".rrd": "rerun", ".eaf": "pympi"}


class Intruder(rtface.Sink):
    """Puts a file there with the first frame."""

    name = "intruder"

    def __init__(self, target: Path) -> None:
        self.target = target

    def open(self, info: object) -> None: ...

    def write(self, result: rtface.FrameResult) -> None:
        if not self.target.exists():
            self.target.write_text("theirs")


@pytest.mark.parametrize("ending", [".parquet", ".webm", ".gif", ".mp4", ".coco.json", ".eaf", ".rosbag", ".rrd"])
def test_neither_is_lost(tmp_path: Path, ending: str) -> None:
    if ending in NEEDS and find_spec(NEEDS[ending]) is None:
        pytest.skip(f"pip install {NEEDS[ending]}")
    target = tmp_path / f"visit{ending}"
    (sink,) = choose([target], source="demo")
    with pytest.raises(rtface.OutputError, match="appeared while the run went on, and is left alone") as refused:
        rtface.run("demo", [sink, Intruder(target)], max_frames=5, tasks=())
    assert target.read_text() == "theirs"
    (kept,) = set(tmp_path.iterdir()) - {target}
    assert str(kept) in str(refused.value)
    assert sum(file.stat().st_size for file in (kept.rglob("*") if kept.is_dir() else [kept])) > 100


def test_a_folder_of_frames_leaves_others_pictures_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "frames" / "frame_000003.jpg"
    theirs.parent.mkdir()
    with pytest.raises(rtface.OutputError, match=r"frame_000003.jpg appeared while the run went on") as refused:
        rtface.run("demo", [f"{theirs.parent}/", Intruder(theirs)], max_frames=5, tasks=())
    assert theirs.read_text() == "theirs" and "-y" in str(refused.value)


def test_a_bag_replaces_no_folder_that_is_none(tmp_path: Path) -> None:
    if find_spec("rosbags") is None:
        pytest.skip("pip install rosbags")
    target = tmp_path / "visit.rosbag"
    (sink,) = choose([target], source="demo", overwrite=True)
    target.mkdir()
    (target / "mine.txt").write_text("mine")
    with pytest.raises(rtface.OutputError, match="is left alone"):
        rtface.run("demo", [sink], max_frames=2, tasks=())
    assert (target / "mine.txt").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="locks of files and folders")
@pytest.mark.parametrize("ending", [".parquet", ".webm", ".mp4", ".rosbag", ".rrd"])
def test_what_a_killed_run_has_left_is_named(tmp_path: Path, ending: str) -> None:
    if ending in NEEDS and find_spec(NEEDS[ending]) is None:
        pytest.skip(f"pip install {NEEDS[ending]}")
    target = tmp_path / f"visit{ending}"
    code = (
        "import os, sys, rtface\n"
        "class Last(rtface.Sink):\n"
        "    name = 'last'\n"
        "    def open(self, info): ...\n"
        "    def write(self, result):\n"
        "        if result.frame.index == 60: os.kill(os.getpid(), 9)\n"
        "rtface.run('demo', [sys.argv[1], Last()], tasks=())"
    )
    assert subprocess.run([sys.executable, "-c", code, str(target)]).returncode == -9
    (left,) = tmp_path.iterdir()
    summary = rtface.run("demo", [target], max_frames=2, tasks=())
    (told,) = (event for event in summary["events"] if event["kind"] == "part_left")
    assert left.name in str(told)
    assert {path.name for path in tmp_path.iterdir()} == {left.name, target.name}

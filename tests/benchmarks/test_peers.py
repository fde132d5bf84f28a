"""The comparison's own parts: the peer's process, turns, tiles, ratios. MediaPipe itself is a stand-in here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import peer_venv, peers
from benchmarks.contestant import Contestant

STAND_IN = """
class FaceMesh:
    def __init__(self, max_num_faces, refine_landmarks):
        print("MediaPipe likes to talk")
        self.most = max_num_faces

    def process(self, image):
        class Result:
            # The first pixel's red: FaceMesh takes RGB, frames are BGR.
            multi_face_landmarks = [None] * min(int(image[0, 0, 0]), self.most) or None
        return Result()
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Three frames, in which 0, 1 and 2 faces are to be found, and a stand-in for MediaPipe on the path."""
    package = tmp_path / "mediapipe" / "python" / "solutions"
    package.mkdir(parents=True)
    (package / "face_mesh.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    frames = np.zeros((3, 2, 4, 3), np.uint8)
    frames[:, :, :, 2] = np.arange(3)[:, None, None]
    raw = tmp_path / "frames.raw"
    raw.write_bytes(frames.tobytes())
    size = {"count": 3, "height": 2, "width": 4}
    return {"kind": "facemesh", "frames": str(raw), **size, "fps": 25.0, "faces": 5, "refine": False}


def test_a_contestant_works_block_by_block_and_the_first_does_not_count(config: dict[str, Any]) -> None:
    with (
        Contestant("stand-in", sys.executable, config) as one,
        Contestant("another", sys.executable, {**config, "faces": 1}) as other,
    ):
        peers.take_turns([one, other], blocks=2, size=2)
    assert one.faces == [[0, 1], [2, 0], [1, 2]]  # the clip goes round
    assert other.faces == [[0, 1], [1, 0], [1, 1]]
    record = one.record()
    assert record["frames"] == 4
    assert record["faces_per_frame"] == pytest.approx(5 / 4)
    assert 0.0 < record["median_ms"] <= record["p95_ms"]
    assert len(one.cpu_ms) == 3 and record["cpu_ms_per_frame"] == pytest.approx(sum(one.cpu_ms[1:]) / 4, abs=1e-3)
    if sys.platform.startswith("linux"):
        assert record["rss_mb"] > 5.0


def test_a_contestant_that_cannot_start_says_why(config: dict[str, Any]) -> None:
    missing = Contestant("stand-in", sys.executable, {**config, "frames": "nowhere.raw"})
    with pytest.raises(SystemExit, match="No such file"), missing:
        pytest.fail("entered")


def test_three_faces_are_three_moments_of_the_clip() -> None:
    frames = [np.full((peers.HEIGHT, peers.WIDTH, 3), value, np.uint8) for value in (10, 20, 30)]
    tiled = peers.three_of(frames)
    corners = [[int(t[row, column, 0]) for row in (0, -1) for column in (0, -1)] for t in tiled]
    assert corners == [[10, 20, 30, 128], [20, 30, 10, 128], [30, 10, 20, 128]]
    assert tiled[0].shape == frames[0].shape


def record(**changes: Any) -> dict[str, Any]:
    run = {"median_ms": 2.0, "p95_ms": 3.0, "cpu_ms_per_frame": 4.0, "faces_per_frame": 1.0, "rss_mb": 100.0}
    runs = {"FaceMesh": run, "rtface": {**run, "median_ms": 3.2, "cpu_ms_per_frame": 3.0}}
    facts = {"cpu": "a cpu", "cores": 2, "load_1min": 0.1}
    whole = {"clip": "demo", "faces": 1, "runs": runs, "ratio": 1.6, "ratio_to_refined": None}
    whole |= {"cpu_ratio": 0.75, "three_to_one": None}
    return {**whole, "help_s": 0.1, "first_result_s": 0.9, "machine": facts, **changes}


def test_ratios_are_of_the_medians() -> None:
    runs = record()["runs"]
    assert peers.ratio(runs, "rtface", "FaceMesh") == pytest.approx(1.6)
    assert peers.ratio(runs, "rtface", "FaceMesh", "cpu_ms_per_frame") == pytest.approx(0.75)
    assert peers.ratio(runs, "rtface", "rtface, one face") is None


def test_the_text_says_what_holds_and_what_does_not() -> None:
    lines = {line.split("  ")[0]: line for line in peers.text(record()).splitlines()}
    assert lines["rtface / FaceMesh, medians"].endswith("1.60   at most 1: NO")
    assert lines["rtface / FaceMesh, CPU time"].endswith("0.75   at most 1: ok")
    assert lines["rtface resident memory, MB"].endswith("ok")
    assert "rtface, three faces / one" not in lines
    found = {"median_ms": 6.0, "cpu_ms_per_frame": 9.0, "p95_ms": 7.0, "faces_per_frame": 2.9, "rss_mb": None}
    runs = {**record()["runs"], "rtface": found, "rtface, one face": {**found, "faces_per_frame": 1.0}}
    three = peers.text(record(runs=runs, faces=3, three_to_one=1.9))
    assert "1.90   at most 2: ok" in three
    assert "1.60   at most 1: NO" in three  # promised for three faces too


def test_a_ratio_without_faces_is_no_success() -> None:
    blind = record(ratio=1.0)
    blind["runs"]["rtface"]["faces_per_frame"] = 0.1
    assert not peers.comparable(blind)
    assert "1.00   at most" not in peers.text(blind)
    assert "did not find all the faces" in peers.text(blind)
    assert peers.comparable(record())


def test_takes_the_running_python_where_the_peer_has_a_wheel_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert peer_venv.find_base((3, 11), "/here/python") == ("/here/python", "3.11")
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/" + name if name == "python3.10" else None)
    assert peer_venv.find_base((3, 13), "/here/python") == ("/usr/bin/python3.10", "3.10")
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SystemExit, match=r"wheels for Python 3\.12, 3\.11, 3\.10, 3\.9 only"):
        peer_venv.find_base((3, 13), "/here/python")


def test_the_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(peer_venv, "find_base", lambda running, executable: ("/usr/bin/python3.11", "3.11"))

    def run(command: list[str]) -> None:
        commands.append(command)
        (tmp_path / "mediapipe-0.10.21-py3.11").mkdir(exist_ok=True)

    monkeypatch.setattr(peer_venv, "_run", run)
    first, second = peer_venv.peer_python(tmp_path), peer_venv.peer_python(tmp_path)
    assert first == second and first.is_relative_to(tmp_path)
    assert [command[2] for command in commands] == ["venv", "pip"]
    assert commands[1][-1] == "mediapipe==0.10.21"


def test_seconds_until_output_measures_a_process() -> None:
    assert 0.0 < peers.seconds_until_output("print('here')", repeats=1) < 60.0
    with pytest.raises(SystemExit, match="printed nothing"):
        peers.seconds_until_output("pass", repeats=0)


def test_options_reach_rtface_and_the_peer_has_the_same_frames(tmp_path: Path) -> None:
    args = peers.arguments(["--faces", "3", "--set", "iterations=0", "--peer-python", "other/python"])
    frames = [np.full((2, 2, 3), value, np.uint8) for value in (1, 2)]
    some = peers.contestants(args, frames, 25.0, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == bytes([1] * 12 + [2] * 12)
    assert [one.name for one in some] == ["FaceMesh", "FaceMesh, refined", "rtface", "rtface, one face"]
    assert args.options == {"iterations": "0"}
    alone = peers.contestants(peers.arguments(["--peer-python", "other/python"]), frames, 25.0, tmp_path / "raw")
    assert [one.name for one in alone] == ["FaceMesh", "FaceMesh, refined", "rtface"]

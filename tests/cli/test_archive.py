"""``rtface run`` on many files: what it says, and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Cli
from tests.media import write_video

FLAGS = ("--set", "detect_width=64", "--jobs", 1)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, frames in (("a", 6), ("b", 4)):
        write_video(tmp_path / f"{name}.mp4", frames=frames)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_table_the_sums_and_what_failed_with_exit_code_3(cli: Cli, clips: Path) -> None:
    (clips / "c.mp4").write_bytes(b"no video")
    done = cli("run", "*.mp4", "-o", "out/{stem}.jsonl", *FLAGS)
    assert (done.code, done.out) == (3, "")
    *table, sums, failed = done.err.splitlines()
    rows = [line.split() for line in table if ".mp4" in line]
    assert [(row[0], row[1], row[-1]) for row in rows] == [
        ("a.mp4", "6", "done"),
        ("b.mp4", "4", "done"),
        ("c.mp4", "0", "failed"),
    ]
    assert sums.startswith("2 sources done, 10 frames, 0 faces, ")
    assert sums.endswith(", 1 failed (out/.rtface-archive)")
    assert failed.startswith("rtface: failed: ") and "c.mp4: is not a video or picture" in failed
    (clips / "c.mp4").unlink()
    again = cli("run", "*.mp4", "-o", "out/{stem}.jsonl", *FLAGS)
    assert again.code == 0
    assert again.err.startswith("rtface: 2 of 2 sources were done before and are left alone\n0 sources done")


def test_one_bar_for_all_on_a_terminal(cli: Cli, clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    done = cli("run", "a.mp4", "b.mp4", "-o", "{stem}.csv", "--state", "kept", *FLAGS)
    assert done.code == 0
    assert "2/2 files" in done.err and (clips / "kept").is_file()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("a.mp4", "b.mp4", "-o", "all.csv", "--jobs", 2), "all.csv: is one name for 2 sources"),
        (("a.mp4", "b.mp4", "-o", "all.csv"), "Give each an output of its own: -o 'out/{stem}.jsonl'"),
        (("a.mp4", "--jobs", 2), "goes into files, and none is named"),
        (("a.mp4", "b.mp4", "-o", "{stem}.csv", "--started-at", "2026-11-30T10:00:00Z"), "did not all begin then"),
    ],
)
def test_what_it_refuses(cli: Cli, clips: Path, args: tuple[object, ...], said: str) -> None:
    done = cli("run", *args)
    assert done.code == 2 and said in done.err
    assert sorted(path.name for path in clips.iterdir()) == ["a.mp4", "b.mp4"]

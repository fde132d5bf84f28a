"""Archives as their users run them: by processes, killed in mid-run, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import pytest

from rtface.archive.run import Watcher, run_archive
from rtface.archive.state import DONE, FAILED, NAME, is_whole
from rtface.errors import OutputError, UsageError
from rtface.options import Options
from rtface.testing import Painted, paint
from tests.media import write_video

ROOT = Path(__file__).parents[2]
OPTIONS = Options(tasks=("pose",), still_tta=1, still_refine=1)
FLAGS = ("--tasks", "pose", "--set", "still_tta=1", "--set", "still_refine=1")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Two clips, three pictures, a damaged one and a damaged clip."""
    folder = tmp_path / "in"
    folder.mkdir()
    write_video(folder / "a.mp4", frames=8)
    write_video(folder / "b.avi", frames=5)
    for name in "pqr":
        cv2.imwrite(str(folder / f"{name}.png"), paint([Painted(200, 180)]))
    (folder / "s.png").write_bytes(b"no picture")
    (folder / "t.mp4").write_bytes(b"no video")
    return tmp_path


def test_every_file_has_outputs_of_its_own_and_failures_are_named(archive: Path) -> None:
    report = run_archive(archive / "in", [f"{archive}/out/{{stem}}.jsonl"], options=OPTIONS, jobs=2)
    found = {Path(one.source).name: (one.status, one.frames) for one in report.outcomes}
    assert found == {
        "a.mp4": (DONE, 8),
        "b.avi": (DONE, 5),
        **dict.fromkeys(("p.png", "q.png", "r.png"), (DONE, 1)),
        **dict.fromkeys(("s.png", "t.mp4"), (FAILED, 0)),
    }
    assert [Path(one.source).name for one in report.outcomes] == sorted(found)
    assert ["is not a picture" in (one.error or "") for one in report.failures] == [True, False]
    header, *frames, summary = lines(archive / "out/a.jsonl")
    assert (header["source"]["name"], len(frames), summary["frames"]) == (str(archive / "in/a.mp4"), 8, 8)
    header, frame, summary = lines(archive / "out/q.jsonl")
    assert (header["source"]["name"], header["source"]["frame_count"]) == (str(archive / "in/q.png"), 1)
    assert (frame["index"], summary["frames"], summary["complete"]) == (0, 1, True)


def test_a_second_run_does_only_what_failed_and_what_is_new(archive: Path) -> None:
    outputs = [f"{archive}/out/{{stem}}.jsonl", f"{archive}/out/{{stem}}.csv"]
    run_archive(archive / "in", outputs, options=OPTIONS, jobs=1)
    before = (archive / "out/a.jsonl").stat().st_mtime_ns
    shutil.copy(archive / "in/p.png", archive / "in/s.png")
    write_video(archive / "in/u.mp4", frames=3)
    report = run_archive(archive / "in", outputs, options=OPTIONS, jobs=1)
    assert report.done_before == 5
    assert [Path(one.source).name for one in report.outcomes] == ["s.png", "t.mp4", "u.mp4"]
    assert (archive / "out/a.jsonl").stat().st_mtime_ns == before
    with pytest.raises(OutputError, match="exists already"):
        run_archive(archive / "in", outputs, options=Options(tasks=("emotion",)), jobs=1)


def test_nothing_is_begun_where_two_sources_have_one_name(archive: Path) -> None:
    shutil.copy(archive / "in/b.avi", archive / "in/a.avi")
    with pytest.raises(UsageError, match="would both be written to it"):
        run_archive(archive / "in", [f"{archive}/out/{{stem}}.jsonl"], options=OPTIONS)
    assert not (archive / "out").exists()


def test_the_rows_are_those_of_a_run_on_each_file_alone(archive: Path) -> None:
    """A picture among others, and a clip after others, give what they give alone."""
    import rtface

    for name in ("in/s.png", "in/t.mp4"):
        (archive / name).unlink()
    run_archive(archive / "in", [f"{archive}/out/{{stem}}.csv"], options=OPTIONS, jobs=2)
    for source in sorted((archive / "in").iterdir()):
        rtface.run(
            source,
            [archive / "alone.csv"],
            options=Options(tasks=("pose",), still_tta=1, still_refine=1, threads=1),
            overwrite=True,
        )
        assert (archive / "out" / f"{source.stem}.csv").read_text() == (archive / "alone.csv").read_text()


class Kill(Watcher):
    """Kills the process that does a bundle, as a damaged file or too little memory would."""

    def __init__(self, times: int) -> None:
        self.left = times

    def progress(self, bundle: Any, frames: int, total: int | None) -> None:
        if self.left and bundle[0].source.endswith("a.mp4"):
            self.left -= 1
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            for child in children:
                if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="finds its children by /proc")
@pytest.mark.parametrize(("times", "status"), [(1, DONE), (2, FAILED)])
def test_a_process_that_dies_costs_only_what_it_was_doing(tmp_path: Path, times: int, status: str) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", frames=600)
    write_video(tmp_path / "in/b.mp4", frames=3)
    outputs = [f"{tmp_path}/out/{{stem}}.jsonl"]
    report = run_archive(tmp_path / "in", outputs, options=OPTIONS, jobs=1, watcher=Kill(times))
    assert [one.status for one in report.outcomes] == [status, DONE]
    assert is_whole(tmp_path / "out/a.jsonl") is (status == DONE)
    if status == FAILED:
        assert "the process that read it died (SIGKILL), 2 times" in str(report.outcomes[0].error)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Clips that take long enough to be killed in the middle."""
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/a.mp4", frames=300)
    write_video(tmp_path / "in/b.mp4", frames=40)
    shutil.copy(tmp_path / "in/a.mp4", tmp_path / "in/c.mp4")
    return tmp_path


def command(folder: Path, *more: str) -> list[str]:
    outputs = ("-o", f"{folder}/out/{{stem}}.jsonl", "-o", f"{folder}/out/{{stem}}.csv")
    return [sys.executable, "-m", "rtface", "run", str(folder / "in"), *outputs, *FLAGS, "--jobs", "2", *more]


def begin(folder: Path) -> subprocess.Popen[str]:
    """The run in a session of its own, once it writes its second file."""
    running = subprocess.Popen(command(folder), cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)
    end = time.monotonic() + 300
    while time.monotonic() < end and running.poll() is None:
        sizes = [path.stat().st_size for path in (folder / "out").glob("*.jsonl")]
        if sum(size > 12000 for size in sizes) > 1:
            return running
        time.sleep(0.05)
    raise AssertionError(f"it did not get that far: {running.communicate()[1]}")


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
def test_a_run_that_is_killed_is_gone_on_with(long: Path) -> None:
    running = begin(long)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    out = long / "out"
    whole = {path.name: path.stat().st_mtime_ns for path in out.glob("*.jsonl") if is_whole(path)}
    assert len(whole) < 3
    done = subprocess.run(command(long), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, frames in (("a", 300), ("b", 40), ("c", 300)):
        kinds = [record["kind"] for record in lines(out / f"{name}.jsonl")]
        assert kinds == ["header", *["frame"] * frames, "summary"]
    assert lines(out / "a.jsonl")[1:-1][-1]["faces"] == lines(out / "c.jsonl")[1:-1][-1]["faces"]
    again = subprocess.run(command(long), cwd=ROOT, capture_output=True, text=True, check=False)
    assert again.returncode == 0 and "3 of 3 sources were done before" in again.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [NAME, *(f"{name}.{ending}" for name in "abc" for ending in ("csv", "jsonl"))]
    )


@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("to_all", [True, False], ids=["terminal", "supervisor"])
def test_ctrl_c_leaves_whole_files_and_the_next_run_goes_on(long: Path, to_all: bool) -> None:
    running = begin(long)
    if to_all:
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    else:
        running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=300)
    assert (running.returncode, said.splitlines()[-1]) == (130, "rtface: interrupted; what was written is whole")
    assert "Traceback" not in said
    assert "files are done; the same command goes on from here" in said
    for path in (long / "out").glob("[a-c].jsonl"):
        assert lines(path)[-1]["kind"] == "summary"
    statuses = {line["status"] for line in lines(long / "out" / NAME)[1:]}
    assert "interrupted" in statuses
    done = subprocess.run(command(long), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert all(is_whole(path) for path in (long / "out").glob("*.jsonl"))

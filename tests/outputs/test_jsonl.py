"""JSON lines, whole whatever happens."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.errors import OutputError
from rtface.outputs.jsonl import JsonlSink
from rtface.outputs.sink import RunInfo
from rtface.types import Frame, FrameResult

INFO = RunInfo("clip.mp4", live=False, stills=False, fps=25.0, frame_count=3, header={"kind": "header"})


def result(index: int = 0) -> FrameResult:
    return FrameResult(Frame(np.zeros((4, 4, 3), np.uint8), index=index))


def kinds(path: Path) -> list[str]:
    return [json.loads(line)["kind"] for line in path.read_text().splitlines()]


def test_a_header_a_line_a_frame_and_a_summary(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    with JsonlSink(path) as sink:
        sink.open(INFO)
        for index in range(3):
            sink.write(result(index))
            assert len(path.read_bytes().splitlines()) == 2 + index  # written at once, not at the end
        sink.finish({"kind": "summary"})
    assert kinds(path) == ["header", "frame", "frame", "frame", "summary"]


def test_a_file_that_appears_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    path.write_text("precious")
    with JsonlSink(path) as sink, pytest.raises(OutputError, match="File exists"):
        sink.open(INFO)
    assert path.read_text() == "precious"
    with JsonlSink(path, overwrite=True) as sink:
        sink.open(INFO)
    assert kinds(path) == ["header"]


FULL_DISK = """
import resource, sys
from pathlib import Path
from tests.outputs.test_jsonl import INFO, result
from rtface.outputs.jsonl import JsonlSink
from rtface.errors import OutputError
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with JsonlSink(Path(sys.argv[1])) as sink:
    sink.open(INFO)
    try:
        for index in range(100):
            sink.write(result(index))
    except OutputError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert "cannot be written (File too large)" in done.stdout
    assert path.read_bytes().endswith(b"\n")
    found = kinds(path)
    assert found[0] == "header"
    assert set(found[1:]) == {"frame"}


def test_a_reader_that_leaves_ends_the_run_quietly(tmp_path: Path) -> None:
    code = (
        "from tests.outputs.test_jsonl import INFO, result\n"
        "from rtface.outputs.jsonl import JsonlSink\n"
        "import sys\n"
        "with JsonlSink(None) as sink:\n"
        "    sink.open(INFO)\n"
        "    while not sink.done:\n"
        "        sink.write(result())\n"
        "    sink.finish({'kind': 'summary'})\n"
        "print('done', file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=Path(__file__).parents[2]
    ) as process:
        assert process.stdout is not None and process.stderr is not None
        assert json.loads(process.stdout.readline()) == {"kind": "header"}
        process.stdout.close()
        assert process.stderr.read() == b"done\n"
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="locks as POSIX has them")
def test_two_runs_into_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "faces.jsonl"
    with JsonlSink(path) as first, JsonlSink(path, overwrite=True) as second:
        first.open(INFO)
        before = path.read_bytes()
        with pytest.raises(OutputError, match="is being written by another run"):
            second.open(INFO)
        assert path.read_bytes() == before
    with JsonlSink(path, overwrite=True) as third:
        third.open(INFO)
    assert path.read_bytes() == before


def test_a_captured_stdout_is_written_to() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as captured, JsonlSink(None) as sink:
        sink.open(INFO)
        sink.write(result())
        sink.finish({"kind": "summary"})
    assert [json.loads(line)["kind"] for line in captured.getvalue().splitlines()] == ["header", "frame", "summary"]

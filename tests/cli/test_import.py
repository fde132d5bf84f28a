"""`rtface import`, and `rtface eval --format` on the same files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from rtface.datasets.registry import FORMATS
from tests.conftest import Cli
from tests.datasets.made import picture, points, spaced, text


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for name in "abc":
        picture(tmp_path / f"{name}.jpg", 80, 60)
    rows = [f"{name}.jpg,{split},{spaced(points(68))}" for name, split in zip("abc", ("", "val", "train"), strict=True)]
    return text(tmp_path / "labels.csv", "image,split,landmarks68", *rows)


def test_writes_a_file_that_eval_reads(mine: Path, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "corpus"
    done = cli("import", "folder", mine, "--out", out, "--name", "mine", "--split", "val", "--max-side", "40")
    assert done.code == 0, done.err
    assert "mine.parquet  3 pictures  " in done.out and "import folder: 3 pictures" in done.err
    table = pq.read_table(out / "mine.parquet")
    assert table["split"].to_pylist() == ["val", "val", "train"]
    assert table["width"].to_pylist() == [40] * 3
    said = cli("eval", "landmarks", "--data", out)
    assert said.code == 0, said.err
    assert json.loads(said.out.splitlines()[-1])["data"] == {"folder val": 2}


def test_eval_reads_the_layout_itself(mine: Path, tmp_path: Path, cli: Cli) -> None:
    worst = tmp_path / "worst.png"
    said = cli("eval", "landmarks", "--data", mine, "--format", "folder", "--worst", worst)
    assert said.code == 0, said.err
    record = json.loads(said.out.splitlines()[-1])
    assert record["data"] == {"folder": 1, "folder val": 1}
    assert record["metrics"]["missed_pct"] == 100.0  # grey pictures
    assert worst.is_file()
    assert cli("eval", "landmarks", "--data", mine, "--format", "folder", "--split", "any", "--limit", "1").code == 0


def test_help_lists_every_layout(cli: Cli) -> None:
    said = cli("import", "--help").out
    assert all(name in said for name in FORMATS)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["folders", "MINE", "--out", "OUT"], 2, "Did you mean folder?"),
        (["folder", "nowhere", "--out", "OUT"], 3, "nowhere: no such file"),
        (["folder", "MINE", "--out", "OUT", "--split", "dev"], 2, "expected train, val, test, unlabelled, got 'dev'"),
        (["folder", "MINE", "--out", "MINE"], 1, "labels.csv: a corpus file is a .parquet file"),
        (
            ["folder", "MINE", "--out", "corpus.txt"],
            1,
            "a .parquet file. Pass --out corpus.parquet",
        ),
        (["folder", "MINE"], 2, "--out"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    mine: Path, tmp_path: Path, cli: Cli, args: list[str], code: int, says: str
) -> None:
    done = cli("import", *(arg.replace("MINE", str(mine)).replace("OUT", str(tmp_path / "out")) for arg in args))
    assert done.code == code and says in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_bad_pictures_stop_or_are_left_out(mine: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    out = tmp_path / "corpus"
    done = cli("import", "folder", mine, "--out", out)
    assert done.code == 3 and "b.jpg: is not a picture" in done.err and "--skip-bad" in done.err
    assert not (out / "folder.parquet").exists()
    done = cli("import", "folder", mine, "--out", out, "--skip-bad")
    assert done.code == 0 and "2 pictures, 1 left out" in done.out and "left out: " in done.err
    again = cli("import", "folder", mine, "--out", out, "--skip-bad")
    assert again.code == 1 and "exists already" in again.err
    assert cli("import", "folder", mine, "--out", out, "--skip-bad", "--overwrite").code == 0


def test_eval_names_an_unknown_format(mine: Path, cli: Cli) -> None:
    done = cli("eval", "landmarks", "--data", mine, "--format", "foldr")
    assert done.code == 2 and "Did you mean folder?" in done.err


def test_without_pyarrow_nothing_is_read(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("rtface.datasets.registry.read", lambda *given: pytest.fail("the labels were read"))
    done = cli("import", "folder", tmp_path, "--out", tmp_path / "x.parquet")
    assert (done.code, done.err) == (2, "rtface: pyarrow: is not installed. pip install 'rtface[eval]'\n")

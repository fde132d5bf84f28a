"""`rtface train synth` says what it lacks before it makes anything."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Cli


def test_nothing_to_write_is_an_error(cli: Cli, tmp_path: Path) -> None:
    told = cli("train", "synth", "--assets", tmp_path / "a.tar.xz")
    assert told.code == 2 and "--out" in told.err


def test_a_missing_archive_and_a_bad_split_are_named(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "synth.parquet"
    told = cli("train", "synth", "--assets", tmp_path / "a.tar.xz", "--out", out)
    assert told.code != 0 and "a.tar.xz" in told.err and "docs/synthetic.md" in told.err
    told = cli("train", "synth", "--assets", tmp_path / "a.tar.xz", "--out", out, "--split", "all")
    assert told.code == 2 and "train, val or test" in told.err.replace("train, val, test", "train, val or test")


def test_a_file_that_exists_is_kept(cli: Cli, tmp_path: Path) -> None:
    out = tmp_path / "synth.parquet"
    out.write_bytes(b"mine")
    told = cli("train", "synth", "--assets", tmp_path / "a.tar.xz", "--out", out)
    assert told.code != 0 and "exists already" in told.err and out.read_bytes() == b"mine"

"""The speed of training, on the made-up corpus."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the train extra")
pytest.importorskip("pyarrow", reason="needs the train extra")

from benchmarks import training
from tests.train.made import write_corpus

pytestmark = pytest.mark.train


def test_every_arm_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    corpus, out = write_corpus(tmp_path / "corpus"), tmp_path / "speed.jsonl"
    args = ("--data", corpus, "--cache", tmp_path / "cache", "--batch", "7", "--threads", "1", "--device", "cpu")
    training.main(
        [*map(str, args), "--seconds", "0.1", "--rounds", "1", "--workers", "0", "--workers", "1", "--json", str(out)]
    )
    said = capsys.readouterr().out
    line = json.loads(out.read_text("utf-8"))
    assert json.loads(said.splitlines()[-1]) == line
    arms = {"step", *(f"{what}, {count} workers" for what in ("loader", "both") for count in (0, 1))}
    assert set(line["samples_per_second"]) == arms and min(line["samples_per_second"].values()) > 0
    assert set(line["waiting"]) == {"both, 0 workers", "both, 1 workers"}
    assert all(0 <= share <= 1 for share in line["waiting"].values()) and line["peak_mb"] > 0

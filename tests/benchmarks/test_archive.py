"""The archive's benchmark, on next to nothing: its arms run, and it says what it measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import archive


def test_pictures_and_videos_by_every_arm(capsys: pytest.CaptureFixture[str]) -> None:
    code = archive.main(["--pictures", "3", "--minutes", "0.006", "--rounds", "1", "--jobs", "1", "2"])
    *_, line = capsys.readouterr().out.splitlines()
    cases = json.loads(line)["cases"]
    assert {case: list(figures["seconds"]) for case, figures in cases.items()} == {
        "pictures": ["one by one", "folder"],
        "videos": ["1 jobs", "2 jobs"],
    }
    assert (cases["pictures"]["items"], cases["videos"]["items"]) == (3, 10)
    assert all(seconds[0] > 0 for figures in cases.values() for seconds in figures["seconds"].values())
    assert code == (0 if all(cases[case]["times"] >= asked for case, asked in archive.ASKED.items()) else 1)


def test_a_run_goes_on_from_the_rounds_that_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rounds = tmp_path / "rounds.jsonl"
    command = ["--only", "pictures", "--pictures", "2", "--rounds", "1", "--resume", str(rounds)]
    assert archive.main([*command, "--seconds", "0"]) == 3 and not rounds.exists()
    archive.main(command)
    taken = [json.loads(line) for line in rounds.read_text().splitlines()]
    assert [one["arm"] for one in taken] == ["one by one", "folder"]
    capsys.readouterr()
    archive.main(command)  # nothing is left to measure
    *_, line = capsys.readouterr().out.splitlines()
    found = json.loads(line)["cases"]["pictures"]["seconds"]
    assert found == {one["arm"]: [one["seconds"]] for one in taken} and len(rounds.read_text().splitlines()) == 2

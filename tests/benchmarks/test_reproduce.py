"""The script from corpus to weights: every command it would run is one that there is, and none is run twice."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce.sh"
STAGES = ["train"] * 4 + ["export"] + ["label"] * 2 + ["train"] * 3 + ["export"] * 3 + ["calibrate"] + ["eval"] * 6


def told(*args: object, **environment: str) -> list[list[str]]:
    """The commands that the script would run."""
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    done = subprocess.run(
        ["bash", str(SCRIPT), *map(str, args)],
        capture_output=True,
        text=True,
        check=True,
        cwd=SCRIPT.parents[1],
        env={**os.environ, "RTFACE": "echo", "PYTHON": sys.executable, **environment},
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """The command that is meant, and what it is given."""
    from rtface.cli import calibrate, evaluate, export, label, train

    apps = {
        "train": train.train,
        "export": export.export,
        "label": label.label,
        "eval": evaluate.evaluate,
        "calibrate": calibrate.calibrate,
    }
    command = typer.main.get_command(apps[words[0]])
    if hasattr(command, "commands"):
        return command.commands[words[1]], words[2:]
    return command, words[1:]


def settings(command: list[str], flag: str) -> list[str]:
    """What a command gives to a flag."""
    return [command[at + 1] for at, word in enumerate(command) if word == flag]


def test_every_command_is_one_that_there_is(tmp_path: Path) -> None:
    commands = told("corpus", tmp_path, "models", TRAIN="--device cuda --compile")
    for words in commands:
        command, given = command_of(words)
        command.make_context(words[0], given)  # raises where a flag or its value is not known
    assert [words[0] for words in commands] == STAGES
    assert all(words[-3:] == ["--device", "cuda", "--compile"] for words in commands if words[0] == "train")


def test_a_stage_reads_what_an_earlier_one_wrote(tmp_path: Path) -> None:
    commands = told("corpus", tmp_path, "models")
    written: set[str] = set()
    for words in commands:
        for flag in ("--init", "--teacher"):
            assert {str(Path(path).with_suffix("")).removesuffix("/last") for path in settings(words, flag)} <= written
        own = [path for path in settings(words, "--source") if "/own/" in path]
        assert {path.partition("=")[0] for path in own} <= written and len(own) in (0, 2)
        if words[0] == "export":
            assert set(settings(words, "--run")) <= written
        written |= {*settings(words, "--out"), *(settings(words, "--run") if words[0] == "train" else ())}


def test_a_share_of_the_steps(tmp_path: Path) -> None:
    commands = told("corpus", tmp_path, "models", SCALE="0.001")
    steps = [int(number) for words in commands for number in settings(words, "--steps")]
    assert min(steps) >= 2 and steps[0] == 40


def test_stages_that_ended_are_not_run_again(tmp_path: Path) -> None:
    first, again = (told("corpus", tmp_path, "models") for _ in range(2))
    assert len(first) == len(STAGES) and again == []
    for stage in ("gates", "second"):
        (tmp_path / "done" / stage).unlink()
    assert [words[0] for words in told("corpus", tmp_path, "models")] == ["train", "calibrate"]


def test_a_stage_that_fails_ends_the_script_and_is_not_done(tmp_path: Path) -> None:
    fails = tmp_path / "rtface"
    fails.write_text('#!/bin/sh\n[ "$1" = export ] && exit 3\nexit 0\n')
    fails.chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError):
        told("corpus", tmp_path, "models", RTFACE=str(fails))
    assert sorted(done.name for done in (tmp_path / "done").iterdir()) == [
        "detector",
        "emotion-teacher",
        "first",
        "second",
    ]


def test_quick_takes_a_small_part_of_the_corpus(tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="needs the eval extra")
    from tests.train.made import write_corpus

    corpus = write_corpus(tmp_path / "corpus")
    commands = told("--quick", corpus, tmp_path / "runs", "models", ROWS="1")
    part = tmp_path / "runs" / "part"
    assert [words[0] for words in commands] == STAGES
    assert all(settings(words, "--data") in ([], [str(part)]) for words in commands)
    assert max(int(number) for words in commands for number in settings(words, "--steps")) <= 8
    for words in commands:
        command, given = command_of(words)
        command.make_context(words[0], given)
    for file in corpus.glob("*.parquet"):
        whole, kept = (
            pq.read_table(path, columns=["source", "split"]).to_pylist() for path in (file, part / file.name)
        )
        assert len(kept) == len({tuple(row.values()) for row in whole})

"""The script from corpus to weights: every command it would run is one that there is."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from pathlib import Path

import click
import pytest
import typer

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "reproduce.sh"


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    runs = tmp_path_factory.mktemp("runs")
    environment = {**os.environ, "RTFACE": "echo", "SCALE": "0.001"}
    done = subprocess.run(
        ["bash", str(SCRIPT), "corpus", str(runs), "models"],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return [shlex.split(line) for line in done.stdout.splitlines()]


def options_of(verb: str, name: str) -> set[str]:
    from rtface.cli import evaluate, export, label, train

    apps = {"train": train.train, "export": export.export, "label": label.label, "eval": evaluate.evaluate}
    command = typer.main.get_command(apps[verb])
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        command = command.commands[name]  # type: ignore[attr-defined]
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}


def test_every_command_is_one_that_there_is(commands: list[list[str]]) -> None:
    for verb, name, *rest in commands:
        flags = {word for word in rest if word.startswith("-")}
        assert flags <= options_of(verb, name), (verb, name)
    assert [c[0] for c in commands] == ["train"] * 4 + ["export"] + ["label"] * 2 + ["train"] * 3 + ["export"] * 3 + [
        "eval"
    ]


def test_a_try_takes_a_thousandth_of_the_steps(commands: list[list[str]]) -> None:
    steps = [int(command[command.index("--steps") + 1]) for command in commands if "--steps" in command]
    assert min(steps) >= 1 and steps[0] == 40

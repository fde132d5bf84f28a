"""Help texts: every word of them reaches the terminal, square brackets among them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from typer.main import get_command

from rtface.cli.app import main
from rtface.cli.progress import ProgressSink
from rtface.cli.verbs import VERBS
from rtface.outputs.sink import RunInfo

BRACKETS = re.compile(r"\[+[^\[\]]*\]+")


def commands() -> Iterator[tuple[str, Any]]:
    for verb, about in VERBS.items():
        command = get_command(getattr(import_module(about.module), about.name))
        yield verb, command
        for name, inner in getattr(command, "commands", {}).items():
            yield f"{verb} {name}", inner


COMMANDS = dict(commands())


@pytest.mark.parametrize("line", COMMANDS)
def test_brackets_of_a_help_text_are_shown(
    line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    monkeypatch.setenv("TERMINAL_WIDTH", "1000")
    with pytest.raises(SystemExit) as ended:
        main([*line.split(), "--help"])
    assert not ended.value.code
    shown = capsys.readouterr().out
    assert "\\[" not in shown
    command = COMMANDS[line]
    texts = [command.help, command.epilog, *(getattr(one, "help", None) for one in command.params)]
    for text in filter(None, texts):
        for bracketed in BRACKETS.findall(text):
            assert bracketed in shown, f"{line}: {bracketed} is lost"


def test_there_are_brackets_to_lose() -> None:
    assert "[synth,eval]" in COMMANDS["train synth"].help
    assert any("[[source]]" in (getattr(one, "help", None) or "") for one in COMMANDS["train engine"].params)


@pytest.mark.parametrize("name", ["clip[bold].mp4", "[red]x.mp4"])
def test_a_bar_shows_the_name_of_a_file_as_it_is(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich draws although stderr is no terminal here
    monkeypatch.setenv("COLUMNS", "120")
    sink = ProgressSink()
    sink.open(RunInfo(f"/videos/{name}", False, False, 25.0, 10, {}))
    sink.finish({})
    assert name in capsys.readouterr().err

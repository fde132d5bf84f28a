"""Groups of flags: each option's flag is the one that it declares, in every verb, and the verb gets the options."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import pytest
import typer
from typer.main import get_command

from rtface.cli.groups import flag_of, pipeline, record, spread
from rtface.cli.verbs import VERBS
from rtface.errors import OptionError
from rtface.options import OPTIONS, Options

OWN = {("bench", "--fps"), ("train", "--threads"), ("train", "--iterations"), ("train", "--engine")}
OWN |= {("export", "--iterations"), ("models add", "--models-dir"), ("models add", "--iterations")}
"""Flags that are not the pipeline's options of the same name."""


def commands() -> Iterator[tuple[str, Any]]:
    for verb, about in VERBS.items():
        command = get_command(getattr(import_module(about.module), about.name))
        for name, one in getattr(command, "commands", {"": command}).items():
            yield f"{verb} {name}" if verb == "models" else verb, one


def test_every_flag_of_an_option_is_the_one_that_it_declares() -> None:
    declared: dict[str, list[Any]] = {}
    for option in OPTIONS.values():
        (flag,) = flag_of(option).annotation.__metadata__
        declared.setdefault(flag.default.partition("/")[0], []).append(flag)  # Typer reads the first name as it
    seen = set()
    for verb, command in commands():
        for parameter in command.params:
            name = parameter.opts[0]
            if name in declared and (verb, name) not in OWN:
                assert parameter.help in [flag.help for flag in declared[name]], (verb, name)
                seen.add(name)
    assert {"--tasks", "--max-faces", "--budget", "--size", "--privacy", "--loop"} <= seen


def run(verb: Any, *args: str) -> Any:
    app = typer.Typer(add_completion=False)
    app.command()(verb)
    return get_command(app)(args=list(args), standalone_mode=False)


@spread
def verb(
    first: Annotated[str, typer.Argument()],
    *,
    options: Annotated[Options, pipeline("tasks", "budget_ms", "mirror", precision="fp32")],
    last: Annotated[int, typer.Option("--last")] = 3,
) -> tuple[str, Options, int]:
    """A verb."""
    return first, options, last


def test_a_verb_gets_its_options() -> None:
    first, options, last = run(verb, "x", "--tasks", "pose", "--budget", "33ms", "--mirror", "--last", "4")
    assert (first, last) == ("x", 4)
    assert (options.tasks, options.budget_ms, options.mirror, options.precision) == (("pose",), 33.0, True, "fp32")


def test_a_flag_goes_before_set_which_goes_before_what_the_verb_says() -> None:
    _, options, _ = run(verb, "x", "--set", "precision=int8", "--set", "mirror=true", "--no-mirror")
    assert (options.precision, options.mirror) == ("int8", False)


def test_set_wants_a_value() -> None:
    with pytest.raises(OptionError, match="--set: expected NAME=VALUE, got 'mirror'"):
        run(verb, "x", "--set", "mirror")


def test_the_flags_stand_where_the_group_does() -> None:
    names = [name for parameter in get_command(_app()).params for name in parameter.opts]
    assert names == ["first", "--tasks", "--budget", "--mirror", "--config", "--set", "--last"]


def _app() -> typer.Typer:
    app = typer.Typer(add_completion=False)
    app.command()(verb)
    return app


@dataclass(frozen=True)
class Where:
    """Two flags."""

    out: Annotated[str, typer.Option("--out")]
    over: Annotated[bool, typer.Option("--over")] = False


def test_a_record_is_a_group_too() -> None:
    @spread
    def write(*, where: Annotated[Where, record(Where)]) -> Where:
        return where

    assert run(write, "--out", "a", "--over") == Where("a", True)
    with pytest.raises(Exception, match=r"(?i)missing .*out"):
        run(write)

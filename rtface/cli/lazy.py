"""The verbs as one group of commands, each imported when it runs; shells ask it how a command line may go on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]  # in all versions that we take
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from rtface.cli.verbs import VERBS
from rtface.system.paths import expanded

PROGRAM = "rtface"
HOMES = "_homes_are_found"
COMPLETE_VARIABLE = "_RTFACE_COMPLETE"
"""Set by the completion scripts: what a shell wants to know, such as ``complete_bash``."""


class LazyGroup(TyperGroup):
    """A verb's own module is imported only when that verb is meant; of the others, one line is known."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = VERBS.get(cmd_name)
        return None if verb is None else TyperCommand(cmd_name, help=verb.about, short_help=verb.about)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        verb = VERBS.get(args[0])
        if verb is None:
            return super().resolve_command(ctx, args)
        verbs = getattr(import_module(verb.module), verb.name)
        _tildes_are_home(verbs)
        command = get_command(verbs)
        _switches_take_nothing(command, ctx)
        if COMPLETE_VARIABLE not in os.environ:
            _brackets_are_text(command)
        return args[0], command, args[1:]


def _switches_take_nothing(command: Any, ctx: Any) -> None:
    """Leave the <bool> out of the help that Typer writes behind a switch, as if it took a value."""
    help_switch = command.get_help_option(typer.Context(command, parent=ctx))  # made once, and kept
    for parameter in (*command.params, help_switch):
        if getattr(parameter, "is_flag", False) and parameter.metavar is None:
            parameter.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _switches_take_nothing(inner, ctx)


def _tildes_are_home(verbs: typer.Typer) -> None:
    """``--out=~/corpus`` comes with its ``~``, which no shell takes away there."""
    for info in verbs.registered_commands:
        if info.callback is not None and not hasattr(info.callback, HOMES):
            info.callback = _with_homes(info.callback)
    for group in verbs.registered_groups:
        if group.typer_instance is not None:
            _tildes_are_home(group.typer_instance)


def _with_homes(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def run_verb(*args: Any, **values: Any) -> Any:
        return verb(*args, **{name: _with_home(value) for name, value in values.items()})

    setattr(run_verb, HOMES, True)
    return run_verb


def _with_home(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_home(one) for one in value]
    return expanded(value) if isinstance(value, Path) else value


def _brackets_are_text(command: Any) -> None:
    """Help texts are plain text: Typer hands them to Rich, which would take [synth] for a style and print nothing."""
    from rich.markup import escape

    if command.rich_markup_mode != "rich":  # as with older Typers: it takes them for text
        return
    command.help, command.epilog = (text and escape(text) for text in (command.help, command.epilog))
    for parameter in command.params:
        text = getattr(parameter, "help", None)
        parameter.help = text and escape(text)
    for inner in getattr(command, "commands", {}).values():
        _brackets_are_text(inner)


app = typer.Typer(cls=LazyGroup, add_completion=False, context_settings={"help_option_names": ["-h", "--help"]})


@app.callback()
def _verbs() -> None:
    """Faces from a camera or a file, with landmarks, parsing, emotion and head pose."""


def run(args: list[str]) -> Any:
    """Run a verb with its arguments; returns what it returns. The library's own errors come through."""
    return app(args=args, prog_name=PROGRAM, standalone_mode=False)


def complete() -> int:
    """Answer the shell that set the variable, on stdout."""
    completion_init()
    try:
        app(args=[], prog_name=PROGRAM, complete_var=COMPLETE_VARIABLE)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    return 0


def print_script(shell: str) -> int:
    """Print the script that teaches a shell to ask: bash, zsh, fish or powershell."""
    before = os.environ.get(COMPLETE_VARIABLE)
    os.environ[COMPLETE_VARIABLE] = f"source_{shell}"
    try:
        return complete()
    finally:
        if before is None:
            del os.environ[COMPLETE_VARIABLE]
        else:
            os.environ[COMPLETE_VARIABLE] = before

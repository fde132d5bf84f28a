"""Flags that several verbs share, as one parameter of each: a group in the verb's signature, its flags in the help.

A verb says ``options: Annotated[Options, pipeline("tasks", "threads")]`` below ``@spread``. Typer then sees a parameter
for each flag where the group stands, and the verb gets what the group makes of their values.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import typer

from rtface.errors import OptionError
from rtface.options import OPTIONS, Options

R = TypeVar("R")
_MODULE = re.compile(r" \(`rtface\.[\w.]+`\)")


@dataclass(frozen=True)
class Group:
    """Flags that belong together.

    Attributes:
        parameters: One for each flag, as Typer reads a signature.
        make: What the verb gets, of the flags' values by name.
    """

    parameters: Sequence[inspect.Parameter]
    make: Callable[[Mapping[str, Any]], Any]


def spread(verb: Callable[..., R]) -> Callable[..., R]:
    """Put the flags of each group in the group's place in a verb's signature."""
    signature = inspect.signature(verb, eval_str=True)
    groups: dict[str, Group] = {}
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        group = next((about for about in get_args(parameter.annotation)[1:] if isinstance(about, Group)), None)
        if group is None:
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        else:
            groups[name] = group
            parameters += group.parameters

    @wraps(verb)
    def command(**given: Any) -> R:
        made = {
            name: group.make({one.name: given.pop(one.name) for one in group.parameters})
            for name, group in groups.items()
        }
        return verb(**given, **made)

    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def parameter(name: str, kind: Any, flag: Any, default: Any = None) -> inspect.Parameter:
    """A flag as a parameter of a group."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, flag])


def help_of(text: str) -> str:
    """What an option says to Python's users, for those of a terminal: no None, and no module to look into."""
    return _MODULE.sub("", text).replace("None = ", "default: ")


def flag(option: Field[Any], shown: str | None = None, **more: Any) -> Any:
    """The flag of an option as `rtface.option_rules.option` declares it, for Typer.

    `shown` is its default, if the help shall tell it.
    """
    about = option.metadata
    name = about["flag"] or f"--{option.name.replace('_', '-')}"
    if takes(option) is bool and "/" not in name:
        name = f"{name}/--no-{name.removeprefix('--')}"
    return typer.Option(
        *(name, *([f"--{about['was']}"] if about["was"] else [])),
        metavar=about["metavar"],
        help=help_of(about["text"]),
        autocompletion=(lambda: about["choices"]) if about["choices"] else None,
        show_default=shown or False,
        **more,
    )


def takes(option: Field[Any]) -> Any:
    """The type that an option's flag takes."""
    return getattr(option.metadata["rule"], "takes", str)


def flag_of(option: Field[Any], shown: str | None = None) -> inspect.Parameter:
    """The flag of an option as a parameter; None = it was not given."""
    return parameter(option.name, takes(option) | None, flag(option, shown))


CONFIG = parameter("config", Path | None, typer.Option("--config", metavar="FILE", help="Options from a TOML file."))
SET = parameter(
    "settings",
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any option by name, e.g. --set iterations=0; repeatable."),
)


def pipeline(*names: str, **fixed: Any) -> Group:
    """The flags of these options of the pipeline, --config and --set, which make an `Options`.

    Args:
        names: The options.
        fixed: Options that the verb gives itself, unless --set names them.
    """

    def make(given: Mapping[str, Any]) -> Options:
        flags = {name: given[name] for name in names if given[name] is not None}
        return Options.load(given["config"], **{**fixed, **_settings(given["settings"]), **flags})

    return Group([*(flag_of(OPTIONS[name]) for name in names), CONFIG, SET], make)


def _settings(texts: list[str] | None) -> dict[str, str]:
    """What --set says, by name. Raises OptionError."""
    settings = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise OptionError("--set", f"expected NAME=VALUE, got {text!r}", "Write it as --set max_faces=4")
        settings[name.strip().replace("-", "_")] = value.strip()
    return settings


def record(kind: type[Any]) -> Group:
    """The flags that a dataclass names: each field ``Annotated`` by its `typer.Option`."""
    hints = get_type_hints(kind, include_extras=True)
    parameters = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.default is MISSING else one.default,
            annotation=hints[one.name],
        )
        for one in fields(kind)
    ]
    return Group(parameters, lambda given: kind(**given))

"""How options are declared: those of the pipeline (`rtface.Options`) and those of trainings, each in one place.

A rule says what a value may be, whether it comes from Python, a flag, a variable or TOML: it gives the value as it is
kept, or says what was expected.
"""

from __future__ import annotations

import math
import numbers
import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from rtface.audience.rules import AudienceOptions
from rtface.errors import InputError, OptionError, unknown
from rtface.labels import ALL_TASKS
from rtface.system.paths import expanded


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value may be.

    Attributes:
        keep: Gives the value as it is kept; raises Unfit.
        takes: What a flag of it takes on a command line: str, int, float, bool or Path.
    """

    keep: Callable[[Any], Any]
    takes: type = str

    def __call__(self, value: Any) -> Any:
        return self.keep(value)


def option(
    default: Any = MISSING,
    rule: Callable[[Any], Any] = lambda value: value,
    text: str = "",
    *,
    factory: Any = MISSING,
    flag: str | None = None,
    metavar: str | None = None,
    choices: tuple[str, ...] = (),
    was: str | None = None,
    shown: str | None = None,
) -> Any:
    """An option as a field of a dataclass, declared there and nowhere else.

    Args:
        default: Its value when nothing is said.
        rule: What it may be.
        text: What it does: the help of its flag, and its line in the reference; nothing = it has no flag.
        factory: Makes the default, if it is no plain value.
        flag: Its flag, if that is not its name.
        metavar: What its value is called in help texts.
        choices: Words that shells complete.
        was: Its name until the last release, which is still understood.
        shown: Its default, as help texts show it.
    """
    metadata = {"rule": rule, "text": text, "flag": flag, "metavar": metavar}
    metadata |= {"choices": choices, "was": was, "shown": shown}
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def keep_by_rules(options: Any) -> None:
    """Put every value of a dataclass of options as its rule keeps it.

    Raises:
        OptionError: A value is not what its option takes.
    """
    for one in fields(options):
        value = getattr(options, one.name)
        try:
            kept = one.metadata["rule"](value) if "rule" in one.metadata else value
        except Unfit as unfit:
            raise wrong(one.name, unfit.expected, value) from None
        object.__setattr__(options, one.name, kept)


def check_tasks(tasks: Iterable[str]) -> tuple[str, ...]:
    """The tasks in their fixed order, once each; a name alone is one, "all" is every one, "none" and () are none:
    detection only.

    Raises:
        InputError: A name is not a task.
    """
    names = [name.strip() for name in tasks.split(",")] if isinstance(tasks, str) else list(tasks)
    if isinstance(tasks, str) and not any(names):  # of a shell's variable that is not set, say
        raise InputError("tasks", "names no task", 'Say "none" for detection alone, or leave it out for the usual ones')
    names = [] if names == ["none"] else [name for name in names if name != ""]  # None is no task, and refused
    names = list(ALL_TASKS) if names == ["all"] else names
    for name in names:
        if name not in ALL_TASKS:
            raise unknown("task", str(name), ALL_TASKS, InputError)
    return tuple(task for task in ALL_TASKS if task in names)


def parse_ms(text: str | float) -> float:
    """Milliseconds from ``33``, ``"33"``, ``"33ms"`` or ``"0.5s"``.

    Raises:
        OptionError: It is not a positive time.
    """
    ms = 0.0
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        with suppress(OverflowError):  # of a whole number beyond all floats
            ms = float(text)  # as it is: 1e-5 is no text of this form
    elif match := re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(ms|s)?\s*", str(text)):
        ms = float(match[1]) * (1000.0 if match[2] == "s" else 1.0)
    if not 0.0 < ms < math.inf:
        raise wrong("time", "a positive time such as 33ms or 0.5s", text)
    return ms


class Unfit(Exception):
    def __init__(self, expected: str) -> None:
        self.expected = expected


def most_frames(value: Any) -> int | None:
    """How many frames a run has at most; None = all.

    Raises:
        OptionError: It is no whole number of at least 1.
    """
    if value is None:
        return None
    if not isinstance(value, bool) and isinstance(value, numbers.Integral) and int(value) >= 1:
        return int(value)
    raise OptionError("max_frames", f"expected a whole number of at least 1, got {value!r:.60}", "Leave it out")


def number(low: float, high: float = math.inf, *, whole: bool, above: bool = False) -> Rule:
    kind = "a whole number" if whole else "a number"
    expected = f"{kind} from {low:g} to {high:g}" if math.isfinite(high) else f"{kind} of at least {low:g}"
    expected = f"{kind} above {low:g}" if above else expected

    def rule(value: Any) -> Any:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            raise Unfit(expected) from None
        if (
            isinstance(value, bool | bytes)
            or not low <= number <= high
            or (above and number == low)
            or math.isinf(number)
            or (whole and number != int(number))
        ):
            raise Unfit(expected)
        return int(number) if whole else number

    return Rule(rule, int if whole else float)


def nearest_multiples(value: int, step: int) -> str:
    """The two multiples of `step` around a number that is none, in words."""
    below = value // step * step
    return f"{below} or {below + step}"


def multiple(step: int, low: int, high: int) -> Rule:
    """A multiple of `step` from `low` to `high`, which are some themselves."""
    in_range = number(low, high, whole=True)
    expected = f"a multiple of {step} from {low} to {high}"

    def rule(value: Any) -> int:
        try:
            kept: int = in_range(value)
        except Unfit:
            raise Unfit(expected) from None
        if kept % step:
            raise Unfit(f"{expected} (the nearest are {nearest_multiples(kept, step)})")
        return kept

    return Rule(rule, int)


def maybe(rule: Callable[[Any], Any]) -> Rule:
    def maybe(value: Any) -> Any:
        return None if value is None or (isinstance(value, str) and value.lower() in ("", "none")) else rule(value)

    return Rule(maybe, rule.takes if isinstance(rule, Rule) else str)


def budget(value: Any) -> float:
    try:
        return parse_ms(value)
    except OptionError:
        raise Unfit("a positive time such as 33ms or 0.5s, or none") from None


def _switch(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    word = str(value).lower()
    if word not in words:
        raise Unfit("true or false")
    return words[word]


switch = Rule(_switch, bool)


def one_of(*names: str) -> Rule:
    def rule(value: Any) -> str:
        if value not in names:
            raise Unfit(f"one of {', '.join(names)}")
        return str(value)

    return Rule(rule)


def task_names(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, Iterable):
        raise Unfit(f"some of {', '.join(ALL_TASKS)}")
    return check_tasks(value)


def priority(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",") if name.strip()]
    if not isinstance(value, Iterable):
        raise Unfit(f"some of {', '.join(ALL_TASKS)}, the one that matters most first")
    names = [str(name) for name in value]
    if names:
        check_tasks(names)
    return tuple(dict.fromkeys(names))


def size(value: Any) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,5})\s*[x×]\s*(\d{1,5})\s*", value.lower()) if isinstance(value, str) else None
    pair = match.groups() if match else value
    try:
        width, height = (int(side) for side in pair)
    except (TypeError, ValueError, OverflowError):
        width = height = 0
    if not (0 < width <= 32766 and 0 < height <= 32766):
        raise Unfit("width and height in px such as 1280x720")
    return width, height


def fourcc(value: Any) -> str:
    if not (isinstance(value, str) and len(value) == 4 and value.isascii() and value.isprintable()):
        raise Unfit("four letters such as MJPG, YUYV or H264")
    return value.upper()


def turn(value: Any) -> int:
    turns = {str(degrees): degrees for degrees in (0, 90, 180, 270)}
    if isinstance(value, bool) or str(value) not in turns:
        raise Unfit("0, 90, 180 or 270 degrees clockwise")
    return turns[str(value)]


def folder(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise Unfit("a folder")
    return str(expanded(os.fspath(value)))


def _path(value: Any) -> Path:
    if not isinstance(value, str | os.PathLike):
        raise Unfit("a path")
    return Path(value)


path = Rule(_path, Path)


def text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise Unfit("a text")
    return value


def name(value: Any) -> str:
    if not isinstance(value, str | os.PathLike):
        raise Unfit("a name or a file")
    return os.fspath(value)


def audience_rules(value: Any) -> AudienceOptions:
    if isinstance(value, AudienceOptions):
        return value
    try:
        table = dict(_named_numbers(value)) if isinstance(value, str) else dict(value)
        lists = {name: tuple(numbers) for name, numbers in table.items() if isinstance(numbers, list)}
        return AudienceOptions(**{**table, **lists})
    except OptionError as error:
        raise Unfit(f"rules of an audience ({error.what}: {error.why})") from None
    except (TypeError, ValueError):
        known = ", ".join(option.name for option in fields(AudienceOptions))
        raise Unfit(f"name=number, with commas between them, of {known}") from None


def _named_numbers(text: str) -> Iterable[tuple[str, Any]]:
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        numbers = tuple(float(number) for number in value.split("/"))
        yield name.strip(), numbers if len(numbers) > 1 else numbers[0]


def wrong(name: str, expected: str, got: object) -> OptionError:
    return OptionError(name, f"expected {expected}, got {got!r}", "Change the flag, variable or TOML entry")

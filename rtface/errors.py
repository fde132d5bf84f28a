"""One tree of errors. Each says what failed, why, and what mends it, and carries the command line's exit code."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from rtface.system.addresses import shown_text


class RtfaceError(Exception):
    """What failed, why, and how to mend it, as one line: ``what: why. mend``.

    Use this when any failure of rtface shall end in one line for people.

    Args:
        what: The thing that failed: a path, an option, a model.
        why: What is wrong with it, without a full stop.
        mend: What to do about it, best as a command.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.analyze("nowhere.jpg")
        ... except rtface.RtfaceError as error:
        ...     print(error.exit_code, error.what)
        3 nowhere.jpg
    """

    exit_code = 1

    def __init__(self, what: str, why: str, mend: str) -> None:
        # What the caller gave stands in messages: in an address, or a path that is a mistaken one, may be a password.
        self.what, self.why, self.mend = map(shown_text, (what, why, mend))
        super().__init__(self.what, self.why, self.mend)

    def __str__(self) -> str:
        # Messages of other libraries may hold line breaks; a log or a terminal gets one line.
        return " ".join(f"{self.what}: {self.why.rstrip('. ')}. {self.mend}".split())


class OutputError(RtfaceError):
    """An output cannot be written.

    Use this when a full disk, a file that is there already or a receiver must not end your program.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.run("demo", ["nowhere/faces.jsonl"])
        ... except rtface.OutputError as error:
        ...     print(error.what)
        nowhere/faces.jsonl
    """

    exit_code = 1


class UsageError(RtfaceError):
    """The caller asked for something that cannot be.

    Use this when you want to tell a mistake of the caller from a failure of the machine.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.Analyzer(rtface.Options(tasks="poze"))
        ... except rtface.UsageError as error:
        ...     print(error)
        task 'poze': is unknown. Did you mean pose?
    """

    exit_code = 2


class OptionError(UsageError, ValueError):
    """An option is unknown, or its value is not what the option takes.

    Use this when options come from a person or a file.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.Options(max_faces=0)
        ... except rtface.OptionError as error:
        ...     print(error)
        max_faces: expected a whole number from 1 to 1024, got 0. Change the flag, variable or TOML entry
    """


class InputError(UsageError, ValueError):
    """An array, a box or a task name is not what the call takes.

    Use this when pictures come from elsewhere, and a wrong one is to be left out.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.analyze("group.jpg", boxes=[[0, 0, 9]])
        ... except rtface.InputError as error:
        ...     print(error.what)
        boxes
    """


class SourceError(RtfaceError):
    """A camera, file, folder or stream cannot be opened or read.

    Use this when a camera or file may not be there, or break off.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.analyze("nowhere.jpg")
        ... except rtface.SourceError as error:
        ...     print(error.why)
        does not exist
    """

    exit_code = 3


class ModelError(RtfaceError):
    """A model file is missing, damaged, or not the one that the registry names.

    Use this when you keep networks of your own in a folder.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.analyze("group.jpg", options=rtface.Options(models_dir="nowhere"))
        ... except rtface.ModelError as error:
        ...     print(error.exit_code)
        4
    """

    exit_code = 4


class EngineError(RtfaceError):
    """An inference engine cannot run a network.

    Use this when you ask for an engine that a machine may not have.

    Example:
        >>> import rtface
        >>> try:
        ...     rtface.Analyzer(rtface.Options(engine="trt"))
        ... except rtface.EngineError as error:
        ...     print(error.exit_code)
        4
    """

    exit_code = 4


class BudgetMissed(RtfaceError):
    """A latency that was asked to hold did not.

    Use this when you call the command line from a script: ``rtface bench --assert-p95`` ends with its exit code.

    Example:
        >>> import rtface
        >>> rtface.BudgetMissed.exit_code
        5
    """

    exit_code = 5


def not_one(value: object, kind: type, others: str) -> str:
    """Why a value is none of a kind of plug-in: ``expected a path or a Sink, got a Printer without write()``.

    Args:
        value: What was given.
        kind: The abstract class that it should be of.
        others: What else may be given, for the message.
    """
    expected = f"expected {others} or a rtface.{kind.__name__}"
    if isinstance(value, type):
        return f"{expected}, got the class {value.__name__} itself, not an object of it: {value.__name__}(…)"
    abstract: frozenset[str] = getattr(kind, "__abstractmethods__", frozenset())
    missing = [f"{name}()" for name in sorted(abstract) if not callable(getattr(value, name, None))]
    without = f" without {', '.join(missing)}" if missing else ""
    return f"{expected}, got a {type(value).__name__}{without}"


def require(module: str, extra: str, kind: type[RtfaceError] = UsageError) -> Any:
    """Import an optional dependency, or raise the pip line that installs it.

    Raises:
        UsageError: ``module`` is not installed; or another `kind` of error.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise kind(module, "is not installed", f"pip install 'rtface[{extra}]'") from error


def unknown(kind: str, name: str, known: Iterable[str], error: type[UsageError]) -> UsageError:
    """The error for a name that is not among the known ones, with the nearest of them."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    mend = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(known)}"
    return error(f"{kind} {name!r}", "is unknown", mend)

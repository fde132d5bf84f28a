"""A training's options: from flags, else from a TOML file, else the defaults of its configuration class."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from rtface.errors import OptionError, unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

C = TypeVar("C")


def load_toml(path: Path) -> dict[str, Any]:
    """A TOML file's content. Raises OptionError where it is missing or no TOML."""
    try:
        with path.open("rb") as file:
            content: dict[str, Any] = tomllib.load(file)
            return content
    except OSError as error:
        raise OptionError(str(path), error.strerror or "cannot be read", "Name a TOML file that exists") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise OptionError(str(path), f"is not TOML ({error})", "Mend the line") from error


def build(cls: type[C], options: Mapping[str, Any], where: str, **apart: Any) -> C:
    """A configuration class (a dataclass) from options by name.

    Args:
        options: Values as TOML gives them: a path is a string, a tuple a list.
        where: What an error names: the file, or the verb.
        apart: Values that do not come from a user's options, and may not.

    Raises:
        OptionError: A name is unknown, a value is of another type, or one without a default is missing.
    """
    hints = get_type_hints(cls)
    parts = {field.name: field for field in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in parts or name in apart:
            raise unknown(f"{where}: option", name, [*(set(parts) - set(apart)), "source"], OptionError)
        values[name] = _as(hints[name], value, f"{where}: {name}")
    for name, field in parts.items():
        if name not in values and name not in apart and field.default is MISSING and field.default_factory is MISSING:
            raise OptionError(f"{where}: {name}", "is missing", f"Pass --{name.replace('_', '-')}, or set it in TOML")
    return cls(**values, **apart)


def _as(kind: Any, value: Any, where: str) -> Any:
    """A value as a type hint asks for it."""
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    for option in options:
        fitting = _fit(option, value)
        if fitting is not None or (value is None and option is type(None)):
            return fitting
    names = " or ".join(_name(option) for option in options if option is not type(None))
    raise OptionError(where, f"expected {names}, got {value!r}", "Change the flag or the TOML entry")


def _fit(kind: Any, value: Any) -> Any:
    """The value in that type, or None where it does not fit."""
    if get_origin(kind) is tuple:
        inner = get_args(kind)
        if not isinstance(value, (list, tuple)) or len(value) != len(inner):
            return None
        fitted = tuple(_fit(part, one) for part, one in zip(inner, value, strict=True))
        return None if None in fitted else fitted
    if kind is Path:
        return Path(value) if isinstance(value, (str, Path)) else None
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, bool) and kind is not bool:
        return None
    return value if isinstance(kind, type) and isinstance(value, kind) else None


def _name(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"a list of {len(get_args(kind))} numbers"
    return {Path: "a path", float: "a number", int: "a whole number", str: "a text", bool: "true or false"}.get(
        kind, getattr(kind, "__name__", str(kind))
    )

"""Options by name, as flags and TOML give them, into a dataclass that declares them (`rtface.option_rules.option`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from rtface.errors import OptionError, unknown

C = TypeVar("C")


def build(cls: type[C], options: Mapping[str, Any], where: str, also: str, **apart: Any) -> C:
    """A dataclass of options from values by name; its rules say what fits.

    Args:
        options: Values as flags or TOML give them.
        where: What an error names: the file, or the verb.
        also: A name that may stand beside them, and is read elsewhere.
        apart: Values that do not come from a user's options, and may not.

    Raises:
        OptionError: A name is unknown, a value does not fit its rule, or one without a default is missing.
    """
    known = {one.name: one for one in fields(cls) if "rule" in one.metadata}  # type: ignore[arg-type]
    for name in options:
        if name not in known:
            raise unknown(f"{where}: option", name, [*known, also], OptionError)
    for name, one in known.items():
        if name not in options and one.default is MISSING and one.default_factory is MISSING:
            raise OptionError(f"{where}: {name}", "is missing", f"Pass --{name.replace('_', '-')}, or set it in TOML")
    try:
        return cls(**options, **apart)
    except OptionError as error:
        raise OptionError(f"{where}: {error.what}", error.why, error.mend) from None

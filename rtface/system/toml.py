"""TOML files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rtface.errors import OptionError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


MOST_BYTES = 16_000_000
"""A larger file is none of settings: /dev/zero, say."""


def parse_toml(text: str) -> dict[str, Any]:
    """What a text says.

    Raises:
        ValueError: It is no TOML, is nested too deeply, or a whole number in it has thousands of digits.

    Example:
        >>> parse_toml("max_faces = 2")
        {'max_faces': 2}
    """
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return content


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says.

    Raises:
        OptionError: It cannot be read, or is no TOML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ValueError(f"over {MOST_BYTES // 10**6} MB")
        return parse_toml(data.decode("utf-8-sig"))
    except OSError as error:
        raise OptionError(str(path), error.strerror or "cannot be read", "Name a TOML file that exists") from error
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError among them; or a NUL in the path
        raise OptionError(str(path), f"is not TOML ({error})", "Mend the file or leave it out") from error

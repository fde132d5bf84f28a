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


def read_toml(path: Path) -> dict[str, Any]:
    """What the file says.

    Raises:
        OptionError: It cannot be read, or is no TOML.
    """
    try:
        content: dict[str, Any] = tomllib.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise OptionError(str(path), error.strerror or "cannot be read", "Name a TOML file that exists") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise OptionError(str(path), f"is not TOML ({error})", "Mend the file or leave it out") from error
    return content

"""Names of files as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(path: str | Path) -> Path:
    """The path with ``~`` or ``~user`` at its beginning replaced by the home folder.

    What is there under that very name wins: a file may be called ``~visit.mp4``. Where there is no such user, or no
    home at all, the name stays as it is.

    Example:
        >>> expanded("clips/visit.mp4")
        PosixPath('clips/visit.mp4')
    """
    path = Path(path)
    if not str(path).startswith("~") or os.path.lexists(path):
        return path
    try:
        return path.expanduser()
    except (RuntimeError, ValueError):  # no such user, a user without a home, a NUL in the name
        return path


def is_there(path: str | Path) -> bool:
    """Whether there is something by that name.

    False also where that cannot be told: a folder that may not be entered, a name that is too long. Opening it says
    why.
    """
    return os.path.exists(path)  # noqa: PTH110 - Path.exists() raises what this answers


def is_folder(path: str | Path) -> bool:
    """The same of a folder."""
    return os.path.isdir(path)  # noqa: PTH112


def home() -> Path | None:
    """The user's home folder; None where there is none, as in a container with an arbitrary user."""
    try:
        folder = Path.home()
    except RuntimeError:
        return None
    return folder if folder.is_absolute() and os.environ.get("HOME") != "" else None

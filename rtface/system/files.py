"""The user's cache folder: where it is, writing whole files into it, and whether what lies there can be trusted."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from rtface.errors import OutputError


def cache_dir() -> Path:
    """Where the user's caches are, with our folder in it; it may not be there yet."""
    home = Path.home()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData/Local")) / "rtface"
    default = home / "Library/Caches" if sys.platform == "darwin" else home / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "rtface"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old one or the new one, never a part; its folder is made private.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(
            str(path), f"cannot be written ({error.strerror or error})", "Free or mend its folder"
        ) from error


def why_not_trusted(path: Path) -> str | None:
    """Why native code in `path` (a file or a folder) must not be loaded; None = it is the user's alone.

    The path and the folder it is in have to belong to the user (or root) and must not be writable by others. Windows
    keeps a profile's caches private by itself and is taken at its word.
    """
    if os.name == "nt":
        return None
    for one in (path, path.parent):
        try:
            facts = one.stat()
        except OSError as error:
            return f"{one} cannot be looked at ({error.strerror})"
        if facts.st_uid not in (os.getuid(), 0):
            return f"{one} belongs to another user"
        if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            return f"{one} can be written by others"
    return None

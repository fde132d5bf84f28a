"""Files that are believed without a look inside, such as native code: read where nobody else could have put them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

#: A sticky folder that all may write to, as /tmp: nobody can rename or remove what is another's in it.
_STICKY = stat.S_ISVTX
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(OSError):
    """Others could have put the file there, or changed it; the text says why."""


def read_trusted(path: Path, most_bytes: int | None = None) -> bytes:
    """The bytes of a file that is the user's alone.

    The way to it is walked from the root, folder by folder, each opened by its own name and looked at through its
    descriptor; so is the file, and what was looked at is what is read. Every folder belongs to the user (or root) and
    cannot be written by others, sticky ones as /tmp aside; so it is with the file, and it is no link. Windows keeps a
    profile's caches private by itself and is believed.

    Args:
        path: The file.
        most_bytes: A larger one is refused; None = as large as it is.

    Raises:
        FileNotFoundError: There is none.
        UntrustedError: Others could have put it there, or it is no file, or too large.
        OSError: It cannot be read.
    """
    if sys.platform == "win32":
        return _within(path, path.stat().st_size, most_bytes) or path.read_bytes()
    folder = _walked(path.parent)
    try:
        handle = _opened(path, path.name, folder, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for
    finally:
        os.close(folder)
    try:
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode):
            raise UntrustedError(f"{path} is no file")
        _check(path, facts, 0)
        _within(path, facts.st_size, most_bytes)
        with os.fdopen(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def untrusted_reason(folder: Path) -> str | None:
    """Why what lies in a folder, and will be read by others than us, must not be loaded; None = it is the user's alone.

    What `read_trusted` asks of a file is asked of every file in it.
    """
    if sys.platform == "win32":
        return None
    try:
        handle = _walked(folder)
        try:
            for name in os.listdir(handle):  # noqa: PTH208 - of the descriptor
                facts = os.stat(name, dir_fd=handle, follow_symlinks=False)
                if stat.S_ISLNK(facts.st_mode):
                    return f"{folder / name} is a link"
                _check(folder / name, facts, 0)
        finally:
            os.close(handle)
    except UntrustedError as error:
        return str(error)
    except OSError as error:
        return f"{folder} cannot be looked at ({error.strerror or error})"
    return None


def _within(path: Path, size: int, most: int | None) -> None:
    if most is not None and size > most:
        raise UntrustedError(f"{path} has {size} bytes, more than {most}")


if sys.platform != "win32":

    def _walked(folder: Path) -> int:
        """A descriptor of the folder, whose links are resolved first and which is then walked without any."""
        for lexical in (absolute := folder.absolute(), *absolute.parents):
            _check(lexical, lexical.stat(), _STICKY)
        real = Path(os.path.realpath(folder, strict=True))
        handle = os.open(real.anchor, os.O_RDONLY | os.O_DIRECTORY)
        at = Path(real.anchor)
        try:
            _check(at, os.fstat(handle), _STICKY)
            for part in real.parts[1:]:
                at /= part
                inner = _opened(at, part, handle, os.O_RDONLY | os.O_DIRECTORY)
                os.close(handle)
                handle = inner
                _check(at, os.fstat(handle), _STICKY)
        except BaseException:
            os.close(handle)
            raise
        return handle

    def _opened(path: Path, name: str, folder: int, flags: int) -> int:
        try:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                raise UntrustedError(f"{path} is a link") from error
            raise

    def _check(path: Path, facts: os.stat_result, allowed: int) -> None:
        if facts.st_uid not in (os.getuid(), 0):
            raise UntrustedError(f"{path} belongs to another user")
        if facts.st_mode & _OTHERS_WRITE and not facts.st_mode & allowed:
            raise UntrustedError(f"{path} can be written by others")

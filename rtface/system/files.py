"""Files written whole under fresh names, and the user's cache folder."""

from __future__ import annotations

import atexit
import errno
import functools
import os
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from rtface.errors import OutputError
from rtface.system.paths import home

if sys.platform != "win32":
    import fcntl

#: Longest name of a file in bytes, on all common file systems.
LONGEST_NAME = 255

_PART, PART_DIGITS = ".part-", 8


def cache_dir() -> Path:
    """Where the user's caches are, with our folder in it; it may not be there yet.

    A user without a home has no cache: what is kept lies in a private folder that goes with the process.
    """
    if os.name == "nt":
        local = Path(os.environ.get("LOCALAPPDATA", ""))
        return local / "rtface" if local.is_absolute() else _of_home("AppData/Local")
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if xdg.is_absolute():  # relative ones are to be ignored, says the XDG base directory specification
        return xdg / "rtface"
    return _of_home("Library/Caches" if sys.platform == "darwin" else ".cache")


def _of_home(place: str) -> Path:
    folder = home()
    return _for_this_process() if folder is None else folder / place / "rtface"


@functools.cache
def _for_this_process() -> Path:
    folder = tempfile.mkdtemp(prefix="rtface-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class TakenError(FileExistsError):
    """A file appeared where one was to be published, and was left alone.

    Attributes:
        kept: Where what was written is.
    """

    def __init__(self, target: Path, kept: Path) -> None:
        said = f"appeared while the run went on, and is left alone; what was written is {kept}"
        super().__init__(errno.EEXIST, said, str(target))
        self.kept = kept


def not_written(name: str, error: OSError) -> OutputError:
    """The error of an output that is written whole at its end, or piece by piece under another name."""
    if isinstance(error, TakenError):
        mend = "Rename the one or the other; -y overwrites what is there"
        return OutputError(name, str(error.strerror), mend)
    return OutputError(name, f"cannot be written ({error.strerror or error})", "Make room, or name another path")


class PartFile:
    """A file on its way: written under a fresh name beside its target, and given the target's name when it is whole.

    The name is created by this object or not at all, so that it is nobody else's file and no link. It is locked while
    it is open: a part that is not is left of a run that was killed (`stale_parts`).

    Attributes:
        path: Its name until it is published.
        target: The name that it will have.
        whole: Bytes from the start that are readable by themselves; 0 = none.
    """

    def __init__(self, target: Path, *, overwrite: bool, mode: int = 0o666) -> None:
        """
        Args:
            target: The name that it will have.
            overwrite: Whether a file that has the name may be replaced.
            mode: Its permissions, less the umask's; a file that is replaced hands its own on.

        Raises:
            OSError: It cannot be created.
        """
        self.target, self.path = target, fresh_name(target)
        self._overwrite, self._mode = overwrite, mode
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        self._handle: int | None = os.open(self.path, flags | getattr(os, "O_CLOEXEC", 0), mode)
        lock(self._handle)
        self.whole = 0

    def write(self, data: bytes | memoryview) -> int:
        """Write all of `data`, at the current place.

        Raises:
            OSError: The disk is full, or the like.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor(), rest) :]
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place; returns it."""
        return os.lseek(self._descriptor(), offset, whence)

    def tell(self) -> int:
        """The current place."""
        return os.lseek(self._descriptor(), 0, os.SEEK_CUR)

    def mark(self) -> None:
        """What was written so far is readable by itself, and reaches the disk before this returns.

        Raises:
            OSError: It does not.
        """
        at = self.tell()
        if at > self.whole:
            getattr(os, "fdatasync", os.fsync)(self._descriptor())
            if not self.whole:
                _sync_folder(self.path.parent)  # its name as well
            self.whole = at

    def publish(self) -> None:
        """Give it its name.

        Raises:
            TakenError: The name was taken meanwhile, and may not be replaced; the part stays.
            OSError: Another reason.
        """
        handle = self._descriptor()
        os.fsync(handle)
        with suppress(OSError):
            if self._overwrite and hasattr(os, "fchmod"):
                os.fchmod(handle, stat.S_IMODE(self.target.stat().st_mode) & self._mode)
        self._close()
        try:
            publish(self.path, self.target, overwrite=self._overwrite)
        except FileExistsError as error:
            raise TakenError(self.target, self.path) from error

    def keep(self) -> Path | None:
        """Give up: what is readable by itself stays under the part's name, which is returned; None = nothing was."""
        if self._handle is None:
            return None
        with suppress(OSError):
            os.ftruncate(self._handle, self.whole)
        self._close()
        if self.whole:
            return self.path
        with suppress(OSError):
            self.path.unlink()
        return None

    def _descriptor(self) -> int:
        if self._handle is None:
            raise ValueError(f"{self.path} is closed")
        return self._handle

    def _close(self) -> None:
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)


@contextmanager
def atomic_write(path: Path, *, overwrite: bool = True, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A binary file to write: `path` is the old file or the new one, never a part; an error leaves it as it was.

    Where another file has taken the name in the meantime, the new one stays beside it under its own.

    Args:
        path: The file.
        overwrite: Whether one that is there may be replaced.
        mode: Its permissions, less the umask's.

    Raises:
        TakenError: It is there by the end, and may not be replaced.
        OSError: It cannot be written.

    Example:
        >>> with atomic_write(Path("report.json")) as file:
        ...     size = file.write(b"{}")
    """
    part = PartFile(path, overwrite=overwrite, mode=mode)
    try:
        with os.fdopen(os.dup(part._descriptor()), "r+b") as file:
            yield file
        part.publish()
    except TakenError:
        raise
    except BaseException:
        part.keep()  # nothing of it: it was never marked
        with suppress(OSError):
            part.path.unlink()
        raise


def make_folder(folder: Path) -> None:
    """Make a folder and those above it. Raises OutputError where that fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), error.strerror or "cannot be made", "Name a folder that can be made") from error


def write_text(path: Path, text: str) -> None:
    """A text in UTF-8, whole or not at all: `atomic_write`.

    Raises:
        OSError: It cannot be written.
    """
    with atomic_write(path) as file:
        file.write(text.encode())


def publish(part: Path, target: Path, *, overwrite: bool) -> None:
    """Give a finished file its name, in one step, and make that last through a loss of power.

    Raises:
        FileExistsError: The name is taken, and may not be replaced.
        OSError: Another reason.
    """
    if overwrite:
        part.replace(target)
    elif sys.platform == "win32":
        part.rename(target)  # does not replace there
    else:
        _rename_new(part, target)
    _sync_folder(target.parent)


def _rename_new(part: Path, target: Path) -> None:
    try:
        os.link(part, target, follow_symlinks=False)  # fails where the name is taken; a rename would replace
    except FileExistsError:
        raise
    except OSError as error:  # a file system without hard links
        if os.path.lexists(target):
            raise FileExistsError(17, os.strerror(17), str(target)) from error
        part.rename(target)
    else:
        part.unlink()


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # Windows, and some network file systems, have no such thing
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def fresh_name(target: Path) -> Path:
    """A name beside `target` with its ending, that no file has."""
    return target.with_name(f"{_begin(target)}{secrets.token_hex(PART_DIGITS // 2)}{target.suffix}")


def _begin(target: Path) -> str:
    """What the names of parts of `target` begin with: whole letters of its own, as many as there is room for."""
    room = LONGEST_NAME - len(os.fsencode(f"{_PART}{target.suffix}")) - PART_DIGITS
    stem = target.stem
    while len(os.fsencode(stem)) > room:
        stem = stem[:-1]
    return stem + _PART


def stale_parts(target: Path) -> list[Path]:
    """Parts of `target` that runs which were killed have left beside it."""
    begin, end = _begin(target), target.suffix
    try:
        beside = sorted(target.parent.iterdir())
    except OSError:
        return []
    return [path for path in beside if _is_part(path.name, begin, end) and not _is_open(path)]


def _is_part(name: str, begin: str, end: str) -> bool:
    if not name.startswith(begin) or not name.endswith(end):
        return False
    mark = name[len(begin) : len(name) - len(end)]
    return len(mark) == PART_DIGITS and set(mark) <= set("0123456789abcdef")


def _is_open(part: Path) -> bool:
    """Whether a run still writes it, or there is nothing in it."""
    if sys.platform == "win32":
        return not part.stat().st_size  # who has it open could not be told
    try:
        handle = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return True  # not ours
    try:
        return not os.fstat(handle).st_size or not lock(handle)
    finally:
        os.close(handle)


def lock(handle: int) -> bool:
    """Lock an open file for this process; False where another one has it. Ends when the file is closed."""
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True


def write_private(path: Path, data: bytes) -> None:
    """Write a file of the cache by `atomic_write`; its folder is made private.

    Raises:
        OutputError: The folder or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with atomic_write(path, mode=0o600) as file:  # native code among it: nobody else may write it
            file.write(data)
    except OSError as error:
        raise OutputError(
            str(path), f"cannot be written ({error.strerror or error})", "Free or mend its folder"
        ) from error

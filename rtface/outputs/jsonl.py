"""JSON lines, schema ``rtface.result/1``, into a file or to stdout."""

from __future__ import annotations

import io
import os
import stat
import sys
from abc import abstractmethod
from pathlib import Path
from typing import Any

from rtface.errors import OutputError
from rtface.outputs import records
from rtface.outputs.sink import RunInfo, Sink
from rtface.system.files import lock
from rtface.types import FrameResult


class LineSink(Sink):
    """Text lines: each is one unbuffered write, so what a reader finds is whole, after Ctrl-C and on a full disk too.

    Subclasses say what the lines are: `first`, `lines` and `last`, each with its line break, or empty.

    Args:
        path: File to write, or None for stdout.
        overwrite: Whether a file that is there may be replaced.
    """

    picture = "none"

    def __init__(self, path: Path | None, *, overwrite: bool = False) -> None:
        self.name = "stdout" if path is None else str(path)
        self._path = path
        self._overwrite = overwrite
        self._file: io.RawIOBase | None = None
        self._whole = 0  # bytes up to the end of the last whole line

    def open(self, info: RunInfo) -> None:
        try:
            if self._path is None:
                self._file = _stdout(self.name)
            else:
                self._file = self._begin(self._path)
        except OSError as error:
            raise self._failed(error) from error
        self._write(self.first(info))

    def _begin(self, path: Path) -> io.FileIO:
        """The empty file, and no other run's."""
        how = 0 if self._overwrite else os.O_EXCL
        binary = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        file = io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | how | binary, 0o666), "wb")
        if not lock(file.fileno()):
            file.close()
            raise OutputError(self.name, "is being written by another run", "Name another path, or end that run")
        if stat.S_ISREG(os.fstat(file.fileno()).st_mode):  # not a pipe
            file.truncate()
        return file

    def write(self, result: FrameResult) -> None:
        self._write(self.lines(result))

    def finish(self, summary: dict[str, Any]) -> None:
        self._write(self.last(summary))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @abstractmethod
    def first(self, info: RunInfo) -> str:
        """The head of the file."""

    @abstractmethod
    def lines(self, result: FrameResult) -> str:
        """The lines of a result."""

    def last(self, summary: dict[str, Any]) -> str:
        """The end of the file."""
        return ""

    def _write(self, text: str) -> None:
        if self._file is None or self.done or not text:
            return
        rest = memoryview(text.encode())
        length = len(rest)
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except BrokenPipeError:  # `rtface run … | head`: enough was read
            self.done = True
        except OSError as error:
            self._take_back(self._file)
            raise self._failed(error) from error
        else:
            self._whole += length

    def _take_back(self, file: io.RawIOBase) -> None:
        """Cut off the half line that a full disk leaves."""
        if self._path is not None and file.seekable():
            file.truncate(self._whole)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(self.name, f"cannot be written ({error.strerror})", "Make room, or name another path")


class JsonlSink(LineSink):
    """A header, a line a frame, a summary: schema ``rtface.result/1``."""

    many_cameras = True

    def first(self, info: RunInfo) -> str:
        return records.to_line(info.header)

    def lines(self, result: FrameResult) -> str:
        return records.to_line(result.to_dict())

    def last(self, summary: dict[str, Any]) -> str:
        return records.to_line(summary)


class _Captured(io.RawIOBase):
    """Stdout as Jupyter, pytest or `contextlib.redirect_stdout` have it: text without a file behind it."""

    def write(self, data: Any) -> int:
        sys.stdout.write(bytes(data).decode())
        sys.stdout.flush()
        return len(data)


def _stdout(name: str) -> io.RawIOBase:
    if sys.stdout is None or sys.stdout.closed:
        raise OutputError(name, "is closed", "Name a file: -o faces.jsonl")
    try:
        return io.FileIO(os.dup(sys.stdout.fileno()), "wb")
    except (io.UnsupportedOperation, AttributeError):
        return _Captured()

"""JSON lines, schema ``rtface.result/1``, into a file or to stdout."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

from rtface.errors import OutputError
from rtface.outputs import records
from rtface.outputs.sink import RunInfo, Sink
from rtface.types import FrameResult


class JsonlSink(Sink):
    """Each line is one unbuffered write: what a reader finds is whole, after Ctrl-C and on a full disk too.

    Args:
        path: File to write, or None for stdout.
        overwrite: Whether a file that is there may be replaced.
    """

    def __init__(self, path: Path | None, *, overwrite: bool = False) -> None:
        self.name = "stdout" if path is None else str(path)
        self._path = path
        self._mode = "wb" if overwrite else "xb"
        self._file: io.FileIO | None = None
        self._whole = 0  # bytes up to the end of the last whole line

    def open(self, info: RunInfo) -> None:
        try:
            if self._path is None:
                self._file = io.FileIO(os.dup(sys.stdout.fileno()), "wb")
            else:
                self._file = io.FileIO(self._path, self._mode)
        except OSError as error:
            raise self._failed(error) from error
        self._write(info.header)

    def write(self, result: FrameResult) -> None:
        self._write(result.to_dict())

    def finish(self, summary: dict[str, Any]) -> None:
        self._write(summary)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _write(self, record: dict[str, Any]) -> None:
        if self._file is None or self.done:
            return
        rest = memoryview(records.to_line(record).encode())
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

    def _take_back(self, file: io.FileIO) -> None:
        """Cut off the half line that a full disk leaves."""
        if self._path is not None and file.seekable():
            file.truncate(self._whole)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(self.name, f"cannot be written ({error.strerror})", "Make room, or name another path")

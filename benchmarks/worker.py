"""A process of another interpreter that works when it is told to."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import NoReturn, TypeVar

ROOT = Path(__file__).resolve().parents[1]
Self = TypeVar("Self", bound="Worker")


class Worker:
    """A process alive from entering to leaving the context; what it writes to stderr is kept for when it ends early.

    Args:
        name: What messages call it.
        command: The interpreter, the script and its arguments.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name, self._command = name, list(command)

    def __enter__(self: Self) -> Self:
        """Start the process and wait until it is ready.

        Raises:
            SystemExit: It cannot be started, or ended before; what it said is in the message.
        """
        # A file, not a pipe: MediaPipe's log would fill a pipe that nobody reads.
        self._log = tempfile.TemporaryFile()
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                self._command, stdin=pipe, stdout=pipe, stderr=self._log, env=environment()
            )
        except OSError as error:
            self._log.close()
            raise SystemExit(f"cannot start {self._command[0]}: {error.strerror}") from error
        try:
            self._ready()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._close()

    def _ready(self) -> None:
        """Read its first word."""
        raise NotImplementedError

    def _ended(self) -> NoReturn:
        self._process.wait()
        self._log.seek(0)
        said = self._log.read().decode(errors="replace")
        raise SystemExit(f"{self.name} ended with {self._process.returncode}:\n{said[-2000:]}")

    def _close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._log.close()


def environment() -> dict[str, str]:
    """The environment of the processes: with this checkout's rtface, whether it is installed or not."""
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, "PYTHONNOUSERSITE": "1"}

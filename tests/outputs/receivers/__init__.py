"""Programs of others that receive what is sent, on this machine, each for the length of a test."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def needs(program: str, package: str) -> str:
    """The program's path, or skip with a line that says how to get it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"needs {program} (apt install {package})")
    return found


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that nobody uses just now."""
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextlib.contextmanager
def listening(host: str = "127.0.0.1", port: int = 0, timeout: float = 5.0) -> Iterator[socket.socket]:
    """A UDP socket that waits at most `timeout` seconds for a datagram; port 0 = a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind((host, port))
        own.settimeout(timeout)
        yield own


def datagrams(own: socket.socket) -> list[bytes]:
    """All that have arrived."""
    found = []
    own.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(own.recv(65536))
    return found


def wait_for(what: Callable[[], object], seconds: float = 15.0) -> None:
    """Until it holds; a test that waits in vain fails."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


class Program:
    """A program in the background whose output goes to a file."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._log = folder / f"{Path(command[0]).name}-{time.monotonic_ns()}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)

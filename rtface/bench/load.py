"""A second process that keeps one core busy, on and off."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

_WORK = """
import os, sys, time
on, off, parent = float(sys.argv[1]), float(sys.argv[2]), os.getppid()
while os.getppid() == parent:
    end = time.monotonic() + on
    while time.monotonic() < end and os.getppid() == parent:
        sum(range(100_000))
    time.sleep(off)
"""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Busy for `on_s` seconds, then idle for `off_s` (0 = always busy)."""

    on_s: float
    off_s: float = 0.0

    def at(self, time: float) -> bool:
        """Whether it is busy, `time` seconds after its start."""
        return time % (self.on_s + self.off_s) < self.on_s


class Load:
    """The process, alive within the context; it also ends when this process does.

    Args:
        plan: When it is busy; None = no process.
    """

    def __init__(self, plan: LoadPlan | None) -> None:
        self._plan = plan
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Load:
        if self._plan is not None:
            command = [sys.executable, "-S", "-c", _WORK, str(self._plan.on_s), str(self._plan.off_s)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

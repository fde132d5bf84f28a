"""Time, behind two methods that tests can replace: no test sleeps."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and a wait that a stop event cuts short."""

    def now(self) -> float:
        """Monotonic time in seconds."""

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """Wait for at most ``seconds``; True when ``stop`` was set."""


class SystemClock:
    """The real clock."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        return stop.wait(max(seconds, 0.0))

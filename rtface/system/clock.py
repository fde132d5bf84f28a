"""Time, behind two methods that tests can replace: no test sleeps."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import Protocol

from rtface.errors import OptionError


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


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(timezone.utc)


def as_utc(time: datetime | str | None) -> datetime | None:
    """A time of day in UTC; one without a zone is this machine's.

    Raises:
        OptionError: It is no ISO 8601 time such as ``2026-11-30T10:04:05+01:00``.
    """
    if isinstance(time, str):
        try:
            time = datetime.fromisoformat(time.strip().replace("Z", "+00:00"))
        except ValueError as error:
            raise _no_time(time) from error
    if time is not None and not isinstance(time, datetime):
        raise _no_time(time)
    if time is None:
        return None
    try:
        utc = time.astimezone(timezone.utc)
    except (ValueError, OverflowError, OSError) as error:  # before year 1, by its zone
        raise _no_time(time) from error
    if not datetime.min.year < utc.year < datetime.max.year:  # a video goes on from there
        raise _no_time(time)
    return utc


def _no_time(got: object) -> OptionError:
    return OptionError("started_at", f"expected a time such as 2026-11-30T10:04:05+01:00, got {got!r}", "Leave it out")

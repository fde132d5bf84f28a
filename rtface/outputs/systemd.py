"""Tells systemd that frames are analysed: READY with the first, the watchdog only while they come."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rtface.outputs.sink import RunInfo, Sink
from rtface.system.sd_notify import sd_notify
from rtface.types import FrameResult

#: Between two messages, s: well within any WatchdogSec that makes sense.
BEAT_S = 1.0


class SystemdSink(Sink):
    """For a service of Type=notify with WatchdogSec: a camera that hangs, or an analysis, is noticed and restarted.

    Args:
        tell: Takes the messages, for tests.
        clock: Monotonic seconds, for tests.
    """

    name = "systemd"
    own_thread = False  # what hangs must not be vouched for by another thread
    picture = "none"
    tells_groups_only = True
    many_cameras = True

    def __init__(self, tell: Callable[[str], object] = sd_notify, clock: Callable[[], float] = time.monotonic) -> None:
        self._tell, self._clock = tell, clock
        self._ready = False
        self._told_at = float("-inf")
        self._frames = 0

    def open(self, info: RunInfo) -> None:
        self._tell(f"STATUS=waiting for the first frame of {_line(info.source)}")

    def write(self, result: FrameResult) -> None:
        now = self._clock()
        self._frames += 1
        if now - self._told_at < BEAT_S:
            return
        rate = self._frames / (now - self._told_at) if self._ready else 0.0
        status = f"STATUS={rate:.0f} frames a second, age {result.timing.age_ms:.0f} ms, level {result.level}"
        self._tell(f"{'WATCHDOG=1' if self._ready else 'READY=1'}\n{status}")
        self._ready, self._told_at, self._frames = True, now, 0

    def finish(self, summary: dict[str, Any]) -> None:
        self._tell("STOPPING=1")


def _line(text: str) -> str:
    return " ".join(text.split())

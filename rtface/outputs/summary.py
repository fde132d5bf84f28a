"""Running figures of a run, in memory that does not grow."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from rtface.outputs import records
from rtface.system.clock import Clock
from rtface.types import Event, FrameResult

STEP_MS = 0.1
LONGEST_MS = 2000.0
#: Of pictures that cannot be read, the summary names the first so many.
NAMED = 100
#: Of a source that comes and goes for weeks, the summary names the last so many events.
EVENTS = 100


class Percentiles:
    """Times in ms as counts per tenth of a millisecond; longer ones than two seconds count as two seconds."""

    def __init__(self) -> None:
        self._counts = np.zeros(int(LONGEST_MS / STEP_MS) + 1, np.int64)

    def add(self, ms: float) -> None:
        """Count one time."""
        self._counts[int(min(max(ms, 0.0), LONGEST_MS) / STEP_MS)] += 1

    def at(self, percent: float) -> float | None:
        """The time in ms that ``percent`` of the times stay within, to a tenth; None before the first."""
        total = int(self._counts.sum())
        if not total:
            return None
        rank = max(int(np.ceil(total * percent / 100.0)), 1)
        return round(float(np.searchsorted(self._counts.cumsum(), rank) * STEP_MS), 1)


class RunStats:
    """Counts a run's results, and makes the summary of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = self._ended_at = 0.0
        self._running = False
        self.frames = self._faces = self._dropped = self._late = 0
        self._levels: Counter[int] = Counter()
        self._level, self._moves = 0, 0
        self._work, self._age = Percentiles(), Percentiles()
        self._error: BaseException | None = None
        self._events: deque[Event] = deque(maxlen=EVENTS)

    def add_event(self, event: Event) -> None:
        """Something happened to the source; may be called from its thread."""
        self._events.append(event)

    def start(self) -> None:
        """The run begins."""
        self._started_at = self._clock.now()
        self._running = True

    def add(self, result: FrameResult) -> None:
        """Count a result."""
        self.frames += 1
        self._faces += len(result.faces)
        self._dropped += result.dropped
        self._late += result.late
        self._levels[result.level] += 1
        self._moves += result.level != self._level and self.frames > 1
        self._level = result.level
        self._work.add(result.timing.total_ms)
        self._age.add(result.timing.age_ms)

    def end(self, error: BaseException | None) -> None:
        """The run is over, because of ``error`` where it is not None."""
        self._ended_at = self._clock.now()
        self._running = False
        self._error = error

    def record(self, corrupt: int, unreadable: Sequence[str] = ()) -> dict[str, Any]:
        """The last JSON line.

        Args:
            corrupt: Frames that the source could not decode.
            unreadable: Which, and why, a line each, as far as they have names.
        """
        seconds = (self._clock.now() if self._running else self._ended_at) - self._started_at
        error = self._error
        return records.summary_record(
            frames=self.frames,
            faces=self._faces,
            corrupt=corrupt,
            dropped=self._dropped,
            late=self._late,
            levels=self._levels,
            level_moves=self._moves,
            seconds=seconds,
            work_ms={f"p{percent}": self._work.at(percent) for percent in (50, 95, 99)},
            age_ms={f"p{percent}": self._age.at(percent) for percent in (50, 95, 99)},
            interrupted=isinstance(error, KeyboardInterrupt),
            error=None if error is None or isinstance(error, KeyboardInterrupt) else str(error),
            events=tuple(self._events),
            unreadable=unreadable[:NAMED],
        )

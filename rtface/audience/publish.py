"""Windows as they end, while visits come: hours and days, in full or so that no visitor can be told from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from rtface.audience.privacy import K, Publisher, anonymous
from rtface.audience.visits import Visit
from rtface.audience.windows import Window, bounds, window_of


class WindowPublisher:
    """Collects visits, and gives out the records of windows that are over, of `k` visits at least.

    A window waits for the visits in it that are not over yet, at most `LATE_S`; what comes later is left out.

    Args:
        span: Of the parts, "15min" or "1h"; the whole is the day.
        k: Least visits in anything that is given out, or follows from it.
        zone: Whose clock; None = this machine's.
    """

    LATE_S = 300.0

    def __init__(self, span: str = "1h", k: int = K, zone: tzinfo | None = None) -> None:
        self._span, self._k, self._zone = span, k, zone
        self._parts: dict[tuple[str, float, float], list[Visit]] = {}
        self._days: dict[tuple[str, float, float], _Day] = {}
        self._closed_until: dict[str, float] = {}

    def add(self, visit: Visit) -> None:
        """A visit that is over."""
        key = (visit.camera, *bounds(visit.started_at, self._span, self._zone))
        if key[1] >= self._closed_until.get(visit.camera, -math.inf):
            self._parts.setdefault(key, []).append(visit)

    def close(self, now: float) -> list[tuple[Window, dict[str, Any]]]:
        """The windows that are over at `now` (seconds since 1970, or infinity), as they may be published."""
        return [*self._close_parts(now), *self._close_days(now)]

    def _close_parts(self, now: float) -> Iterator[tuple[Window, dict[str, Any]]]:
        for key in sorted(key for key in self._parts if key[2] + self.LATE_S <= now):
            camera, start, end = key
            visits = self._parts.pop(key)
            day = self._day(visits[0])
            day.visits += visits
            self._closed_until[camera] = end
            window = window_of(visits, camera, self._span, start, end)
            if day.publisher.part_allowed(window.visits):
                yield window, anonymous(window, self._k)

    def _close_days(self, now: float) -> Iterator[tuple[Window, dict[str, Any]]]:
        for key in sorted(key for key in self._days if key[2] + self.LATE_S <= now):
            day = self._days.pop(key)
            window = window_of(day.visits, key[0], "1d", key[1], key[2])
            if day.publisher.whole_allowed(window.visits):
                yield window, anonymous(window, self._k)

    def _day(self, visit: Visit) -> _Day:
        key = (visit.camera, *bounds(visit.started_at, "1d", self._zone))
        if key not in self._days:
            self._days[key] = _Day(Publisher(self._k))
        return self._days[key]


class _Day:
    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self.visits: list[Visit] = []

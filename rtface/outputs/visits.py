"""`-o visits.db`: every visit, or with `--privacy aggregate` only the hours and days of many."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rtface.audience.events import Audience
from rtface.audience.publish import WindowPublisher
from rtface.audience.rules import AudienceOptions
from rtface.audience.visits import Visit
from rtface.outputs.output_url import OutputUrl
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.visit_store import VisitStore
from rtface.types import FrameResult

#: Days that visits are kept, unless said otherwise.
RETENTION_DAYS = 30.0
#: How often what is too old is deleted, and windows that are over are written.
HOUSEKEEPING_S = 60.0


def open_file(path: Path, settings: OutputUrl, *, overwrite: bool) -> VisitsSink:
    """``visits.db?retention_days=90``; the definitions and the mode of privacy are the run's.

    Raises:
        UsageError: A setting is unknown, or no number.
    """
    settings.only("retention_days")
    return VisitsSink(path, retention_days=settings.number("retention_days", RETENTION_DAYS, 0.01, 36500))


class VisitsSink(Sink):
    """A database of visits, which is continued where it is there.

    It has an `Audience` of its own: a result that its mailbox drops costs some milliseconds of one visit's times, not
    the visit.

    Args:
        path: The file.
        rules: What counts as a visit; None = the run's.
        aggregate: Keep no visits, only windows of at least five of them; None = as the run's privacy demands.
        retention_days: Older ones are deleted; infinity keeps all.
        clock: Seconds since 1970, for tests.
    """

    picture = "none"
    tells_groups_only = True  # in that mode
    many_cameras = True

    def __init__(
        self,
        path: Path,
        rules: AudienceOptions | None = None,
        *,
        aggregate: bool | None = None,
        retention_days: float = RETENTION_DAYS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = str(path)
        self._path, self._rules, self._clock, self._aggregate = path, rules, clock, aggregate
        self._publisher: WindowPublisher | None = None
        self._retention_days = retention_days
        self._store: VisitStore | None = None
        self._over: list[Visit] = []
        self._began = self._kept_house_at = self._until = -math.inf

    def open(self, info: RunInfo) -> None:
        self._live = info.live
        self._began = self._until = self._clock()
        options = info.control.options
        aggregate = options.privacy == "aggregate" if self._aggregate is None else self._aggregate
        self._publisher = WindowPublisher() if aggregate else None
        self._audience = Audience(self._rules or options.audience_rules, on_visit=self._over.append, live=info.live)
        self._store = VisitStore(self._path, write=True)
        privacy = "aggregate" if self._publisher else "full"
        self._store.note(version=info.header.get("version"), privacy=privacy, retention_days=self._retention_days)

    def write(self, result: FrameResult) -> None:
        at = self._audience.time_of(result)
        utc = self._clock() - time.monotonic() + at if self._live else self._began + at
        self._until = utc
        self._audience.observe(result, at=at, utc=utc)
        self._keep(utc)

    def finish(self, summary: dict[str, Any]) -> None:
        self._audience.finish()
        self._keep(math.inf)

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def _keep(self, now: float) -> None:
        assert self._store is not None
        if self._publisher is not None:
            for visit in self._over:
                self._publisher.add(visit)
        elif self._over:
            self._store.add(self._over)
        self._over.clear()
        if now - self._kept_house_at < HOUSEKEEPING_S:
            return
        self._kept_house_at = now
        if self._publisher is not None and (records := self._publisher.close(now)):
            self._store.add_windows(records, self._began)
        if math.isfinite(self._retention_days):
            self._store.forget(self._retention_days, self._clock())

"""Many stills at once: each on a thread with networks of one thread of its own.

Two threads on one network meet after every operator, and one of them draws the parsing's votes alone; two pictures at
once never meet.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from rtface.analyzer.analyzer import Analyzer
from rtface.options import Options
from rtface.types import Frame, FrameResult


class StillLanes:
    """Analyses stills on several threads. A context manager.

    Args:
        options: How; their ``threads`` is how many there are at most.
        count: Threads; each opens its networks when it is first needed.
    """

    def __init__(self, options: Options, count: int) -> None:
        self.count = count
        self._options = replace(options, threads=1)
        self._own = threading.local()
        self._all: list[Analyzer] = []
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="rtface-still")

    def submit(self, frame: Frame, tasks: Collection[str]) -> Future[FrameResult]:
        """Begin with a still; its result is what `Analyzer.image` gives, or raises."""
        return self._pool.submit(self._analyse, frame, tasks)

    def _analyse(self, frame: Frame, tasks: Collection[str]) -> FrameResult:
        analyzer: Analyzer | None = getattr(self._own, "analyzer", None)
        if analyzer is None:
            analyzer = self._own.analyzer = Analyzer(self._options)
            self._all.append(analyzer)
        return analyzer.image(frame.image, tasks=tasks)

    def close(self) -> None:
        """Give the networks' memory and threads back, after the stills at hand; idempotent."""
        self._pool.shutdown(cancel_futures=True)
        while self._all:
            self._all.pop().close()

    def __enter__(self) -> StillLanes:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

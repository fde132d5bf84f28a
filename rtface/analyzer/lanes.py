"""Many stills, some at a time: each group goes to a thread with networks of one thread of its own.

Two threads on one network meet after every operator; two groups of pictures never meet.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from typing import Generic, TypeVar

from rtface.analyzer.analyzer import Analyzer
from rtface.engine import default_threads
from rtface.networks.selection import select
from rtface.options import Options
from rtface.types import Frame, FrameResult

T = TypeVar("T")

TOGETHER = 4
"""Pictures that go through a lane's networks at once: of 8 each took as long as of 4 …"""

TOGETHER_PX = 16_000_000
"""… and the pixels after which it is no more: they are all in memory."""

WAIT_S = 0.5
"""Ctrl-C cannot break a wait without an end on every system."""


def lanes_for(options: Options) -> int:
    """How many pictures are best analysed at once, each on a thread with networks of its own.

    Raises:
        ModelError, EngineError, OptionError: As `select`.
    """
    selection = select(options)
    if {selection.detector.backend, selection.multitask.backend} != {"onnx"}:
        return 1  # a GPU, or a backend whose threads do better by themselves
    return options.threads or default_threads()


class StillLanes(Generic[T]):
    """Stills in, results out, in order; a few groups ahead of who takes them. A context manager.

    Args:
        analyzer: Whose options, and, where it has one thread or there is one lane, whose networks; stays open.
        count: Lanes; those without networks open their own when they are first needed.
        frame_of: The picture of an item.
    """

    def __init__(self, analyzer: Analyzer, count: int, frame_of: Callable[[T], Frame]) -> None:
        self._free = deque([analyzer] if count == 1 or analyzer.options.threads == 1 else [])
        self._options, self._frame_of = replace(analyzer.options, threads=1), frame_of
        self._most_ahead = count + 1
        self._own = threading.local()
        self._opened: list[Analyzer] = []
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="rtface-still")
        self._begun: deque[tuple[list[T], Future[list[FrameResult]]]] = deque()
        self._ready: deque[tuple[T, FrameResult]] = deque()
        self._end: Exception | None = None  # what `take` has raised: there is no more

    def next(self, take: Callable[[], T], tasks: Collection[str]) -> tuple[T, FrameResult]:
        """The next item and its result, as `Analyzer.image` gives it.

        Args:
            take: Gives the next item; what it raises at the end is raised here, after all results before it.
            tasks: Of the pictures that are begun in this call.

        Raises:
            EngineError: A network cannot be opened, or cannot run.
        """
        while not self._ready:
            while self._end is None and len(self._begun) < self._most_ahead:
                self._begin(take, tasks)
            if not self._begun:
                assert self._end is not None
                raise self._end
            items, future = self._begun.popleft()
            while not wait([future], WAIT_S).done:
                pass
            self._ready.extend(zip(items, future.result(), strict=True))
        return self._ready.popleft()

    def _begin(self, take: Callable[[], T], tasks: Collection[str]) -> None:
        """A group, as far as there are pictures for one."""
        items: list[T] = []
        pixels = 0
        while len(items) < TOGETHER and pixels < TOGETHER_PX:
            try:
                items.append(take())
            except Exception as end:
                self._end = end
                break
            height, width = self._frame_of(items[-1]).image.shape[:2]
            pixels += height * width
        if items:
            frames = [self._frame_of(item) for item in items]
            self._begun.append((items, self._pool.submit(self._analyse, frames, tasks)))

    def _analyse(self, frames: list[Frame], tasks: Collection[str]) -> list[FrameResult]:
        if not hasattr(self._own, "analyzer"):
            self._own.analyzer = self._free_or_new()
        results: list[FrameResult] = self._own.analyzer.images(frames, tasks)
        return results

    def _free_or_new(self) -> Analyzer:
        with suppress(IndexError):
            return self._free.popleft()
        analyzer = Analyzer(self._options)
        self._opened.append(analyzer)
        return analyzer

    def close(self) -> None:
        """Give the networks' memory and threads back, after the pictures at hand; idempotent."""
        self._pool.shutdown(cancel_futures=True)
        while self._opened:
            self._opened.pop().close()

    def __enter__(self) -> StillLanes[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

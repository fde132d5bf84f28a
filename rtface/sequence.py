"""Every frame of files, one file after the other, on one set of networks."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from types import TracebackType

from rtface.analyzer import Analyzer
from rtface.capture.files import Named, expand, is_picture
from rtface.capture.images import PictureSource
from rtface.errors import SourceError
from rtface.options import Options
from rtface.stream import Stream
from rtface.system.clock import SystemClock
from rtface.system.images import read_image
from rtface.system.paths import expanded
from rtface.types import FrameResult


class FrameSequence(Iterator[FrameResult]):
    """An iterator of results; ``rtface.frames`` makes it. Networks are opened with the first result.

    It closes itself at the end. Leave it before that, and ``close`` or a ``with`` statement gives the networks back;
    else that happens when Python collects it.

    Args:
        source: File, folder, pattern, address or "demo"; or several of those.
        recursive: Also the sub-folders of folders.
        options: How; a budget is left out.
        analyzer: Use this one and leave it open; None = one for the options.

    Attributes:
        sources: What will be read, in order.
        unreadable: What could not be, so far, and why: a line each.
    """

    def __init__(
        self,
        source: Named | Iterable[Named],
        *,
        options: Options,
        recursive: bool = False,
        analyzer: Analyzer | None = None,
    ) -> None:
        self.sources = expand(source, recursive=recursive)
        self.unreadable: list[str] = []
        self._options = replace(options, budget_ms=None)  # files have no deadline
        self._analyzer = analyzer
        self._results = self._run()

    def __next__(self) -> FrameResult:
        return next(self._results)

    def close(self) -> None:
        """Let go of the files and the networks; there are no more results."""
        self._results.close()

    def __enter__(self) -> FrameSequence:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> Generator[FrameResult, None, None]:
        count = 0
        with ExitStack() as stack:
            analyzer = self._analyzer or stack.enter_context(Analyzer(self._options))
            for source in self._opened():
                analyzer.reset()
                stream = Stream(source, live=False, options=self._options, analyzer=analyzer)
                try:
                    with stream:
                        for result in stream:
                            count += 1
                            yield result
                except SourceError as error:
                    self._leave_out(error)
                else:
                    self.unreadable += stream.source.unreadable
        if not count and self.unreadable:
            raise SourceError(f"{len(self.sources)} sources", "none could be read", self.unreadable[0])

    def _opened(self) -> Iterator[Named]:
        """The sources; pictures in a row are one, so that the next is decoded while one is analysed."""
        for are_pictures, group in groupby(self.sources, is_picture):
            if not are_pictures or len(self.sources) == 1:
                yield from group
                continue
            paths = [expanded(str(path)) for path in group]
            try:
                yield PictureSource(f"{len(paths)} pictures", paths, SystemClock())
            except SourceError:
                for path in paths:
                    self._check(path)

    def _check(self, path: Path) -> None:
        try:
            read_image(path)
        except SourceError as error:
            self._leave_out(error)

    def _leave_out(self, error: SourceError) -> None:
        """Goes on with the next source where there are several.

        Raises:
            SourceError: It is the only one.
        """
        if len(self.sources) == 1:
            raise error
        self.unreadable.append(str(error))

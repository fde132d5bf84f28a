"""Interlaced frames made whole: two fields of different moments become one picture of one moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import av

#: bwdif (EBU's filter with motion checks), one frame out a frame in; frames marked progressive pass.
_FILTER, _SETTINGS = "bwdif", "mode=send_frame:deint=interlaced"


class Deinterlacer:
    """Passes frames on as they are until one is marked interlaced; from there on through the filter.

    The filter looks at the frames around each, so it gives one late: `flush` at the end.
    """

    def __init__(self) -> None:
        self._graph: Any = None
        self._shape: tuple[int, int, str] | None = None

    def __call__(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The frames that are ready, in order."""
        if self._graph is None and not frame.interlaced_frame:
            yield frame
            return
        shape = (frame.width, frame.height, frame.format.name)
        if shape != self._shape:  # the filter takes one size and format
            yield from self.flush()
            self._graph, self._shape = _graph(frame), shape
        self._graph.push(frame)
        yield from self._ready()

    def flush(self) -> Iterator[av.VideoFrame]:
        """What the filter still holds."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = self._shape = None

    def _ready(self) -> Iterator[av.VideoFrame]:
        from av.error import BlockingIOError as NoFrameYet
        from av.error import EOFError as End

        while True:
            try:
                frame = self._graph.pull()
            except (NoFrameYet, End):
                return
            yield frame


def _graph(frame: av.VideoFrame) -> Any:
    from av.filter import Graph

    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    middle, sink = graph.add(_FILTER, _SETTINGS), graph.add("buffersink")
    source.link_to(middle)
    middle.link_to(sink)
    graph.configure()
    return graph

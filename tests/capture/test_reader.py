"""The capture thread."""

from __future__ import annotations

import pytest

from rtface.capture.reader import Grabbed, Grabber
from rtface.capture.source import Source
from rtface.errors import SourceError
from rtface.system.handoff import BoundedQueue, Mailbox
from rtface.testing import FakeClock
from rtface.types import Frame
from tests.media import picture


class ListSource(Source):
    """Frames from a list; an exception in it is raised."""

    name = "list"

    def __init__(self, items: list[Frame | Exception], fps: float | None = None) -> None:
        self.items, self.fps, self.closed = list(items), fps, False

    def read(self) -> Frame | None:
        item = self.items.pop(0) if self.items else None
        if isinstance(item, Exception):
            raise item
        return item

    def close(self) -> None:
        self.closed = True


def frame(index: int, media_time: float | None = None, captured_at: float = 0.0) -> Frame:
    return Frame(picture(), index=index, media_time=media_time, captured_at=captured_at)


def drain(backlog: BoundedQueue[Grabbed]) -> list[Grabbed]:
    grabbed = []
    while (taken := backlog.take()) is not None:
        grabbed.append(taken.item)
    return grabbed


def test_frames_are_handed_over_in_order_with_their_cost_and_the_source_is_closed() -> None:
    source, clock = ListSource([frame(index, captured_at=100.0) for index in range(9)]), FakeClock()
    clock.time = 100.005
    backlog: BoundedQueue[Grabbed] = BoundedQueue()
    grabber = Grabber(source, backlog, clock)
    grabber.start()
    grabbed = drain(backlog)
    grabber.stop()
    assert [item.frame.index for item in grabbed] == list(range(9))
    assert [item.capture_ms for item in grabbed] == pytest.approx([5.0] * 9)
    assert source.closed


def test_an_error_of_the_source_reaches_the_reader_after_its_frames() -> None:
    backlog: BoundedQueue[Grabbed] = BoundedQueue()
    source = ListSource([frame(0), SourceError("list", "broke", "mend")])
    grabber = Grabber(source, backlog, FakeClock())
    grabber.start()
    taken = backlog.take()
    assert taken is not None and taken.item.frame.index == 0
    with pytest.raises(SourceError, match="broke"):
        backlog.take()
    grabber.stop()
    assert source.closed


@pytest.mark.parametrize("times", [(0.0, 0.04, 0.08, 0.5), (None, None, None, None)])
def test_a_paced_file_comes_at_its_own_speed(times: tuple[float | None, ...]) -> None:
    clock = FakeClock()
    source = ListSource([frame(index, time) for index, time in enumerate(times)], fps=25.0)
    backlog: BoundedQueue[Grabbed] = BoundedQueue(capacity=8)
    grabber = Grabber(source, backlog, clock, paced=True)
    grabber.start()
    at = [item.frame.captured_at - 100.0 for item in drain(backlog)]
    grabber.stop()
    assert at == pytest.approx([0.0, 0.04, 0.08, 0.12 if times[3] is None else 0.5])


def test_stop_ends_a_grabber_that_waits_for_its_reader() -> None:
    source = ListSource([frame(index) for index in range(100)])
    backlog: BoundedQueue[Grabbed] = BoundedQueue(capacity=1)
    grabber = Grabber(source, backlog, FakeClock())
    grabber.start()
    assert backlog.take() is not None
    grabber.stop()
    assert source.closed
    assert source.items


def test_a_grabber_that_never_started_stops() -> None:
    Grabber(ListSource([]), Mailbox(), FakeClock()).stop()

"""Hand-offs between threads."""

from __future__ import annotations

import threading

import pytest

from rtface.system.handoff import BoundedQueue, Channel, Mailbox, Received

BOTH = pytest.mark.parametrize("kind", [Mailbox, BoundedQueue])


def test_a_mailbox_keeps_the_newest_and_counts_the_others() -> None:
    box: Mailbox[int] = Mailbox()
    for item in range(5):
        assert box.put(item)
    assert box.take() == Received(4, dropped=4)
    box.put(5)
    assert box.take() == Received(5, dropped=0)


def test_a_backlog_keeps_all_and_makes_the_writer_wait() -> None:
    backlog: BoundedQueue[int] = BoundedQueue(capacity=2)
    most = 0

    def write() -> None:
        for item in range(100):
            backlog.put(item)
        backlog.close()

    writer = threading.Thread(target=write)
    writer.start()
    seen = []
    while (taken := backlog.take()) is not None:
        most = max(most, len(backlog._items))
        assert taken.dropped == 0
        seen.append(taken.item)
    writer.join()
    assert seen == list(range(100))
    assert most <= 2


@BOTH
def test_items_before_the_end_are_still_handed_over(kind: type[Channel[int]]) -> None:
    handoff = kind()
    handoff.put(1)
    handoff.close()
    assert not handoff.ended
    assert handoff.take() == Received(1, 0)
    assert handoff.ended
    assert handoff.take() is None
    assert not handoff.put(2)
    assert handoff.take() is None


@BOTH
def test_an_error_is_raised_at_the_reader_after_the_items_before_it(kind: type[Channel[int]]) -> None:
    handoff = kind()
    handoff.put(1)
    handoff.fail(OSError("gone"))
    handoff.fail(ValueError("a second one does not hide the first"))
    assert handoff.take() == Received(1, 0)
    for _ in range(2):
        with pytest.raises(OSError, match="gone"):
            handoff.take()


@BOTH
def test_a_timeout_is_not_the_end(kind: type[Channel[int]]) -> None:
    handoff = kind()
    assert handoff.take(timeout=0) is None
    assert not handoff.ended


@BOTH
def test_close_wakes_a_waiting_reader(kind: type[Channel[int]]) -> None:
    handoff = kind()
    answers: list[object] = []
    reader = threading.Thread(target=lambda: answers.append(handoff.take()))
    reader.start()
    handoff.close()
    reader.join(timeout=10)
    assert answers == [None]


def test_close_wakes_a_waiting_writer() -> None:
    backlog: BoundedQueue[int] = BoundedQueue(capacity=1)
    backlog.put(1)
    answers: list[bool] = []
    writer = threading.Thread(target=lambda: answers.append(backlog.put(2)))
    writer.start()
    backlog.close()
    writer.join(timeout=10)
    assert answers == [False]

"""Hand-offs between threads: a condition and a sequence number.

A ``Mailbox`` keeps only the newest item, for what is live; a ``BoundedQueue`` keeps all and makes the writer wait, for
files. The reader learns from the sequence numbers how many items it never saw.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Received(Generic[T]):
    """An item, and how many items before it were overwritten since the last one taken."""

    item: T
    dropped: int


class Channel(Generic[T]):
    """One writer, one reader. Items that were put before the end are still handed over after it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[tuple[int, T]] = deque()
        self._changed = threading.Condition()
        self._sequence = 0  # of the last item put
        self._taken = 0  # of the last item taken
        self._ended = False
        self._error: BaseException | None = None

    def put(self, item: T) -> bool:
        """Hand an item over; False once the hand-off has ended, and the writer may stop."""
        with self._changed:
            self._make_room()
            if self._ended:
                return False
            self._sequence += 1
            self._items.append((self._sequence, item))
            self._changed.notify_all()
            return True

    def put_late(self, item: T, sequence: int) -> None:
        """Hand over the item of a `put` that a signal may have broken off, unless it is there; without waiting."""
        with self._changed:
            if self._sequence < sequence and not self._ended:
                self._sequence += 1
                self._items.append((self._sequence, item))
                self._changed.notify_all()

    def _make_room(self) -> None:
        raise NotImplementedError

    def take(self, timeout: float | None = None) -> Received[T] | None:
        """The next item; None after ``timeout`` seconds, or where nothing more will come (then ``ended`` is True).

        Raises:
            BaseException: What the writer handed to ``fail``, after the items before it.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._items or self._ended, timeout)
            if self._items:
                sequence, item = self._items.popleft()
                dropped = sequence - self._taken - 1
                self._taken = sequence
                self._changed.notify_all()
                return Received(item, dropped)
            if self._error is not None:
                raise self._error
            return None

    def peek(self) -> T | None:
        """The item that `take` would give, which stays here; None = there is none just now."""
        with self._changed:
            return self._items[0][1] if self._items else None

    @property
    def ended(self) -> bool:
        """True where nothing more will be handed over."""
        with self._changed:
            return self._ended and not self._items

    def close(self) -> None:
        """The end, from either side: wakes both."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """The end, because of an error, which is raised at the reader."""
        with self._changed:
            self._error = self._error or error
            self._ended = True
            self._changed.notify_all()


class Mailbox(Channel[T]):
    """One slot: a newer item overwrites an older one that nobody took."""

    def __init__(self) -> None:
        super().__init__(capacity=1)

    def _make_room(self) -> None:
        self._items.clear()


class BoundedQueue(Channel[T]):
    """A few slots: nothing is dropped, a writer that is ahead waits."""

    def __init__(self, capacity: int = 4) -> None:
        super().__init__(capacity)

    def _make_room(self) -> None:
        self._changed.wait_for(lambda: len(self._items) < self._capacity or self._ended)

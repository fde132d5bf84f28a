"""A group of cameras in an actor on some node: captured and analysed there; results travel, pictures stay."""

from __future__ import annotations

import pickle
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rtface.cameras import Cameras
from rtface.cluster.connection import check_version
from rtface.errors import RtfaceError
from rtface.types import Event, FrameResult

KEPT = 8
"""Results of a camera that wait to be fetched: if nobody does, the oldest go."""


@dataclass(slots=True)
class Batch:
    """What a group has to tell since it was asked last.

    Attributes:
        results: With black pictures of no size, and what size theirs was (height, width).
        events: Of its cameras.
        now: The node's monotonic clock when this was sent; times of results and events are by it.
        node: Where the group is.
        error: Why it gives no more results; it is begun again.
    """

    results: list[tuple[FrameResult, tuple[int, int]]]
    events: list[Event]
    now: float
    node: str
    error: str | None = None


class CameraGroup:
    """Runs cameras on one set of networks; a Ray actor of several threads.

    Args:
        given: The sources (`NamedSource`) and the options, pickled.
        version: Of the rtface of the program that asks.
        node: What to call this place.

    Raises:
        UsageError: This node has another version.
    """

    def __init__(self, given: bytes, version: str) -> None:
        check_version(version)
        sources, options = pickle.loads(given)
        self._results: dict[str, deque[tuple[FrameResult, tuple[int, int]]]] = {}
        self._events: deque[Event] = deque(maxlen=500)
        self._changed = threading.Condition()
        self._error: str | None = None
        self._node = _node_name()
        self._cameras = Cameras(sources, options=replace(options, wait=True), on_event=self._note)
        self._thread = threading.Thread(target=self._run, name="rtface-cameras", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._cameras:
                for result in self._cameras:
                    shape = result.frame.image.shape[:2]
                    small = replace(result, frame=replace(result.frame, image=np.zeros((0, 0, 3), np.uint8)))
                    with self._changed:
                        self._results.setdefault(result.camera, deque(maxlen=KEPT)).append((small, shape))
                        self._changed.notify()
        except RtfaceError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self._fail("its cameras are over")

    def _fail(self, why: str) -> None:
        with self._changed:
            self._error = why
            self._changed.notify()

    def _note(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def take(self, timeout_s: float) -> Batch:
        """What there is to tell; waits so long where there is nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._error or any(self._results.values()), timeout_s)
            results = [one for kept in self._results.values() for one in kept]
            events = list(self._events)
            self._results.clear()
            self._events.clear()
            error = self._error
        return Batch(results, events, time.monotonic(), self._node, error)

    def enable(self, name: str, on: bool) -> None:
        """Switch a camera on or off."""
        self._cameras.enable(name, on)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Go on with another budget, or other tasks."""
        self._cameras.update(**changes)

    def stop(self) -> None:
        """Close the cameras."""
        self._cameras.stop()
        self._thread.join(10.0)


def at_head(batch: Batch, now: float) -> tuple[list[FrameResult], list[Event]]:
    """Results and events by the head's monotonic clock, which says `now`; the way here is not counted."""
    shift = now - batch.now
    events = [replace(event, at=event.at + shift) for event in batch.events]
    return [_moved(result, shape, shift) for result, shape in batch.results], events


def _moved(result: FrameResult, shape: tuple[int, int], shift: float) -> FrameResult:
    black = np.broadcast_to(np.uint8(0), (*shape, 3))
    taken = result.frame.captured_at
    frame = replace(result.frame, image=black, captured_at=None if taken is None else taken + shift)
    events = tuple(replace(event, at=event.at + shift) for event in result.events)
    return replace(result, frame=frame, events=events)


def _node_name() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())[:8]

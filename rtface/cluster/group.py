"""A group of cameras in an actor on some node: captured and analysed there; results travel, pictures when asked for.

An actor begins with its networks open and without cameras, and is told which are its own. So one that stands by takes
over a dead one's at once, and one that Ray has begun again opens nothing that was switched off or taken away meanwhile.
"""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rtface.analyzer import Analyzer
from rtface.cameras import Cameras
from rtface.capture.named import NamedSource
from rtface.cluster.connection import check_version
from rtface.errors import RtfaceError
from rtface.options import Options
from rtface.outputs.private import private_jpeg
from rtface.types import Event, FrameResult

KEPT = 8
"""Results of a camera that wait to be fetched: if nobody does, the oldest go."""

CLOCK_S = 10.0
"""How far a node's clock is behind is told by the answers of the last one or two such times."""

Packed = tuple[bytes, NamedSource]
"""A camera on its way: its source, pickled, and the rest. What is the same bytes as before is left as it is."""

Sent = tuple[FrameResult, "tuple[int, int]"]


@dataclass(slots=True)
class Batch:
    """What a group has to tell since it was asked last.

    Attributes:
        results: With black pictures of no size, and what size theirs was (height, width).
        events: Of its cameras.
        now: The node's monotonic clock when this was sent; times of results and events are by it.
        node: Where the group is.
        error: Why it gives no more results; it is begun again.
        number: Of the list of cameras that it has; 0 = it was begun just now and has none.
        ready: Its networks are open.
        pictures: Of the last result of cameras that somebody looks at: a JPEG, as it may leave.
    """

    results: list[Sent]
    events: list[Event]
    now: float
    node: str
    error: str | None = None
    number: int = 0
    ready: bool = False
    pictures: dict[str, bytes] = field(default_factory=dict)


class CameraGroup:
    """Runs cameras on one set of networks; a Ray actor of several threads.

    Args:
        given: The options, pickled.
        count: How many cameras there may be.
        version: Of the rtface of the program that asks.

    Raises:
        UsageError: This node has another version.
    """

    def __init__(self, given: bytes, count: int, version: str) -> None:
        check_version(version)
        self._options: Options = replace(pickle.loads(given), wait=True)
        self._count = max(count, 2)
        self._results: dict[str, deque[Sent]] = {}
        self._newest: dict[str, FrameResult] = {}
        self._events: deque[Event] = deque(maxlen=500)
        self._changed = threading.Condition()
        self._error: str | None = None
        self._node = _node_name()
        self._listing = threading.Lock()  # lists are taken over one after the other
        self._number, self._known = 0, dict[str, tuple[bytes, NamedSource]]()
        self._cameras: Cameras | None = None
        self._ready, self._stopping = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtface-cameras", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with Analyzer(self._options, streams=self._count) as analyzer:
                cameras = Cameras(options=self._options, on_event=self._note, analyzer=analyzer, stays=True)
                with cameras:
                    self._cameras = cameras
                    self._ready.set()
                    if self._stopping.is_set():
                        return
                    for result in cameras:
                        self._keep(result)
        except RtfaceError as error:
            self._fail(str(error))
        except Exception as error:
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self._fail("its cameras are over")
        finally:
            self._ready.set()

    def _keep(self, result: FrameResult) -> None:
        shape = result.frame.image.shape[:2]
        small = replace(result, frame=replace(result.frame, image=np.zeros((0, 0, 3), np.uint8)))
        with self._changed:
            self._results.setdefault(result.camera, deque(maxlen=KEPT)).append((small, shape))
            self._newest[result.camera] = result
            self._changed.notify()

    def _fail(self, why: str) -> None:
        with self._changed:
            self._error = why
            self._changed.notify()

    def _note(self, event: Event) -> None:
        with self._changed:
            self._events.append(event)
            self._changed.notify()

    def assign(self, number: int, cameras: Sequence[Packed], changes: Mapping[str, Any]) -> None:
        """Have these cameras from now on; returns when they are being opened.

        Args:
            number: Of this list: what comes late is not taken.
            cameras: All that it is to have.
            changes: Of the options, since the actor was made.
        """
        self._ready.wait()
        with self._listing:
            if self._cameras is None or number <= self._number:
                return
            if changes:
                self._cameras.update(**changes)
            self._cameras.relist([self._unpacked(*one) for one in cameras])
            self._number = number
            with self._changed:
                for name in self._newest.keys() - {spec.name for _, spec in cameras}:
                    del self._newest[name]

    def _unpacked(self, source: bytes, spec: NamedSource) -> NamedSource:
        before, found = self._known.get(spec.name, (b"", spec))
        found = replace(spec, source=found.source if before == source else pickle.loads(source))
        self._known[spec.name] = source, found
        return found

    def take(self, timeout_s: float, looked_at: Mapping[str, str] | None = None) -> Batch:
        """What there is to tell; waits so long where there is nothing.

        Args:
            timeout_s: Seconds.
            looked_at: Cameras whose picture somebody looks at, and the mode of privacy that it is shown in.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._events or self._error or any(self._results.values()), timeout_s)
            results = [one for kept in self._results.values() for one in kept]
            shown = {name: self._newest[name] for name in looked_at or () if self._results.get(name)}
            events = list(self._events)
            self._results.clear()
            self._events.clear()
            error = self._error
        made = {name: private_jpeg(one, (looked_at or {})[name]) for name, one in shown.items()}
        pictures = {name: picture for name, picture in made.items() if picture is not None}
        ready = self._ready.is_set()
        return Batch(results, events, time.monotonic(), self._node, error, self._number, ready, pictures)

    def update(self, changes: Mapping[str, Any]) -> None:
        """Go on with another budget, or other tasks."""
        self._ready.wait()
        if self._cameras is not None:
            self._cameras.update(**changes)

    def stop(self) -> None:
        """Close the cameras."""
        self._stopping.set()
        if self._cameras is not None:
            self._cameras.stop()
        self._thread.join(10.0)


def packed(spec: NamedSource) -> Packed:
    """A camera for its way to a group."""
    return pickle.dumps(spec.source), replace(spec, source=0)


class NodeClock:
    """How far the head's monotonic clock is ahead of a node's.

    What came quickest of late was under way for the shortest time, and tells most nearly. By each answer alone a frame
    could seem to be older than the one before it, and whoever counts visitors would begin anew.
    """

    def __init__(self) -> None:
        self._least = self._before = math.inf
        self._since = -math.inf

    def ahead_s(self, batch: Batch, now: float) -> float:
        """Seconds, told by an answer that came `now`, and those before it."""
        if now - self._since > CLOCK_S:  # the clocks drift, and one may have been asleep
            self._before, self._least, self._since = self._least, math.inf, now
        self._least = min(self._least, now - batch.now)
        return min(self._before, self._least)


def at_head(batch: Batch, ahead_s: float) -> tuple[list[FrameResult], list[Event]]:
    """Results and events by the head's monotonic clock, which is so far ahead of the node's."""
    events = [replace(event, at=event.at + ahead_s) for event in batch.events]
    return [_moved(result, shape, ahead_s) for result, shape in batch.results], events


def _moved(result: FrameResult, shape: tuple[int, int], shift: float) -> FrameResult:
    black = np.broadcast_to(np.uint8(0), (*shape, 3))
    taken = result.frame.captured_at
    frame = replace(result.frame, image=black, captured_at=None if taken is None else taken + shift)
    events = tuple(replace(event, at=event.at + shift) for event in result.events)
    return replace(result, frame=frame, events=events)


def _node_name() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())[:8]

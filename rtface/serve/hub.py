"""What the analysis tells and the server asks: the newest result of each camera, events, the audience."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, NamedTuple

from rtface.audience.events import Audience, other_events
from rtface.audience.publish import WindowPublisher
from rtface.audience.rules import AudienceOptions
from rtface.audience.visits import Visit
from rtface.audience.windows import bounds, window_of, windows
from rtface.outputs.records import event_record
from rtface.outputs.sink import RunInfo, Sink
from rtface.serve.metrics import Metrics
from rtface.system.http_server import Bell
from rtface.types import Event, FrameResult

#: Results that the hub's thread may lag behind; more are left out of the audience, not of the analysis.
INBOX = 256
#: Events that are remembered, and how many of them a newcomer is told.
EVENTS, FIRST_EVENTS = 500, 50
#: Windows of aggregate mode that are told.
PUBLISHED = 48
#: Points of the timeline, and the least time between two, s.
TIMELINE, TIMELINE_S = 600, 0.1
#: A camera that gave nothing for so long is down.
DOWN_S = 5.0
FPS_WEIGHT = 0.1


class Told(NamedTuple):
    """An event as subscribers get it."""

    number: int
    kind: str
    record: dict[str, Any]


@dataclass(slots=True)
class Camera:
    """What is known of one source now.

    Attributes:
        name: Of the source.
        newest: The newest result and its number, which grows with every result; together, so that readers in other
            threads never get one with the other's number.
        updated_at: Monotonic seconds of the newest.
        fps: Results in a second, lately.
        up: The source gives frames.
        off: It was switched off.
        why: Why it does not.
        timeline: Time since 1970, age in ms, level and faces of results.
    """

    name: str
    newest: tuple[int, FrameResult | None] = (0, None)
    updated_at: float = 0.0
    fps: float = 0.0
    up: bool = False
    off: bool = False
    why: str = "no frame yet"
    timeline: deque[tuple[float, float, int, int]] = field(default_factory=lambda: deque(maxlen=TIMELINE))

    @property
    def sequence(self) -> int:
        """The number of the newest result; 0 before the first."""
        return self.newest[0]

    @property
    def result(self) -> FrameResult | None:
        """The newest result."""
        return self.newest[1]


class Hub:
    """Between one analysis (or several) and one server.

    Args:
        privacy: "full", "blur" or "aggregate".
        rules: What counts as a visit, a look, a smile.
        clock: Seconds since 1970, for tests.
    """

    def __init__(
        self,
        *,
        privacy: str = "full",
        rules: AudienceOptions | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.privacy, self._clock = privacy, clock
        self.cameras: dict[str, Camera] = {}
        self.events: deque[Told] = deque(maxlen=EVENTS)
        self.metrics = Metrics()
        self._visits: list[Visit] = []
        self._audience = Audience(rules, on_visit=self._note_visit, live=True)
        self._publisher = WindowPublisher()
        self.published: deque[dict[str, Any]] = deque(maxlen=PUBLISHED)
        self._inbox: deque[tuple[str, FrameResult]] = deque(maxlen=INBOX)
        self._arrived = threading.Event()
        self._lock = threading.Lock()  # of the audience and the visits
        self.stopped = False
        self._number = 0
        self._bell = Bell()
        self.until = self._bell.until
        self._thread = threading.Thread(target=self._work, name="rtface-hub", daemon=True)
        self._thread.start()

    # From the analysis' side.

    def add(self, camera: str) -> None:
        """A camera that will come, or that is switched on again."""
        self.cameras.setdefault(camera, Camera(camera)).off = False
        self.metrics.up.labels(camera).set(0)

    def remove(self, camera: str) -> None:
        """A camera that is no more."""
        self.cameras.pop(camera, None)
        self.metrics.forget(camera)
        self._bell.ring()

    def put(self, camera: str, result: FrameResult) -> None:
        """A result; returns at once."""
        self._inbox.append((camera, result))
        self._arrived.set()

    def note(self, camera: str, event: Event) -> None:
        """Something happened to a source."""
        one = self.cameras.get(camera)
        if one is None:
            return
        if event.kind in ("source_lost", "source_awaited", "camera_failed", "camera_off"):
            one.off = event.kind == "camera_off"
            self.down(camera, event.what)
        elif event.kind == "source_back":
            one.up, one.why = True, ""
            self.metrics.up.labels(camera).set(1)
        self._tell(camera, event)
        if event.kind == "camera_removed":
            self.remove(camera)

    def down(self, camera: str, why: str) -> None:
        """A source gives no more frames."""
        one = self.cameras.get(camera)
        if one is None:
            return
        one.up, one.why = False, why
        self.metrics.up.labels(camera).set(0)
        self._bell.ring()

    def close(self) -> None:
        """The end: the hub's thread stops."""
        self.stopped = True
        self._arrived.set()
        self._thread.join(5.0)
        self._bell.stop()

    # The hub's thread.

    def _work(self) -> None:
        while not self.stopped:
            self._arrived.wait(0.5)
            self._arrived.clear()
            while self._inbox:
                self._take(*self._inbox.popleft())
            self._idle()

    def _take(self, name: str, result: FrameResult) -> None:
        now = time.monotonic()
        camera = self.cameras.get(name)
        if camera is None:  # removed meanwhile
            return
        if camera.result is not None and now > camera.updated_at:
            # Of intervals, not of rates: two results at once are no thousand a second.
            before, interval_s = 1.0 / camera.fps if camera.fps else 0.0, now - camera.updated_at
            camera.fps = 1.0 / (before + FPS_WEIGHT * (interval_s - before) if before else interval_s)
        camera.updated_at = now
        if not camera.off:
            camera.up, camera.why = True, ""
        utc = self._clock() - (now - result.captured_at)
        if not camera.timeline or utc - camera.timeline[-1][0] >= TIMELINE_S:
            camera.timeline.append((utc, result.timing.age_ms, result.level, len(result.faces)))
        self.metrics.add(name, result, aggregate=self.privacy == "aggregate")
        with self._lock:
            events = self._audience.observe(result, at=result.captured_at, utc=utc)
        for event in (*other_events(result), *events):
            self._tell(name, event)
        camera.newest = (camera.sequence + 1, result)
        self._bell.ring()

    def _idle(self) -> None:
        now = time.monotonic()
        silent = [camera for camera in list(self.cameras.values()) if camera.up and now - camera.updated_at > DOWN_S]
        for camera in silent:
            self.down(camera.name, f"no frame for {DOWN_S:.0f} s")
        self._end_visits(now)
        for window, record in self._publisher.close(self._clock()) if self.privacy == "aggregate" else ():
            self.published.append(record)
            self._append("window", {"kind": "window", **record, "span": window.span})

    def _end_visits(self, now: float) -> None:
        """A person who was before a camera that gives no more frames leaves."""
        up = {camera.name for camera in list(self.cameras.values()) if camera.up}
        with self._lock:
            # A run of one source does not name it.
            silent = [name for name in self._audience.cameras if (name not in up if name else not up)]
            events = [event for name in silent for event in self._audience.tick(now, name)]
        for event in events:
            self._tell(event.camera or next(iter(self.cameras), ""), event)

    def _note_visit(self, visit: Visit) -> None:
        self.metrics.visits.labels(visit.camera).inc()
        self.metrics.attention.labels(visit.camera).inc(visit.attention_s)
        if self.privacy == "aggregate":
            self._publisher.add(visit)
            return
        today, _ = bounds(self._clock(), "1d")
        if self._visits and self._visits[0].started_at < today:
            self._visits = [one for one in self._visits if one.started_at >= today]
        self._visits.append(visit)

    def _tell(self, camera: str, event: Event) -> None:
        self.metrics.events.labels(camera, event.kind).inc()
        if self.privacy == "aggregate" and not event.kind.startswith("source_"):
            return
        utc = self._clock() - max(time.monotonic() - event.at, 0.0)
        time_text = datetime.fromtimestamp(utc, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._append(event.kind, {**event_record(event), "camera": camera, "time": time_text})

    def _append(self, kind: str, record: dict[str, Any]) -> None:
        self._number += 1
        self.events.append(Told(self._number, kind, record))
        self._bell.ring()

    # The server's side.

    @property
    def ready(self) -> bool:
        """Whether every source that is on has given a result and goes on."""
        on = [one for one in list(self.cameras.values()) if not one.off]
        return bool(on) and all(one.up and one.result is not None for one in on)

    def audience(self) -> dict[str, Any]:
        """Who is here now, and today's figures; in aggregate mode only windows that may be told."""
        if self.privacy == "aggregate":
            return {"privacy": self.privacy, "published": list(self.published)}
        with self._lock:
            present = self._audience.present()
            now = {
                "present": len(present),
                "looking": sum(one.looking for one in present),
                "visitors": [
                    {
                        **({"camera": one.camera} if one.camera else {}),
                        "track_id": one.track_id,
                        "looking": one.looking,
                        "near": one.near,
                        "dwell_s": round(one.dwell_s, 1),
                        "attention_s": round(one.attention_s, 1),
                    }
                    for one in present
                ],
            }
            visits = list(self._visits)
        start, end = bounds(self._clock(), "1d")
        today = window_of(visits, "", "1d", start, end)
        hours = [window.to_dict() for window in windows(visits, "1h")]
        return {"privacy": self.privacy, "now": now, "today": today.to_dict(), "hours": hours}

    def since(self, number: int | None) -> list[Told]:
        """The events after that one; of None the latest few."""
        events = list(self.events)
        return events[-FIRST_EVENTS:] if number is None else [one for one in events if one.number > number]


class HubSink(Sink):
    """Hands each result of a stream to the hub."""

    own_thread = False  # it only appends
    picture = "original"  # a viewer's is blurred when one looks
    tells_groups_only = True  # in that mode

    def __init__(self, hub: Hub, camera: str) -> None:
        self.name = f"serve {camera}"
        self._hub, self._camera = hub, camera

    def open(self, info: RunInfo) -> None:
        self._hub.add(self._camera)

    def write(self, result: FrameResult) -> None:
        self._hub.put(self._camera, result)

    def idle(self) -> None:
        """The hub notices by itself."""

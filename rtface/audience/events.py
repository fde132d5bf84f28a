"""From results to visits and events, live or after the fact."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from rtface.audience.rules import AudienceOptions
from rtface.audience.visits import OpenVisit, Visit
from rtface.types import Event, FrameResult

#: What the audience makes, beside emotion_onset, emotion_offset, source_lost and source_back of a stream.
KINDS = ("arrived", "left", "look_start", "look_end", "smile", "nobody", "someone")


def other_events(result: FrameResult) -> tuple[Event, ...]:
    """The events of a result that no audience made, for an output that observes it with an audience of its own."""
    return tuple(event for event in result.events if event.kind not in KINDS)


class Audience:
    """Who is here, who looks, and for how long. One for a stream, or for all cameras of a box.

    Use this when you want events and counts rather than faces. Nothing of a face outlives its visit.

    Args:
        options: What counts as a visit, a look, a smile; None = the defaults.
        on_event: Called with each event, in the thread that observes; must be quick.
        on_visit: Called with each visit that is over.
        live: Frames' time is that of their grab; False = the file's own where it has one; None = the file's own
            where it has one, unless `events` is given a stream, which knows.

    Example:
        >>> import rtface
        >>> with rtface.live("demo", max_frames=60) as stream:  # 0 for a camera
        ...     for event in rtface.Audience().events(stream):
        ...         print(event.kind, event.track_id)
        arrived 1
        look_start 1
        ...
        nobody None
    """

    def __init__(
        self,
        options: AudienceOptions | None = None,
        *,
        on_event: Callable[[Event], None] | None = None,
        on_visit: Callable[[Visit], None] | None = None,
        live: bool | None = None,
    ) -> None:
        self.options = options or AudienceOptions()
        self._on_event, self._on_visit, self._live = on_event, on_visit, live
        self._cameras: dict[str, _Camera] = {}

    def events(self, stream: Iterable[FrameResult]) -> Iterator[Event]:
        """The events of a stream, one after the other; at its end those of visits that it cut off."""
        if self._live is None:
            self._live = getattr(stream, "is_live", None)
        for result in stream:
            yield from self.observe(result)
        yield from self.finish()

    def observe(self, result: FrameResult, *, at: float | None = None, utc: float | None = None) -> tuple[Event, ...]:
        """What happened by this result.

        Args:
            result: The next one of its camera.
            at: The frame's time in seconds; None = the grab's or the file's, see `live`.
            utc: That in seconds since 1970; None = by the clocks of this machine.
        """
        name = result.camera
        if name not in self._cameras:
            self._cameras[name] = _Camera(name, self.options)
        if at is None:
            at = self.time_of(result)
        if utc is None and result.time is not None:
            utc = result.time.timestamp()
        if utc is None:
            utc = time.time() - time.monotonic() + result.captured_at
        return self._told(name, *self._cameras[name].observe(result, at, utc))

    def tick(self, at: float, camera: str | None = None) -> tuple[Event, ...]:
        """No frame came by `at` seconds, from one camera or from all: visits whose grace is over end."""
        if camera is not None:
            known = self._cameras.get(camera)
            return () if known is None else self._told(camera, *known.tick(at))
        return self._each(lambda one: one.tick(at))

    def finish(self) -> tuple[Event, ...]:
        """The stream is over, and with it every visit."""
        return self._each(_Camera.finish)

    def time_of(self, result: FrameResult) -> float:
        """The frame's time in seconds, that events are dated by."""
        frame = result.frame
        return result.captured_at if self._live or frame.media_time is None else frame.media_time

    def present(self, camera: str | None = None) -> tuple[OpenVisit, ...]:
        """The visits of now, of one camera or of all; those in their grace are among them."""
        cameras = self._cameras.values() if camera is None else [self._cameras[camera]]
        return tuple(visit for one in cameras for visit in one.visits.values() if visit.confirmed)

    @property
    def cameras(self) -> tuple[str, ...]:
        """Names of the cameras that results came from."""
        return tuple(self._cameras)

    @property
    def looking(self) -> int:
        """How many look now."""
        return sum(visit.looking for visit in self.present())

    def _each(self, step: Callable[[_Camera], tuple[list[Event], list[Visit]]]) -> tuple[Event, ...]:
        return tuple(event for name, camera in self._cameras.items() for event in self._told(name, *step(camera)))

    def _told(self, camera: str, events: list[Event], visits: list[Visit]) -> tuple[Event, ...]:
        if camera:
            events = [replace(event, camera=camera) for event in events]
        if self._on_event is not None:
            for event in events:
                self._on_event(event)
        if self._on_visit is not None:
            for visit in visits:
                self._on_visit(visit)
        return tuple(events)


class _Camera:
    """The visits before one camera."""

    def __init__(self, name: str, rules: AudienceOptions) -> None:
        self._name, self._rules = name, rules
        self.visits: dict[int, OpenVisit] = {}
        self._at = -math.inf
        self._someone = False

    def observe(self, result: FrameResult, at: float, utc: float) -> tuple[list[Event], list[Visit]]:
        events: list[Event] = []
        ended: list[Visit] = []
        if at < self._at:  # a file that begins again, a clock set back
            events, ended = self.finish()
        before, self._at = self._at, at
        height, width = result.frame.image.shape[:2]
        since = (before + at) / 2 if at - before <= self._rules.max_gap_s else at
        seen = {face.track_id: face for face in result.faces if face.track_id is not None}
        for track_id, face in seen.items():
            x0, y0, x1, y1 = face.box_xyxy.tolist()
            if track_id not in self.visits:
                if face.predicted or max(x1 - x0, y1 - y0) < self._rules.min_face_px:
                    continue
                self.visits[track_id] = OpenVisit(track_id, self._name, since, utc - at + since, self._rules)
            elif self.visits[track_id].is_over(at):  # back after its grace: another visit
                continue
            events += self._arrivals(self.visits[track_id].see(at, face, (width, height), since))
        for track_id in self.visits.keys() - seen.keys():
            events += self.visits[track_id].miss(at)
        more, visits = self._close_over(at)
        return events + more, ended + visits

    def _arrivals(self, events: list[Event]) -> list[Event]:
        if not self._someone and any(event.kind == "arrived" for event in events):
            self._someone = True
            first = next(event for event in events if event.kind == "arrived")
            return [*events, Event("someone", first.at, "")]
        return events

    def tick(self, at: float) -> tuple[list[Event], list[Visit]]:
        events = [event for visit in self.visits.values() for event in visit.miss(at)]
        more, visits = self._close_over(at)
        return events + more, visits

    def finish(self) -> tuple[list[Event], list[Visit]]:
        return self._close_over(math.inf)

    def _close_over(self, at: float) -> tuple[list[Event], list[Visit]]:
        events: list[Event] = []
        visits: list[Visit] = []
        for visit in [visit for visit in self.visits.values() if visit.is_over(at)]:
            last, closed = self.visits.pop(visit.track_id).close()
            events += last
            if closed is not None:
                visits.append(closed)
        if self._someone and not any(visit.confirmed for visit in self.visits.values()):
            self._someone = False
            events.append(Event("nobody", max((visit.last_seen for visit in visits), default=at), ""))
        return events, visits

"""A person's visit before a camera: as it goes, and what is left of it when it is over."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rtface.audience.attention import Change, LookMeter, Spells, measured
from rtface.audience.rules import AudienceOptions
from rtface.labels import EMOTIONS
from rtface.types import Event, Face

#: The heat map's cells, over the frame's width and height.
GRID_WH = (32, 18)
#: An emotion other than neutral is a visit's strongest when it was shown for so long.
EMOTION_S = 0.5
#: Of `smile_score`, where a smile is over.
SMILE_LEAVES = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One person before one camera: no picture, no embedding, no shape.

    Use this when you count people and how long they looked: ``on_visit`` of `rtface.Audience`, ``-o visits.db``.

    Attributes:
        track_id: The tracker's number, which means nothing after the visit.
        camera: Which camera, or empty where there is one.
        first_seen, last_seen: Seconds of the frames' own time.
        started_at: When it began, in seconds since 1970 (UTC).
        dwell_s: How long the face was in view.
        attention_s: How much of that the person looked at the screen, in looks of at least `look_start_s`.
        looks: How many looks those were; a visit with one or more is a watcher.
        smiles: How many smiles began.
        emotion: The one other than neutral that was shown longest, half a second at least; else neutral; None where
            emotions were not worked out.
        near: Whether the face was ever as large as `near_px`.
        cells: Cell of the heat map (row × 32 + column) → seconds there.

    Example:
        >>> import rtface
        >>> visits: list[rtface.Visit] = []
        >>> audience = rtface.Audience(on_visit=visits.append)
        >>> with rtface.live("demo", max_frames=60) as stream:
        ...     events = list(audience.events(stream))
        >>> len(visits), visits[0].dwell_s > 1
        (1, True)
    """

    track_id: int
    camera: str = ""
    first_seen: float
    last_seen: float
    started_at: float
    dwell_s: float
    attention_s: float
    looks: int
    smiles: int
    emotion: str | None
    near: bool
    cells: Mapping[int, float] = field(default_factory=dict)

    @property
    def is_watcher(self) -> bool:
        """Whether the person looked at least once."""
        return self.looks > 0


class OpenVisit:
    """A visit that is not over.

    Args:
        track_id: The tracker's number.
        camera: Which camera.
        since: When the face came, in seconds of the frames' time.
        started_at: That in seconds since 1970.
    """

    def __init__(self, track_id: int, camera: str, since: float, started_at: float, rules: AudienceOptions) -> None:
        self.track_id, self.camera, self.since, self._started_at = track_id, camera, since, started_at
        self._rules = rules
        self.confirmed = False
        self.near = False
        self.last_seen = self._until = since
        self._dwell_s = 0.0
        self._look = LookMeter(rules)
        self._smile = Spells(rules.look_start_s, rules.look_end_s, rules.max_gap_s)
        self._emotions: defaultdict[str, float] = defaultdict(float)
        self._emotion: str | None = None
        self._emotion_at = -math.inf
        self._cells: defaultdict[int, float] = defaultdict(float)
        self._pending: list[Event] = []  # until the visit is one

    @property
    def looking(self) -> bool:
        """Whether the person looks now."""
        return self._look.spells.on

    @property
    def attention_s(self) -> float:
        """Seconds of looking so far."""
        return self._look.spells.seconds

    @property
    def dwell_s(self) -> float:
        """Seconds in view so far."""
        return self._dwell_s

    def see(self, at: float, face: Face, size_wh: tuple[int, int], since: float) -> list[Event]:
        """The face on a frame of `size_wh` px at `at` seconds; if it is back, it is so `since` then."""
        if face.predicted:
            return self.miss(at)
        x0, y0, x1, y1 = face.box_xyxy.tolist()
        seconds = at - self.last_seen
        if seconds > self._rules.max_gap_s:
            seconds = self._until - self.last_seen + at - since
        self._dwell_s += seconds
        self._cells[_cell((x0 + x1) / 2 / size_wh[0], (y0 + y1) / 2 / size_wh[1])] += seconds
        self.last_seen = self._until = at
        self.near = self.near or max(x1 - x0, y1 - y0) >= self._rules.near_px
        events: list[Event] = []
        if not self.confirmed and at - self.since >= self._rules.arrive_s:
            self.confirmed = True
            events.append(self._event("arrived", self.since, "near" if self.near else "far"))
        self._pending += self._looks(self._look.see(at, face, size_wh[0]))
        self._pending += self._smiles(at, face)
        self._note_emotion(at, face)
        return events + self._take()

    def miss(self, at: float) -> list[Event]:
        """The face is not to be seen on the frame at `at` seconds; its grace runs."""
        if self._until == self.last_seen and at - self.last_seen <= self._rules.max_gap_s:
            self._until = (self.last_seen + at) / 2
        self._pending += self._looks(self._look.spells.unseen(at))
        self._smile.unseen(at)
        return self._take()

    def is_over(self, at: float) -> bool:
        """Whether its grace is over at `at` seconds."""
        return at - self.last_seen > (self._rules.grace_s if self.confirmed else self._rules.max_gap_s)

    def close(self) -> tuple[list[Event], Visit | None]:
        """The last events, and the visit; None where it was too short to be one."""
        self._pending += self._looks(self._look.spells.finish())
        if not self.confirmed:
            return [], None
        dwell_s = self._dwell_s + self._until - self.last_seen
        left = self._event("left", self._until, "near" if self.near else "far", dwell_s)
        visit = Visit(
            track_id=self.track_id,
            camera=self.camera,
            first_seen=self.since,
            last_seen=self._until,
            started_at=self._started_at,
            dwell_s=dwell_s,
            attention_s=min(self.attention_s, dwell_s),
            looks=self._look.spells.count,
            smiles=self._smile.count,
            emotion=self._strongest(),
            near=self.near,
            cells=dict(self._cells),
        )
        return [*self._take(), left], visit

    def _take(self) -> list[Event]:
        if not self.confirmed:
            return []
        events, self._pending = self._pending, []
        return events

    def _looks(self, changes: list[Change]) -> list[Event]:
        return [
            self._event("look_start", change.at, self._look.by)
            if change.began
            else self._event("look_end", change.at, self._look.by, change.seconds)
            for change in changes
        ]

    def _smiles(self, at: float, face: Face) -> list[Event]:
        score = _smile(face, self._rules)
        if score is None:
            self._smile.unseen(at)
            return []
        limit = self._rules.smile_score * (SMILE_LEAVES if self._smile.holds else 1.0)
        changes = self._smile.measure(at, score >= limit)
        return [self._event("smile", change.at, "") for change in changes if change.began]

    def _note_emotion(self, at: float, face: Face) -> None:
        if face.emotion is None or not measured(face, self._rules, "emotion"):
            return
        gap = at - self._emotion_at
        if self._emotion is not None and gap <= self._rules.max_gap_s:
            self._emotions[self._emotion] += gap
        self._emotion, self._emotion_at = face.emotion.label, at

    def _strongest(self) -> str | None:
        if self._emotion is None:
            return None
        shown = [(seconds, label) for label, seconds in self._emotions.items() if label != "neutral"]
        seconds, label = max(shown, default=(0.0, "neutral"))
        return label if seconds >= EMOTION_S else "neutral"

    def _event(self, kind: str, at: float, what: str, duration_s: float | None = None) -> Event:
        return Event(kind, at, what, self.track_id, duration_s)


def _cell(x: float, y: float) -> int:
    """Of the heat map, for a place in shares of the frame."""
    column, row = (min(max(int(n * share), 0), n - 1) for n, share in zip(GRID_WH, (x, y), strict=True))
    return row * GRID_WH[0] + column


def _smile(face: Face, rules: AudienceOptions) -> float | None:
    if face.expression is not None:
        return face.expression.smile if measured(face, rules, "expression") else None
    if face.emotion is None or not measured(face, rules, "emotion"):
        return None
    return float(face.emotion.probs[EMOTIONS.index("happiness")])

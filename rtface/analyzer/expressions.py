"""Expressions along tracks: measured against how each face is at rest, and their blinks."""

from __future__ import annotations

from collections.abc import Collection

from rtface.smooth import BlinkMeter, RunningNeutral
from rtface.tasks.expression import COMMON_REST, REST_SPREAD, at_rest_of, measured_against
from rtface.types import Event, Expression


class _Track:
    def __init__(self) -> None:
        self.neutral = RunningNeutral(COMMON_REST, REST_SPREAD)
        self.blinks = BlinkMeter()


class Expressions:
    """The resting face and the blinks of every face in a stream; times in seconds."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}
        self._events: list[Event] = []

    def __call__(self, track_id: int, value: Expression, at: float) -> Expression:
        """The expression of a track on a frame, its plain numbers beginning where this face is at rest."""
        track = self._tracks.setdefault(track_id, _Track())
        left, right, smile = at_rest_of(value.coefficients)
        rest = track.neutral((left, right, smile), at)
        measured = measured_against(value.coefficients, *rest.tolist())
        for blink in track.blinks(left, right, at):
            self._events.append(Event("blink", blink.at, blink.eye, track_id, duration_s=blink.duration_s))
        return measured

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every face that is not among these."""
        for gone in self._tracks.keys() - set(track_ids):
            del self._tracks[gone]

    def take_events(self) -> tuple[Event, ...]:
        """Blinks since the last call, dated to when the eyes shut."""
        events, self._events = tuple(self._events), []
        return events

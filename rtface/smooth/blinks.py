"""Blinks of one face, from how open its eyes are."""

from __future__ import annotations

from dataclasses import dataclass

SHUT, OPEN = 0.55, 0.7
"""Below the first an eye is shut, above the second it is open again (shares of how open it usually is)."""

ALONG = 0.75
"""An eye that is less open than this while the other one shuts, blinks with it."""

LONGEST_S = 0.8
"""Eyes that stay shut for longer are closed, not blinking."""

MAX_GAP_S = 0.25
"""Two measurements further apart say nothing of the time between them."""


@dataclass(frozen=True, slots=True)
class Blink:
    """Which eye ("both", "left", "right"), when it shut (seconds) and for how long."""

    eye: str
    at: float
    duration_s: float


class BlinkMeter:
    """Tells blinks of a face; an eye is shut from half way between two measurements to half way between two."""

    def __init__(self) -> None:
        self._at = -float("inf")
        self._since: list[float | None] = [None, None]  # when the left and the right eye shut
        self._shut_for: list[tuple[float, float] | None] = [None, None]  # spells that ended and are not told yet
        self._least = [1.0, 1.0]  # how open each was at least, since one of them shut

    def __call__(self, left: float, right: float, at: float) -> list[Blink]:
        """Blinks that ended with this measurement: how open the eyes are at `at` seconds."""
        gap = at - self._at
        if not 0.0 < gap <= MAX_GAP_S:
            self._since, self._shut_for = [None, None], [None, None]
            gap = 0.0
        between, self._at = at - gap / 2.0, at
        for eye, openness in enumerate((left, right)):
            since = self._since[eye]
            if since is None and openness < SHUT:
                self._since[eye] = between
            elif since is not None and openness > OPEN:
                self._since[eye], self._shut_for[eye] = None, (since, between)
        self._least = [min(least, now) for least, now in zip(self._least, (left, right), strict=True)]
        if any(since is not None for since in self._since):
            return []  # the other eye may open a frame later
        told, self._least = self._told(), [1.0, 1.0]
        return told

    def _told(self) -> list[Blink]:
        (left, right), self._shut_for = self._shut_for, [None, None]
        spells = [spell for spell in (left, right) if spell is not None]
        if not spells:
            return []
        eye = "both" if max(self._least) < ALONG else "left" if left is not None else "right"
        began, ended = min(spell[0] for spell in spells), max(spell[1] for spell in spells)
        return [Blink(eye, began, ended - began)] if ended - began <= LONGEST_S else []

"""Blinks of one face, from how shut its eyes look.

How far a network sees lids move differs from face to face (dark skin, hair, glasses) by more than half shut eyes differ
from open ones. So a blink is what a blink does: both eyes look more shut than they just did, by more than they
trembled before, within a moment, and are open again soon. Eyes that look down stay down; they do not come back.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from statistics import median

RISE = 1.0
"""What the logit of shut eyes rises by at least, mean of both eyes: from .06 to .15, from .2 to .4."""

TREMBLE = 3.0
"""And at least so many times what it differed by before (standard deviations, by the median)."""

AT_ONCE, WITHIN_S = 0.5, 0.2
"""So much of the rise comes within so many seconds; a smile comes slower."""

BEFORE_S, ENOUGH = (0.1, 0.9), 5
"""How long ago the eyes looked as they look when open, seconds; and how many measurements there have to be."""

OPEN_SHARE = 0.6
"""Of these so many, the less shut ones, are of open eyes: the rest may be another blink."""

LONGEST_S = 0.5
"""Eyes that stay shut for longer are closed, or look down."""

MAX_GAP_S = 0.25
"""Two measurements further apart say nothing of the time between them."""

ALONE = 0.35
"""An eye that moves by less than this share of the other stays out of it."""


@dataclass(frozen=True, slots=True)
class Blink:
    """Which eye ("both", "left", "right"), when it shut (seconds) and for how long."""

    eye: str
    at: float
    duration_s: float


@dataclass(slots=True)
class _Dip:
    """Eyes that may blink: since when, the logits of open eyes and of the most shut ones, (left, right)."""

    since: float
    open: tuple[float, float]
    shut: tuple[float, float]


class BlinkMeter:
    """Tells blinks of a face; an eye is shut from half way between two measurements to half way between two.

    >>> meter = BlinkMeter()
    >>> shut = [0.06] * 12 + [0.3, 0.4, 0.2] + [0.06] * 3
    >>> [(blink.eye, round(blink.duration_s, 2)) for i, s in enumerate(shut) for blink in meter(s, s, i / 25)]
    [('both', 0.12)]
    """

    def __init__(self) -> None:
        self._at = -math.inf
        self._seen: deque[tuple[float, float, float]] = deque()  # of the last BEFORE_S: when, logits left and right
        self._dip: _Dip | None = None

    def __call__(self, left: float, right: float, at: float) -> list[Blink]:
        """Blinks that ended with this measurement: how shut the eyes look (0..1, eyeBlink) at `at` seconds."""
        gap = at - self._at
        if not 0.0 < gap <= MAX_GAP_S:
            self._forget()
            gap = 0.0
        between, self._at = at - gap / 2.0, at
        now = (_logit(left), _logit(right))
        told: list[Blink] = []
        if self._dip is None:
            open_ = self._open_before(now, at)
            if open_ is not None:
                self._dip = _Dip(between, open_, now)
                return []
        else:
            told = self._going_on(self._dip, now, between)
            if self._dip is not None:
                return []
        self._seen.append((at, *now))
        while at - self._seen[0][0] > BEFORE_S[1]:
            self._seen.popleft()
        return told

    def _forget(self) -> None:
        self._seen.clear()
        self._dip = None

    def _open_before(self, now: tuple[float, float], at: float) -> tuple[float, float] | None:
        """Logits of the open eyes, if these look shut beside them."""
        height = sum(now) / 2
        just = ((left + right) / 2 for since, left, right in self._seen if at - since <= WITHIN_S)
        rise = height - min(just, default=height)
        if rise < RISE / 2:
            return None
        before = [(left, right) for since, left, right in self._seen if at - since >= BEFORE_S[0]]
        if len(before) < ENOUGH:
            return None
        before.sort(key=sum)
        means = [(left + right) / 2 for left, right in before]
        open_ = before[: max(ENOUGH, round(OPEN_SHARE * len(before)))]
        level = median(means[: len(open_)])
        trembles = 1.48 * median(abs(mean - level) for mean in means)
        if height - level <= max(RISE, TREMBLE * trembles) or rise < AT_ONCE * (height - level):
            return None
        return median(left for left, _ in open_), median(right for _, right in open_)

    def _going_on(self, dip: _Dip, now: tuple[float, float], between: float) -> list[Blink]:
        dip.shut = max(dip.shut[0], now[0]), max(dip.shut[1], now[1])
        level, most = sum(dip.open) / 2, sum(dip.shut) / 2
        duration = between - dip.since
        if sum(now) / 2 < (level + most) / 2:
            self._dip = None
            left, right = (max(shut - open_, 0.0) for shut, open_ in zip(dip.shut, dip.open, strict=True))
            eye = "left" if right < ALONE * left else "right" if left < ALONE * right else "both"
            return [Blink(eye, dip.since, duration)] if duration <= LONGEST_S else []
        if duration > LONGEST_S:
            self._forget()  # this is how the eyes look now
        return []


def _logit(share: float) -> float:
    share = min(max(share, 0.01), 0.99)
    return math.log(share / (1.0 - share))

"""Faces that were lost a moment ago: who comes back gets the old id."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.track.face_shape import descriptor_distance
from rtface.track.track import Track

REMEMBER_SECONDS = 3.0
"""A face that went out of sight within the picture, behind somebody or something, is known again for so long."""

OUTSIDE_SECONDS = 1.5
"""The same for one that left the picture: later it is more likely that another person comes in there."""

REACH = 0.5
"""A face is known again within this many sides of its way, straight on from where it was lost …"""

REACH_PER_SECOND = 0.5
"""… and this much more for each second since."""

STOPPED = 0.25
"""Weight of being that much short of where it would be by now: who walked has more likely walked on than stopped."""

RATIO = 1.7
"""It has grown or shrunk by no more than this."""

ALIKE = 0.04
"""Shapes that differ by this weigh as much as places a side of the crop apart. They count little: who comes out
from behind something is half hidden at first, and then differs from himself by up to 0.08."""

WAIT_SECONDS = 0.4
"""Beside another face, where it may be half hidden, a newcomer who may be one of two waits for so long at most …"""

CLOSE = 1.0
"""… while the costs of the two differ by less than this."""

STRANGE = 0.1
"""Shapes that differ by more are other people's."""


class ReId:
    """Tracks that have ended, for as long as their faces may come back."""

    def __init__(self) -> None:
        self._lost: list[tuple[Track, float]] = []  # and until when

    def put(self, track: Track, *, outside: bool = False) -> None:
        """A track has ended; `outside`: its face left the picture."""
        if track.track_id:
            self._lost.append((track, track.seen_at + (OUTSIDE_SECONDS if outside else REMEMBER_SECONDS)))

    def forget(self, at: float) -> None:
        """Let go of faces that come back too late by `at`; nothing is kept of them."""
        self._lost = [(track, until) for track, until in self._lost if until >= at]

    def assign_ids(
        self, newcomers: Sequence[Track], hidden: Sequence[Track] = (), crowded: Sequence[Track] = ()
    ) -> list[Track]:
        """Give the newcomers that were here before their old ids, the most alike first; the others stay without.

        `hidden` are tracks whose faces are only predicted: one may show again where its prediction is not. It has no
        id (0) any more where a newcomer has taken it. Of the newcomers that are `crowded` by another face, those are
        returned who may be one of two and shall wait until more of them is seen.
        """
        if not newcomers:
            return []
        self.forget(newcomers[0].at)
        before = [*(track for track, _ in self._lost), *hidden]
        pairs = [(_cost(lost, new), lost, new) for lost in before for new in newcomers]
        waiting = [new for new in crowded if new.at - new.born_at < WAIT_SECONDS and _may_be_two(new, pairs)]
        pairs = [pair for pair in pairs if pair[2] not in waiting]
        for cost, lost, new in sorted(pairs, key=lambda pair: pair[0]):
            if not math.isfinite(cost):
                break
            if lost.track_id and not new.track_id:
                new.track_id, lost.track_id = lost.track_id, 0
        self._lost = [(track, until) for track, until in self._lost if track.track_id]
        return waiting


def _may_be_two(new: Track, pairs: Sequence[tuple[float, Track, Track]]) -> bool:
    costs = sorted(cost for cost, _, one in pairs if one is new)
    return len(costs) > 1 and costs[1] - costs[0] < CLOSE


def _cost(lost: Track, new: Track) -> float:
    """How little the newcomer is like the lost one, by place and shape; infinite where it cannot be the same."""
    small, large = sorted((lost.seen.crop.side, new.crop.side))
    gone = new.at - lost.seen.at
    away, short = (distance / small for distance in _from_way(lost, new, gone))
    strange = descriptor_distance(lost.shape, new.shape_now)
    if large > RATIO * small or away > REACH + REACH_PER_SECOND * gone or strange > STRANGE:
        return math.inf
    return away + STOPPED * short + strange / ALIKE


def _from_way(lost: Track, new: Track, gone: float) -> tuple[float, float]:
    """Distances in px of the newcomer from where the lost one may be (between the place it was seen last, as it may
    have stopped there, and where it would have walked), and of that from where it would have walked."""
    seen = lost.seen
    dx, dy = new.crop.x - seen.crop.x, new.crop.y - seen.crop.y
    way_x, way_y = seen.stride_x * gone, seen.stride_y * gone
    length = way_x * way_x + way_y * way_y
    along = min(max((dx * way_x + dy * way_y) / length, 0.0), 1.0) if length > 0.0 else 0.0
    return math.hypot(dx - along * way_x, dy - along * way_y), (1.0 - along) * math.sqrt(length)

"""Windows that tell of groups only: no cell of fewer than k visits, neither as such nor as a difference of others.

A window with few visits is not enough hidden: the day's total less its other hours would show it. So hours that are
left out are together either empty or at least k visits, or the total is left out too. The choice is made hour by hour
as they end, since what was once published stays so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtface.audience.windows import BUCKET_NAMES, Window
from rtface.labels import EMOTIONS

K = 5


@dataclass(slots=True)
class Publisher:
    """Decides for the parts of one whole, in their order, whether each may be published, and then for the whole.

    Args:
        k: Least number of visits in anything that is published, or can be worked out from it.
    """

    k: int = K
    hidden: int = 0

    def part_allowed(self, visits: int) -> bool:
        """Whether the next part may be published. A large one is held back when it has to cover for small ones."""
        allowed = visits >= self.k and not 0 < self.hidden < self.k
        self.hidden += 0 if allowed else visits
        return allowed

    def whole_allowed(self, visits: int) -> bool:
        """Whether the sum of all parts may be published beside those that were."""
        return visits >= self.k and not 0 < self.hidden < self.k


def suppress(counts: Sequence[int], k: int = K) -> list[int | None]:
    """The parts of a sum that is known: None for those under `k`, and for as many more as hide those.

    >>> suppress([12, 3, 7, 20])
    [12, None, None, 20]
    >>> suppress([12, 3, 2, 20])
    [12, None, None, 20]
    """
    shown = {row: count for row, count in enumerate(counts) if count >= k}
    hidden = sum(counts) - sum(shown.values())
    while shown and 0 < hidden < k:
        smallest = min(shown, key=lambda row: (shown[row], row))
        hidden += shown.pop(smallest)
    return [shown.get(row) for row in range(len(counts))]


def anonymous(window: Window, k: int = K) -> dict[str, Any]:
    """The record of a window of at least `k` visits, with every cell in it suppressed that tells of fewer.

    None stands for what is suppressed. The heat map is in shares of what is shown of it, not in seconds.
    """
    record = window.to_dict()
    watchers, _ = suppress([window.watchers, window.visits - window.watchers], k)
    smilers, _ = suppress([window.smilers, window.visits - window.smilers], k)
    record["watchers"], record["smilers"] = watchers, smilers
    if watchers is None:
        record.update(looks=None, attraction_ratio=None, attention_s=None)
        record["attention_buckets"] = dict.fromkeys(BUCKET_NAMES)
    else:
        record["attention_buckets"] = dict(zip(BUCKET_NAMES, suppress(window.buckets, k), strict=True))
    if smilers is None:
        record["smiles"] = None
    # Every name, so that none tells of somebody who showed it; not to have one is a cell of its own.
    counts = [window.emotions.get(name, 0) for name in EMOTIONS]
    record["emotions"] = dict(zip(EMOTIONS, suppress([*counts, window.visits - sum(counts)], k), strict=False))
    if window.busiest is not None and window.busiest[1] < k:
        record["busiest_minute"] = None
    record["heat"]["cells"] = _heat(window.heat, k)
    return record


def _heat(heat: Mapping[int, tuple[float, int]], k: int) -> list[list[float]]:
    # In shares of what is shown: seconds could be taken from those of all visits, which are known.
    shown = {cell: (seconds, visits) for cell, (seconds, visits) in heat.items() if visits >= k}
    total = sum(seconds for seconds, _ in shown.values()) or 1.0
    return [[cell, round(seconds / total, 3), visits] for cell, (seconds, visits) in sorted(shown.items())]

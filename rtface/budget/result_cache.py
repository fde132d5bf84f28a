"""Values of earlier frames that stand in where a stage did not run."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

STALE_SECONDS = 0.5
"""A value older than this is dropped rather than shown."""


class ResultCache:
    """The last value of every task of every track, with the time it was measured."""

    def __init__(self) -> None:
        self._tracks: dict[int, dict[str, tuple[Any, float]]] = {}

    def put(self, track_id: int, values: dict[str, Any], at: float) -> None:
        """Remember values by task, measured at `at` seconds."""
        known = self._tracks.setdefault(track_id, {})
        for task, value in values.items():
            known[task] = (value, at)

    def get(self, track_id: int, tasks: Collection[str], at: float) -> tuple[dict[str, Any], dict[str, float]]:
        """Values that are not stale at `at`, and their ages in milliseconds, both by task."""
        known = self._tracks.get(track_id, {})
        fresh = {task: known[task] for task in tasks if task in known and at - known[task][1] <= STALE_SECONDS}
        ages = {task: max(0.0, 1e3 * (at - measured)) for task, (_, measured) in fresh.items()}
        return {task: value for task, (value, _) in fresh.items()}, ages

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget every track that is not among these."""
        for gone in self._tracks.keys() - set(track_ids):
            del self._tracks[gone]

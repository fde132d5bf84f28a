"""Visits as they are in the database."""

from __future__ import annotations

from rtface.audience.visits import Visit


def visit(at: float, **more: object) -> Visit:
    """A visit of ten seconds that began at `at` (seconds since 1970)."""
    known: dict[str, object] = {"track_id": 1, "first_seen": 0.0, "last_seen": 10.0, "dwell_s": 10.0}
    known |= {"attention_s": 4.0, "looks": 1, "smiles": 0, "emotion": "neutral", "near": False}
    return Visit(started_at=at, **{**known, **more})

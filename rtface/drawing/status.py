"""What a result says of its quality, in words for people."""

from __future__ import annotations

from rtface.types import FrameResult


def status_lines(result: FrameResult, *, always: bool = False) -> list[str]:
    """The level of quality with lateness and drops (`always`, or where there is any), then what was skipped and why."""
    words = [f"level {result.level}" if result.level else "level 0: full"]
    words += ["late"] if result.late else []
    words += [f"dropped {result.dropped}"] if result.dropped else []
    first = ["  ".join(words)] if always or result.level or len(words) > 1 else []
    reasons: dict[str, list[str]] = {}
    for what, why in result.skipped.items():
        reasons.setdefault(why, []).append(what)
    return first + [f"{', '.join(whats)}: {why}" for why, whats in reasons.items()]

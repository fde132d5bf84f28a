"""When each frame is shown, and how many frames a second: from the frames' own times, not from what a header claims."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

#: A step back by more than this many seconds, or in formats that may be joined a step onward by more than
#: `JOINED_S`, is the seam of two recordings: time goes on from there.
BACK_S = 1.0
JOINED_S = 10.0
#: Least step between two frames; two with one time are told apart by it.
LEAST_STEP_S = 0.001
#: Of a sample of times, the last may lack frames that are stored later (B-frames): so many are left out.
REORDERED = 16
#: A header's rate is believed where the frames' own times are within this share of it.
BELIEVED, BELIEVED_EXACT = 0.05, 0.5
#: Intervals longer than so many usual ones are pauses, not part of the rate.
PAUSE = 10.0
DEFAULT_RATE = 25.0


class MediaTime:
    """Seconds since the start of a file, rising with every frame.

    Args:
        start_s: The file's own time of its start.
        rate: Frames a second, for frames without a time.
        joined: The format has no time of its own for the whole file (MPEG-TS): recordings may be joined in it.
    """

    def __init__(self, start_s: float, rate: float | None, *, joined: bool) -> None:
        self._offset_s = -start_s
        self._frame_s = 1.0 / (rate or DEFAULT_RATE)
        self._joined = joined
        self.last: float | None = None

    def at(self, stamp_s: float | None) -> float:
        """The media time of the next frame, whose own stamp is `stamp_s` (None = it has none)."""
        last = self.last
        if last is None:
            self.last = 0.0 if stamp_s is None else max(stamp_s + self._offset_s, 0.0)
            return self.last
        usual = last + self._frame_s
        now = usual if stamp_s is None else stamp_s + self._offset_s
        if now < last - BACK_S or (self._joined and now > last + JOINED_S):
            self._offset_s += usual - now
            now = usual
        self.last = now if now > last else last + LEAST_STEP_S
        return self.last


def frame_rate(stamps_s: Sequence[float], declared: float | None, *, exact: bool) -> float | None:
    """Frames a second.

    Args:
        stamps_s: Times of the first frames, in any order.
        declared: What the container says, or what a demuxer guessed.
        exact: The container counts its frames (mp4, AVI): the declared rate is the mean of all.
    """
    declared = declared if declared is not None and 0.0 < declared <= 1000.0 else None
    measured = _measured(stamps_s)
    if declared is None or measured is None:
        return declared or measured
    believed = BELIEVED_EXACT if exact else BELIEVED
    return declared if abs(declared - measured) <= believed * measured else measured


def _measured(stamps_s: Sequence[float]) -> float | None:
    ordered = sorted(set(stamps_s))
    if len(ordered) > 2 * REORDERED:
        ordered = ordered[:-REORDERED]
    steps = sorted(later - earlier for earlier, later in pairwise(ordered))
    if not steps:
        return None
    usual = [step for step in steps if step <= PAUSE * steps[len(steps) // 2]]
    return len(usual) / sum(usual)

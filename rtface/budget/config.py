"""The tunables of the latency budget, each with its unit and the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LadderConfig:
    """When the level of quality moves. Frames are at about 30 a second.

    Attributes:
        misses: Down after so many late frames among `within`: one hiccup is no reason.
        within: Frames, two seconds.
        shorts: Down after so many frames among `within` that left a stage out to be in time: the deadline held, so that
            a noisy cost estimate alone is no reason, but a level that keeps leaving things out promises what it does
            not do.
        wait: Up after so many frames in a row with headroom; a failed climb makes it longer …
        back_off: … so many times …
        longest_wait: … up to so many frames, about a minute.
        failed_climb_frames: A climb failed if the way down begins within so many frames (a minute); one that held so
            long makes the wait `wait` again. With 10 s in place of the minute, a load of 15 s on and off moved the
            level 7 times a minute.
        headroom: Share of the budget that a frame must be expected to stay within one level up.
        unknown_gain: What a level is thought to cost over the one below it, before it was measured …
        largest_gain: … and at most.
        steep: A way down that goes on within so many frames takes twice as many rungs as the move before; 0 = always
            one. One camera more or less is a rung; eight where four fit are all of them, and rung by rung that took
            seven moves and their late frames.
    """

    misses: int = 3
    within: int = 60
    shorts: int = 12
    wait: int = 30
    back_off: int = 3
    longest_wait: int = 1920
    failed_climb_frames: int = 1800
    headroom: float = 0.8
    unknown_gain: float = 1.25
    largest_gain: float = 2.0
    steep: int = 0


@dataclass(frozen=True, slots=True)
class RotationConfig:
    """Whose turn it is where not all faces fit.

    Attributes:
        waited_long_s: Seconds after which a face goes before larger ones.
        max_wait_s: Seconds that no face waits, whatever the level says: from 0.5 s on its values and its track would be
            lost.
    """

    waited_long_s: float = 0.25
    max_wait_s: float = 0.45


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    """What is done for each frame.

    Attributes:
        max_gap_s: After so long without a look at a face, or a run of the detector that is due, one is taken whatever
            it costs. Frames that reach us after their deadline (a decoder slower than the budget) leave no time for
            anything, ever.
        stale_runs: Runs of other stages after which a stage's costs are of another time, once the level goes up.
        busy_share: Share of the time between frames that analysing takes, from which on resting every second frame
            helps. Below, frames do not hold each other up: with 8 ms of budget and 33 ms between frames, resting threw
            half of them away for nothing.
        busy_blend: Weight of a frame in that share: about the last ten count.
        ladder: When the level moves.
        rotation: Whose turn it is.
    """

    max_gap_s: float = 0.45
    stale_runs: int = 30
    busy_share: float = 0.5
    busy_blend: float = 0.1
    ladder: LadderConfig = LadderConfig()
    rotation: RotationConfig = RotationConfig()

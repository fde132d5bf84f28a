"""The tunables of the tracker, each with its unit and the reason for its value."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """When a face is one, and for how long.

    Attributes:
        lost_s: A face that nobody confirmed for this long is gone.
        hide_s: A face that the engine does not find where it looks is not shown after this long; it may come back with
            its id.
        trial_s: A detection that the engine rejects is tried for this long, unseen, before it is given up.
        sure: The engine's `face` probability from which its landmarks alone carry a track.
        doubt: Below this the engine overrules even the detector; between, the detector's word decides.
        clear: From here on a newcomer is shown at once; a doubtful one when the detector has seen it on a second frame,
            and the engine is `sure` or the detector `firm` there. Lettering looks like a face for a few frames: the dot
            of an i had 0.29 to 0.45 while the detector saw it four times with 0.5. People have 1.0 in three clips.
        firm: The detector's score from which its second look needs no more than the engine's `doubt`.
        doubt_s: What is not certain after this long is given up …
        reject_s: … and begins no track again for this long, unless the detector grows `firm`: lettering would take the
            engine's time, and a place among the most faces, for as long as it is there.
        same_form: Widths and heights of two pictures whose ratios differ by no more than this share show the same view.
        alone: A face within this many crop sides of another may be mistaken for it while they cross.
        full_factor: So many times more seldom the detector looks while no place for another face is left; it can only
            confirm then.
        seldom_s: Frames that are further apart show a face that walks or is panned over beyond the reach of its track;
            a newcomer near there, and alike, is then taken for it. Never at 10 frames a second and more.
        near_s: Frames that are no further apart may have the detector's answer one later, where nothing is in doubt.
    """

    lost_s: float = 0.5
    hide_s: float = 0.2
    trial_s: float = 0.2
    sure: float = 0.5
    doubt: float = 0.25
    clear: float = 0.9
    firm: float = 0.7
    doubt_s: float = 1.0
    reject_s: float = 2.0
    same_form: float = 0.03
    alone: float = 1.2
    full_factor: float = 4.0
    seldom_s: float = 0.15
    near_s: float = 0.05

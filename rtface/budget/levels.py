"""The rungs of the quality ladder: what is given up, in which order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

PARSING_EVERY = (3, 9)
"""Frames between two parsings of a face, rung by rung; at 30 fps 0.1 and 0.3 s. Beyond 0.5 s a value is gone."""

DETECT_EVERY = (4, 12)
"""Least frames between two runs of the detector, whatever the tracker wishes; at 30 fps 0.13 and 0.4 s."""

FACES = (3, 1)
"""Most faces analysed in a frame; the others wait for their turn."""


@dataclass(frozen=True, slots=True)
class Level:
    """What is done for a frame at one level of quality.

    Attributes:
        name: For people: what this level gives up beyond the one above it.
        parsing_every: A face is parsed on every k-th frame.
        detect_every: The detector runs on every k-th frame at most.
        network: Which of the engines, 0 = the best.
        faces: Most faces analysed in a frame; None = all.
        frames_every: Every k-th frame is analysed; the others carry values over.
    """

    name: str = "full"
    parsing_every: int = 1
    detect_every: int = 1
    network: int = 0
    faces: int | None = None
    frames_every: int = 1


def ladder_levels(
    tasks: Sequence[str], *, networks: Sequence[str] = ("engine",), max_faces: int = 8, priority: Sequence[str] = ()
) -> tuple[Level, ...]:
    """All levels, the full one first. A knob has rungs only where it changes something.

    Args:
        tasks: What is asked for: without parsing there is nothing to do less often.
        networks: Names of the engines at hand, best first, each cheaper than the one before.
        max_faces: Most faces at any level.
        priority: Tasks that matter most, first. Parsing is given up first of all, but last (before frames) where it
            stands before every other task. The other tasks cost next to nothing beside it.
    """
    parsing = [({"parsing_every": k}, f"parsing every {_th(k)} frame") for k in PARSING_EVERY if "parsing" in tasks]
    detection = [({"detect_every": k}, f"detection every {_th(k)} frame at most") for k in DETECT_EVERY]
    engines = [({"network": index}, f"network {name}") for index, name in enumerate(networks) if index]
    faces = [({"faces": k}, f"{k} face{'s' * (k > 1)} a frame") for k in FACES if k < max_faces]
    frames = [({"frames_every": 2}, "every 2nd frame")]
    first, last = (parsing, []) if not parsing_matters_most(tasks, priority) else ([], parsing)
    levels = [Level()]
    for knob, name in (*first, *detection, *engines, *faces, *last, *frames):
        levels.append(replace(levels[-1], name=name, **knob))
    return tuple(levels)


def parsing_matters_most(tasks: Sequence[str], priority: Sequence[str]) -> bool:
    """Whether parsing stands before every other asked task in `priority`."""
    return next((task for task in priority if task in tasks), None) == "parsing"


def _th(k: int) -> str:
    return {2: "2nd", 3: "3rd"}.get(k, f"{k}th")

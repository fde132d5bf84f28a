"""Which rungs there are, and in which order."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise

from rtface.budget.levels import Level, ladder_levels
from rtface.labels import TASKS


def knobs(levels: tuple[Level, ...]) -> list[str]:
    """The knob that each level turns, and no other."""
    turned = []
    names = [field.name for field in fields(Level) if field.name != "name"]
    for above, level in pairwise(levels):
        changed = [name for name in names if getattr(above, name) != getattr(level, name)]
        assert len(changed) == 1
        turned += changed
    return turned


def test_the_order_of_the_knobs() -> None:
    levels = ladder_levels(TASKS, networks=("iter2", "iter1", "iter0"))
    assert levels[0] == Level()
    assert knobs(levels) == [
        *["parsing_every"] * 2,
        *["detect_every"] * 2,
        *["network"] * 2,
        *["faces"] * 2,
        "frames_every",
    ]
    assert [level.name for level in levels[5:8]] == ["network iter1", "network iter0", "3 faces a frame"]
    assert levels[-1].faces == 1 and levels[-1].parsing_every == 9


def test_a_knob_is_there_only_where_it_does_something() -> None:
    assert "network" not in knobs(ladder_levels(TASKS))
    assert "parsing_every" not in knobs(ladder_levels(("pose",)))
    assert knobs(ladder_levels(("pose",), max_faces=1)) == ["detect_every", "detect_every", "frames_every"]
    assert knobs(ladder_levels(TASKS, max_faces=3)).count("faces") == 1


def test_parsing_goes_last_where_it_matters_most() -> None:
    turned = knobs(ladder_levels(TASKS, priority=("parsing", "pose")))
    assert turned[-3:] == ["parsing_every", "parsing_every", "frames_every"]
    assert knobs(ladder_levels(TASKS, priority=("pose", "parsing")))[0] == "parsing_every"
    assert knobs(ladder_levels(("landmarks", "parsing"), priority=("emotion", "parsing")))[-2] == "parsing_every"

"""The tracking benchmark: its truth, and what it makes of trackers that are right, late and wrong."""

from __future__ import annotations

import sys

import numpy as np
import pytest

pytest.importorskip("skimage.data")

from benchmarks import tracking
from benchmarks.people import GUISES, Actor, Place, Scene, Truth, play
from benchmarks.scenes import scenes
from rtface.errors import UsageError
from rtface.types import Face, Frame, FrameResult

IMAGE = np.zeros((48, 64, 3), np.uint8)
BOXES = {1: (0.0, 0.0, 10.0, 10.0), 2: (30.0, 0.0, 40.0, 10.0)}


def face(track_id: int, place: int) -> Face:
    return Face(np.array(BOXES[place]), 1.0, np.zeros((5, 2)), track_id=track_id)


def frames(*shown: dict[int, int], seen: tuple[float, ...] = (1.0, 1.0)) -> tracking.Frames:
    """One frame for each: track id → the person on whom it lies. Both people stand still."""
    truth = Truth([1, 2], [BOXES[1], BOXES[2]], list(seen))
    return [
        (FrameResult(Frame(IMAGE), tuple(face(track, place) for track, place in one.items())), truth) for one in shown
    ]


def row(some: tracking.Frames) -> dict[str, float]:
    pytest.importorskip("trackeval")
    rows = tracking.measure({"made": some})
    assert rows["made"] == rows["all"]
    assert "made" in tracking.text(rows)
    return rows["made"]


def test_a_tracker_that_is_right() -> None:
    found = row(frames(*[{7: 1, 9: 2}] * 10))
    assert found == {"switches": 0, "fragmentations": 0, "missed": 0, "false": 0, "mota": 100.0, "idf1": 100.0}


def test_a_tracker_that_swaps_two_people() -> None:
    found = row(frames(*[{7: 1, 9: 2}] * 5, *[{9: 1, 7: 2}] * 5))
    assert found["switches"] == 2 and found["idf1"] == 50.0 and found["mota"] == 90.0


def test_a_tracker_that_misses_a_few_and_sees_a_ghost() -> None:
    found = row(frames(*[{7: 1, 9: 2}] * 4, *[{9: 2}] * 2, *[{7: 1, 9: 2}] * 4))
    assert (found["missed"], found["fragmentations"], found["switches"]) == (2, 1, 0)
    ghost = frames(*[{7: 1, 9: 2}] * 4)
    ghost.append((FrameResult(Frame(IMAGE), (face(7, 1), face(9, 2), face(11, 1))), ghost[0][1]))
    assert row(ghost)["false"] == 1


def test_hidden_faces_are_neither_asked_for_nor_held_against_a_tracker() -> None:
    for shown in ({7: 1, 9: 2}, {7: 1}):
        data = tracking.sequence(frames(*[shown] * 4, seen=(1.0, 0.2)))
        assert (data["num_gt_dets"], data["num_tracker_dets"]) == (4, 4)
    both = frames({7: 1, 9: 2}) + frames({7: 1}, seen=(1.0, 0.2)) + frames({7: 1, 9: 2})
    assert tracking.gaps(tracking.sequence(both)) == 1
    assert row(both)["fragmentations"] == 0


def test_without_trackeval_its_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trackeval", None)
    with pytest.raises(UsageError, match="pip install trackeval"):
        tracking.measure({})


def test_the_truth_of_a_made_clip_knows_who_is_hidden() -> None:
    def still(at: float) -> Place:
        return Place(320, 240)

    def passing(at: float) -> Place | None:
        return Place(100 + 2200 * at, 240) if at < 0.2 else None

    shown = list(play(Scene("made", 0.3, [Actor(still, GUISES[0]), Actor(passing, GUISES[1])], dark=((0.25, 1.0),))))
    assert len(shown) == 9 and shown[0][1].shape == (480, 640, 3)
    first, hidden, dark = shown[0][2], shown[3][2], shown[8][2]
    assert first.ids == [0, 1] and first.seen == pytest.approx([1.0, 1.0], abs=0.05)
    assert hidden.seen[0] < 0.1 and hidden.seen[1] == pytest.approx(1.0, abs=0.05)
    assert dark.ids == [0] and dark.seen == [0.0] and shown[8][1].mean() < 20
    x0, _, x1, _ = first.boxes_xyxy[0]
    assert ((x0 + x1) / 2, x1 - x0) == (320.0, 90.0)


def test_variants_have_other_people() -> None:
    for plain, varied in zip(scenes(), scenes(1), strict=True):
        assert varied.name == f"{plain.name} (1)" and len(varied.actors) == len(plain.actors)
        for one, other in zip(plain.actors, varied.actors, strict=True):
            assert (one.guise is None) == (other.guise is None) and (one.guise is None or one.guise != other.guise)

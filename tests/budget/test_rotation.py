"""Whose turn it is: the largest, then who waited longest, and nobody for ever."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rtface.budget.config import RotationConfig
from rtface.budget.rotation import FaceRotation


def play(
    turns: FaceRotation, faces: dict[str, float], most: int | None, fps: float, seconds: float
) -> dict[str, list[float]]:
    """When each face was analysed."""
    served: dict[str, list[float]] = {face: [0.0] for face in faces}
    names = list(faces)
    turns.record(names, [], 0.0, 0)
    for frame in range(1, round(seconds * fps)):
        at = frame / fps
        rows = turns.faces(names, list(faces.values()), most, at)
        assert len(rows) == len(set(rows))
        for row in rows:
            served[names[row]].append(at)
        turns.record([names[row] for row in rows], [], at, frame)
    return served


def test_all_where_there_is_no_limit_the_largest_first() -> None:
    assert FaceRotation().faces(["a", "b", "c"], [1, 3, 2], None, 0.0) == [1, 2, 0]
    assert sorted(FaceRotation().faces(["a", "b"], [1, 2], 2, 0.0)) == [0, 1]


@pytest.mark.parametrize(("most", "fps"), [(1, 30.0), (3, 30.0), (1, 8.0), (1, 15.0)])
def test_nobody_waits_longer_than_a_second(most: int, fps: float) -> None:
    faces = {name: float(size) for size, name in enumerate("abcdefgh", 20)}
    served = play(FaceRotation(), faces, most, fps, 10.0)
    for times in served.values():
        gaps = [b - a for a, b in zip(times, [*times[1:], 10.0], strict=True)]
        assert max(gaps) <= RotationConfig().max_wait_s + 1 / fps + 1e-9 < 1.0


def test_the_largest_gets_most() -> None:
    served = play(FaceRotation(), {"small": 10.0, "large": 90.0, "middle": 50.0}, 1, 30.0, 6.0)
    assert len(served["large"]) > 3 * len(served["small"])


def test_a_newcomer_is_not_forgotten() -> None:
    turns = FaceRotation()
    play(turns, {"large": 90.0, "middle": 80.0}, 1, 30.0, 2.0)
    times = [at for at in (2.0, 2.033, 2.067) if 2 in turns.faces(["large", "middle", "new"], [90, 80, 5], 1, at)]
    assert times and times[0] <= 2.1


def test_parsing_is_spread_over_the_frames() -> None:
    turns = FaceRotation()
    faces = ["a", "b", "c"]
    counts = []
    when: dict[str, list[int]] = {face: [] for face in faces}
    for frame in range(60):
        rows = turns.parsed(faces, 3, frame)
        counts.append(len(rows))
        for row in rows:
            when[faces[row]].append(frame)
        turns.record(faces, [faces[row] for row in rows], frame / 30, frame)
    assert max(counts) == 1
    assert all(b - a == 3 for frames in when.values() for a, b in pairwise(frames))
    assert turns.parsed(faces, 1, 60) and len(turns.parsed(faces, 1, 60)) == 3


def test_who_is_gone_is_forgotten() -> None:
    turns = FaceRotation()
    turns.record(["a", "b"], ["a"], 1.0, 1)
    turns.keep(["b"])
    assert set(turns._served) == {"b"} and not turns._parsed


@pytest.mark.parametrize("fps", [30.0, 15.0, 10.0, 5.0])
def test_no_mask_grows_too_old_where_frames_are_few(fps: float) -> None:
    turns, faces, last = FaceRotation(), ["a", "b", "c"], dict.fromkeys("abc", 0.0)
    turns.record(faces, faces, 0.0, 0)
    for frame in range(1, round(5 * fps)):
        at = frame / fps
        turns.faces(faces, [1, 2, 3], None, at)
        parsed = [faces[row] for row in turns.parsed(faces, 9, frame)]
        assert len(parsed) == len(set(parsed))
        assert fps < 30 or len(parsed) <= 1
        last |= dict.fromkeys(parsed, at)
        turns.record(faces, parsed, at, frame)
        assert at - min(last.values()) < 0.5

"""Faces that were lost and come back: their old ids, and nobody else's."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.crop import crop_from_landmarks, crop_from_points5
from rtface.testing import Painted
from rtface.track import Tracker
from rtface.track.face_shape import descriptor, descriptor_distance

SIZE = (640, 480)
FPS = 30


class Person:
    """A face with 68 points of its own shape, on a straight way."""

    def __init__(self, seed: int, x: float, y: float, vx: float = 0.0, vy: float = 0.0, half: float = 25.0) -> None:
        self.start, self.velocity, self.half = (x, y), (vx, vy), half
        self.own = np.random.default_rng(seed).normal(0.0, 0.12, (68, 2))

    def at(self, seconds: float) -> Painted:
        (x, y), (vx, vy) = self.start, self.velocity
        return Painted(x + vx * seconds, y + vy * seconds, self.half)

    def points(self, seconds: float) -> np.ndarray:
        """68 points around the five, so that the crop is the same."""
        five = self.at(seconds).points5
        points = five[2] + self.half * self.own
        points[36:42], points[42:48] = five[0], five[1]
        points[[30, 48, 54]] = five[2:]
        return points.astype(np.float32)


def play(tracker: Tracker, people: dict[str, Person], seen: dict[str, list[tuple[float, float]]], end: float) -> list:
    """Each frame's ids by name; a person is seen within the spans (s) that ``seen`` has for the name."""
    told = []
    for step in range(round(end * FPS)):
        at = step / FPS
        there = {name: one for name, one in people.items() if any(a <= at < b for a, b in seen[name])}
        tracker.predict(at, *SIZE)
        if tracker.wants_detection:
            faces = [one.at(at) for one in there.values()]
            tracker.update_detections(
                np.array([face.box for face in faces], np.float32).reshape(-1, 4),
                np.full(len(faces), 0.9, np.float32),
                np.array([face.points5 for face in faces], np.float32).reshape(-1, 5, 2),
            )
        look(tracker, there, at)
        shown = [track for track in tracker.confirm() if not track.predicted]
        told.append({name: owner(shown, one.at(at)) for name, one in there.items()})
    return told


def look(tracker: Tracker, there: dict[str, Person], at: float) -> None:
    points, sure = [], []
    for track in tracker.tracks:
        near = min(there.values(), key=lambda one: abs(one.at(at).x - track.crop.x), default=None)
        hit = near is not None and np.hypot(near.at(at).x - track.crop.x, near.at(at).y - track.crop.y) < 40
        points.append(near.points(at) if near is not None and hit else np.tile(track.points5[2], (68, 1)))
        sure.append(0.9 if hit else 0.05)
    if points:
        five = np.stack([face[[36, 42, 30, 48, 54]] for face in points])
        tracker.update_landmarks([crop_from_landmarks(face) for face in points], five, sure, points=np.stack(points))


def owner(shown: list, face: Painted) -> int | None:
    return next((track.track_id for track in shown if abs(track.crop.x - face.x) < 20), None)


def ids_of(told: list, name: str) -> list[int]:
    return [frame[name] for frame in told if frame.get(name) is not None]


@pytest.mark.parametrize("hidden", [0.3, 1.0, 2.0])
def test_who_walks_on_behind_a_post_is_known_again(hidden: float) -> None:
    people = {"a": Person(1, 100, 240, vx=100)}
    told = play(Tracker(), people, {"a": [(0, 1.5), (1.5 + hidden, 9)]}, end=1.8 + hidden + 0.5)
    assert set(ids_of(told, "a")) == {1} and told[-1]["a"] == 1


def test_who_stops_behind_a_post_is_known_again() -> None:
    person = Person(1, 300, 240)
    told = play(Tracker(), {"a": person}, {"a": [(0, 1), (2.5, 9)]}, end=3.0)
    assert told[-1]["a"] == 1


def test_after_a_while_it_may_be_anybody() -> None:
    told = play(Tracker(), {"a": Person(1, 300, 240)}, {"a": [(0, 1), (4.5, 9)]}, end=5.0)
    assert told[-1]["a"] == 2


def test_somebody_elsewhere_is_somebody_else() -> None:
    people = {"a": Person(1, 120, 240), "b": Person(1, 450, 240)}
    told = play(Tracker(), people, {"a": [(0, 1)], "b": [(2.0, 9)]}, end=2.5)
    assert told[-1]["b"] == 2


def test_somebody_of_another_size_is_somebody_else() -> None:
    people = {"a": Person(1, 300, 240, half=15), "b": Person(1, 300, 240, half=40)}
    told = play(Tracker(), people, {"a": [(0, 1)], "b": [(2.0, 9)]}, end=2.5)
    assert told[-1]["b"] == 2


def test_two_who_pass_behind_one_post_keep_their_ids() -> None:
    """They come out on the other side at the same moment, at nearly the same place."""
    people = {"a": Person(1, 100, 240, vx=110), "b": Person(2, 540, 250, vx=-110)}
    spans = [(0.0, 1.4), (2.6, 9.0)]
    told = play(Tracker(), people, {"a": spans, "b": spans}, end=3.5)
    assert set(ids_of(told, "a")) == {1} and set(ids_of(told, "b")) == {2}


@pytest.mark.parametrize("returns", [1, 2])
def test_of_two_who_vanished_side_by_side_the_shape_tells(returns: int) -> None:
    """One comes back half-way between the two places."""
    people = {"a": Person(1, 280, 240), "b": Person(2, 360, 240), "c": Person(returns, 320, 240)}
    told = play(Tracker(), people, {"a": [(0, 1)], "b": [(0, 1)], "c": [(2.0, 9)]}, end=2.5)
    assert told[0] == {"a": 1, "b": 2} and told[-1] == {"c": returns}


def test_who_left_the_picture_is_known_again_for_a_shorter_time() -> None:
    for gone, expected in ((0.9, 1), (2.0, 2)):
        out = Person(1, 200, 240, vx=-200)
        back = Person(1, 10, 240)
        spans = {"a": [(0, 0.98)], "b": [(0.98 + gone, 9)]}
        told = play(Tracker(), {"a": out, "b": back}, spans, end=0.98 + gone + 0.4)
        assert told[-1]["b"] == expected


def test_an_id_is_never_given_twice() -> None:
    """People come and go at the same few places for a minute."""
    rng = np.random.default_rng(5)
    tracker, alive = Tracker(), []
    for step in range(60 * FPS):
        at = step / FPS
        if step % 45 == 0:
            alive = [Painted(*rng.uniform((80, 80), (560, 400)), 20) for _ in range(rng.integers(0, 4))]
        tracker.predict(at, *SIZE)
        if tracker.wants_detection:
            tracker.update_detections(
                np.array([face.box for face in alive], np.float32).reshape(-1, 4),
                np.full(len(alive), 0.9, np.float32),
                np.array([face.points5 for face in alive], np.float32).reshape(-1, 5, 2),
            )
        near = [min(alive, key=lambda f: abs(f.x - t.crop.x), default=None) for t in tracker.tracks]
        hits = [f is not None and abs(f.x - t.crop.x) < 30 for f, t in zip(near, tracker.tracks, strict=True)]
        five = [f.points5 if hit else t.points5 for f, t, hit in zip(near, tracker.tracks, hits, strict=True)]
        if five:
            tracker.update_landmarks(
                [crop_from_points5(p) for p in five], np.stack(five), [0.9 if h else 0.0 for h in hits]
            )
        shown = [track.track_id for track in tracker.confirm()]
        assert len(set(shown)) == len(shown) and 0 not in shown
        lost = [track.track_id for track, _ in tracker._memory._lost]
        assert not set(lost) & set(shown)
    assert tracker._next_id > 20


def test_shapes_do_not_know_place_size_and_roll() -> None:
    person = Person(3, 200, 200)
    points = person.points(0.0)
    shape = descriptor(points, crop_from_landmarks(points))
    angle = np.radians(20.0)
    turn = 1.7 * np.array(((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle))))
    turned = (points @ turn.T + (50, -80)).astype(np.float32)
    assert descriptor(turned, crop_from_landmarks(turned)) == pytest.approx(shape, abs=1e-4)
    other = Person(4, 200, 200).points(0.0)
    assert descriptor_distance(shape, descriptor(other, crop_from_landmarks(other))) > 0.02
    assert (
        descriptor_distance(shape, None)
        == descriptor_distance(shape, shape[:5])
        == descriptor_distance(shape, shape * np.nan)
        == 0.0
    )


def test_whoever_walked_has_more_likely_walked_on_than_stopped() -> None:
    """Two of one shape walk towards each other and come out where the other vanished, or a little before."""
    people = {"a": Person(1, 100, 240, vx=100), "b": Person(1, 520, 240, vx=-100)}
    spans = [(0.0, 1.7), (2.5, 9.0)]
    told = play(Tracker(), people, {"a": spans, "b": spans}, end=3.0)
    assert set(ids_of(told, "a")) == {1} and set(ids_of(told, "b")) == {2}

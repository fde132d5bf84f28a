"""Another visitor is another id: after a pause, at a cut, and when the picture changes its size."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.geometry.crop import Crop, crop_from_landmarks
from rtface.testing import Painted
from rtface.track import Tracker, look_of
from rtface.track.face_look import likeness
from tests.media import picture
from tests.track.test_reid import Person
from tests.track.test_tracker import SIZE, follow, ids, meet, start

STILL = Painted(320, 240)
LOOKS = np.eye(4, 256, dtype=np.float32)


def frame(tracker: Tracker, at: float, person: Person, look: np.ndarray | None, size: tuple[int, int] = SIZE) -> list:
    """One frame on which `person` is seen with that look; the ids that are shown."""
    tracker.predict(at, *size)
    face = person.at(at)
    if tracker.wants_detection:
        tracker.update_detections(face.box[None], np.array([0.9], np.float32), face.points5[None])
    points = person.points(at)
    for _ in tracker.tracks[:1]:
        tracker.update_landmarks([crop_from_landmarks(points)], face.points5[None], [0.95], points[None], looks=[look])
    return ids(tracker)


@pytest.mark.parametrize(("gap", "after"), [(0.2, 1), (2.0, 1), (4.0, 2), (60.0, 2), (1e9, 2)])
def test_who_comes_after_a_pause_is_another_visitor(gap: float, after: int) -> None:
    tracker = start(STILL)
    tracker.predict(gap, *SIZE)
    meet(tracker, STILL)
    follow(tracker, {1: STILL, 2: STILL})
    assert ids(tracker) == [after]


def test_nothing_is_kept_of_a_visitor_who_is_gone() -> None:
    tracker = start(STILL)
    for at in (0.1, 0.7, 1.0, 3.1):
        tracker.predict(at, *SIZE)
        meet(tracker)
        follow(tracker, {})
    assert tracker.tracks == [] and tracker._memory._lost == []


def test_another_face_at_the_same_place_is_another_id_soon() -> None:
    tracker, one, two = Tracker(), Person(1, 320, 240), Person(2, 320, 240)
    told = [frame(tracker, step / 30, one if step < 15 else two, LOOKS[int(step >= 15)]) for step in range(30)]
    assert told[14] == [1] and told[-1] == [2]
    assert told.index([2]) <= 15 + 6


def test_a_hand_or_a_flash_for_a_moment_keeps_the_id() -> None:
    tracker, one, two = Tracker(), Person(1, 320, 240), Person(2, 320, 240)
    hidden = range(15, 18)
    told = [frame(tracker, s / 30, two if s in hidden else one, LOOKS[int(s in hidden)]) for s in range(40)]
    assert all(shown == [1] for shown in told)


@pytest.mark.parametrize("changed", ["shape", "look"])
def test_an_expression_or_another_light_alone_keeps_the_id(changed: str) -> None:
    tracker, one, two = Tracker(), Person(1, 320, 240), Person(2, 320, 240)
    for step in range(40):
        late = step >= 15
        person = two if late and changed == "shape" else one
        assert frame(tracker, step / 30, person, LOOKS[int(late and changed == "look")]) == [1]


def test_a_picture_of_another_size_takes_the_tracks_along() -> None:
    tracker = start(Painted(320, 240, 30))
    small = Painted(160, 120, 15)
    tracker.predict(0.03, 320, 240)
    assert tracker.wants_detection
    assert tracker.tracks[0].crop.near(crop_from_points(small), centre=0.02, ratio=1.02)
    meet(tracker, small)
    follow(tracker, {1: small})
    assert ids(tracker) == [1]


def test_a_picture_of_another_form_ends_them() -> None:
    tracker = start(Painted(320, 240, 30))
    tracker.predict(0.03, 480, 640)
    assert tracker.tracks == [] and tracker.wants_detection


def crop_from_points(face: Painted) -> Crop:
    from rtface.geometry.crop import crop_from_points5

    return crop_from_points5(face.points5)


def test_a_look_is_the_same_in_another_light_and_size_and_another_for_other_pictures() -> None:
    image, other = picture(320, 240), picture(320, 240, seed=1)
    crop = Crop(160, 120, 150)
    look = look_of(image, crop)
    dark = look_of((image * 0.5 + 20).astype(np.uint8), crop)
    large = look_of(cv2.resize(image, None, fx=3, fy=3), Crop(480, 360, 450))
    assert likeness(look, dark) > 0.98 and likeness(look, large) > 0.95
    assert abs(likeness(look, look_of(other, crop))) < 0.5
    assert likeness(look, None) == 1.0
    assert look_of(image, Crop(-500, 0, 100)) is None and look_of(np.zeros_like(image), crop) is None

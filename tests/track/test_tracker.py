"""Ids that last: matching, a missed detection, a crossing, merging, leaving, and when the detector is wanted."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.crop import crop_from_points5
from rtface.testing import Painted
from rtface.track import Tracker
from rtface.track.association import associate

SIZE = (640, 480)


def meet(tracker: Tracker, *faces: Painted) -> None:
    boxes = np.array([face.box for face in faces], np.float32).reshape(-1, 4)
    points = np.array([face.points5 for face in faces], np.float32).reshape(-1, 5, 2)
    tracker.update_detections(boxes, np.full(len(faces), 0.9, np.float32), points)


def follow(tracker: Tracker, faces: dict[int, Painted], sure: float = 0.9) -> None:
    """The engine sees `faces` by track id; a track that is not named shows no face."""
    tracker.confirm()  # names the newcomers, so that the tests can
    seen = [faces.get(track.track_id) for track in tracker.tracks]
    points = [face.points5 if face else track.points5 for face, track in zip(seen, tracker.tracks, strict=True)]
    tracker.update_landmarks(
        [crop_from_points5(five) for five in points],
        np.array(points, np.float32).reshape(-1, 5, 2),
        [sure if face else 0.05 for face in seen],
    )


def ids(tracker: Tracker) -> list[int]:
    return [track.track_id for track in tracker.confirm()]


def start(*faces: Painted, **options: float) -> Tracker:
    """A tracker that has met and confirmed the faces at 0 s, as tracks 1, 2, …"""
    tracker = Tracker(**options)
    tracker.predict(0.0, *SIZE)
    meet(tracker, *faces)
    follow(tracker, dict(enumerate(faces, 1)))
    assert ids(tracker) == list(range(1, len(faces) + 1))
    return tracker


def test_landmarks_carry_a_track_between_detections() -> None:
    tracker = start(Painted(100, 200))
    for step in range(1, 9):
        tracker.predict(step / 30, *SIZE)
        assert not tracker.wants_detection
        follow(tracker, {1: Painted(100 + 5 * step, 200)})
    (track,) = tracker.tracks
    assert track.box_xyxy == pytest.approx(Painted(140, 200).box, abs=1e-3)
    assert track.points5 == pytest.approx(Painted(140, 200).points5, abs=1e-3)
    assert not track.predicted and track.seen_at == pytest.approx(8 / 30)


def test_the_next_crop_lies_where_the_face_is_going() -> None:
    tracker = start(Painted(100, 200))
    for step in range(1, 16):
        tracker.predict(step / 30, *SIZE)
        follow(tracker, {1: Painted(100 + 10 * step, 200)})
    expected = crop_from_points5(Painted(260, 200).points5)
    tracker.predict(16 / 30, *SIZE)
    assert tracker.tracks[0].crop.x == pytest.approx(expected.x, abs=1.5)
    assert tracker.tracks[0].crop.y == pytest.approx(expected.y, abs=0.1)


@pytest.mark.parametrize(("fps", "same"), [(3.0, True), (10.0, False)])
def test_of_few_frames_a_face_that_went_beyond_its_tracks_reach_keeps_its_id(fps: float, same: bool) -> None:
    """Half a crop's side a frame: a walk at 3 frames a second, at 10 another face."""
    tracker = start(Painted(100, 200), detect_every=0.0)
    half_a_side = 0.55 * tracker.tracks[0].crop.side
    for step in range(1, 5):
        tracker.predict(step / fps, *SIZE)
        face = Painted(100 + half_a_side * step, 200)
        meet(tracker, face)
        tracker.confirm()
        follow(tracker, {track.track_id: face for track in tracker.tracks if not track.predicted})
    assert (ids(tracker) == [1]) is same


def test_of_few_frames_another_face_is_another_all_the_same() -> None:
    tracker = start(Painted(100, 200), detect_every=0.0)
    tracker.predict(1 / 3, *SIZE)
    meet(tracker, Painted(400, 200))  # across the picture
    follow(tracker, {2: Painted(400, 200)})
    assert ids(tracker)[-1] == 2


def test_ids_survive_a_missed_detection_and_a_hand_before_the_face() -> None:
    tracker = start(Painted(100, 200), Painted(400, 200), detect_every=0.0)
    tracker.predict(0.1, *SIZE)
    meet(tracker, Painted(402, 200))  # the detector misses the first
    follow(tracker, {1: Painted(101, 200), 2: Painted(402, 200)})
    tracker.predict(0.2, *SIZE)
    meet(tracker, Painted(403, 200))  # a hand: neither sees the first
    follow(tracker, {2: Painted(403, 200)})
    assert ids(tracker) == [1, 2] and [t.predicted for t in tracker.tracks] == [True, False]
    tracker.predict(0.35, *SIZE)
    follow(tracker, {2: Painted(403, 200)})
    assert ids(tracker) == [2]  # not shown for long
    tracker.predict(0.4, *SIZE)
    meet(tracker, Painted(110, 205), Painted(404, 200))
    follow(tracker, {1: Painted(110, 205), 2: Painted(404, 200)})
    assert ids(tracker) == [1, 2] and not tracker.tracks[0].predicted


def test_a_face_that_nobody_confirms_is_lost_and_its_id_is_not_reused() -> None:
    tracker = start(Painted(100, 200))
    for at, shown in ((0.1, [1]), (0.3, []), (0.49, [])):
        tracker.predict(at, *SIZE)
        meet(tracker)
        follow(tracker, {})
        assert ids(tracker) == shown and len(tracker.tracks) == 1
    tracker.predict(0.6, *SIZE)
    meet(tracker)
    follow(tracker, {})
    assert tracker.tracks == []
    tracker.predict(3.2, *SIZE)
    meet(tracker, Painted(100, 200))
    assert ids(tracker) == [2]


def test_a_face_that_nobody_looked_for_stays_for_half_a_second() -> None:
    """The engine and the detector do not fit the budget."""
    tracker = start(Painted(100, 200))
    for at, shown in ((0.1, [1]), (0.3, [1]), (0.5, [1]), (0.6, [1]), (0.7, [])):
        tracker.predict(at, *SIZE)
        assert ids(tracker) == shown


def test_a_slow_stream_keeps_its_ids() -> None:
    tracker = start(Painted(100, 200))
    for second in range(1, 5):
        tracker.predict(float(second), *SIZE)
        assert tracker.wants_detection
        face = Painted(100 + 10 * second, 200)
        meet(tracker, face)
        follow(tracker, {1: face})
    assert ids(tracker) == [1]


def judge(tracker: Tracker, face: Painted, sure: float) -> None:
    """The engine's word on the only track."""
    tracker.update_landmarks([crop_from_points5(face.points5)], face.points5[None], [sure])


def test_a_false_detection_is_tried_unseen_and_given_up() -> None:
    tracker = Tracker()
    for at in (0.0, 0.1, 0.2):
        tracker.predict(at, *SIZE)
        assert tracker.wants_detection
        meet(tracker, Painted(100, 100))
        judge(tracker, Painted(100, 100), sure=0.1)
        assert len(tracker.tracks) == 1 and tracker.confirm() == []
    tracker.predict(0.3, *SIZE)
    judge(tracker, Painted(100, 100), sure=0.1)
    assert tracker.tracks == []
    tracker.predict(0.4, *SIZE)
    meet(tracker, Painted(300, 100))
    judge(tracker, Painted(300, 100), sure=0.9)
    assert ids(tracker) == [1]  # no id went to the false one


def look(tracker: Tracker, face: Painted, sure: float) -> None:
    """The engine looks at the one track and sees `face`, more or less."""
    tracker.update_landmarks([crop_from_points5(face.points5)], face.points5[None], [sure])


def test_what_is_clearly_a_face_is_shown_at_once_and_the_doubtful_when_it_is_detected_again() -> None:
    face = Painted(100, 200)
    for sure, shown in ((0.95, [[1], [1], [1]]), (0.6, [[], [], [1]]), (0.4, [[], [], [1]])):
        tracker, seen = Tracker(), []
        for frame, detected in enumerate((True, False, True)):
            tracker.predict(frame / 30, *SIZE)
            if tracker.wants_detection:  # as long as nothing is certain, it looks again on every frame
                meet(tracker, *([face] if detected else []))
            assert tracker.tracks[0].detected == (detected and (frame == 0 or sure < 0.9))
            look(tracker, face, sure if detected or sure > 0.9 else 0.6)
            seen.append(ids(tracker))
        assert seen == shown, sure


def test_a_doubtful_one_that_is_not_detected_again_was_never_there() -> None:
    face, tracker = Painted(100, 200), Tracker()
    for frame in range(10):
        tracker.predict(frame / 30, *SIZE)
        assert tracker.wants_detection
        meet(tracker, *([face] if frame == 0 else []))
        if tracker.tracks:
            look(tracker, face, 0.6)  # as the engine goes on to think
        assert ids(tracker) == []
    assert not tracker.tracks
    tracker.predict(10 / 30, *SIZE)
    meet(tracker, face)
    look(tracker, face, 0.95)
    assert ids(tracker) == [1]  # it had used up no id


@pytest.mark.parametrize(("score", "sure", "shown"), [(0.5, 0.45, False), (0.5, 0.55, True), (0.75, 0.3, True)])
def test_where_both_doubt_no_number_of_looks_makes_a_face(score: float, sure: float, shown: bool) -> None:
    """The dot of an i in lettering, seen by the detector on frame after frame."""
    face, tracker = Painted(100, 200), Tracker()
    for frame in range(6):
        tracker.predict(frame / 30, *SIZE)
        box, points = np.array([face.box], np.float32), face.points5[None]
        tracker.update_detections(box, np.array([score], np.float32), points)
        look(tracker, face, sure)
        assert ids(tracker) == ([1] if shown and frame else [])


@pytest.mark.parametrize(("max_faces", "comes_at"), [(1, 30), (2, 0)])
def test_what_stays_doubtful_takes_nobodys_place_and_little_time(max_faces: int, comes_at: int) -> None:
    """A poster that both doubt, and a person."""
    poster, person, tracker = Painted(100, 200), Painted(400, 200), Tracker(max_faces=max_faces)
    looked, shown = 0, 0
    for frame in range(180):
        tracker.predict(frame / 30, *SIZE)
        there = {poster: (0.55, 0.4)} | ({person: (0.9, 1.0)} if frame >= comes_at else {})
        if tracker.wants_detection:
            looked += 1
            boxes, points = [face.box for face in there], np.array([face.points5 for face in there])
            tracker.update_detections(
                np.array(boxes, np.float32), np.array([score for score, _ in there.values()], np.float32), points
            )
        seen = [min(there, key=lambda face: abs(face.x - track.crop.x)) for track in tracker.tracks]
        if seen:
            points5 = np.array([face.points5 for face in seen])
            tracker.update_landmarks(
                [crop_from_points5(five) for five in points5], points5, [there[face][1] for face in seen]
            )
        shown += ids(tracker) == [1]
    assert shown >= 180 - comes_at - 2 - (max_faces == 1) * 30
    assert max_faces == 1 or looked < 100


def test_where_the_detector_seldom_looks_a_doubtful_one_waits_for_it() -> None:
    face, tracker = Painted(100, 200), Tracker()
    for frame in range(13):  # 0.4 s
        tracker.predict(frame / 30, *SIZE)
        if frame in (0, 12):
            meet(tracker, face)
        look(tracker, face, 0.6)
        assert ids(tracker) == ([1] if frame == 12 else [])


def test_a_poor_first_crop_is_mended_by_its_own_landmarks() -> None:
    """The engine denies the detector's crop, but its landmarks lead to one that it confirms."""
    tracker = Tracker()
    tracker.predict(0.0, *SIZE)
    meet(tracker, Painted(115, 100))
    judge(tracker, Painted(102, 100), sure=0.1)
    assert tracker.confirm() == [] and tracker.tracks[0].crop.x == pytest.approx(102)
    tracker.predict(0.03, *SIZE)
    meet(tracker, Painted(115, 100))
    assert tracker.tracks[0].crop.x == pytest.approx(102)  # not back to the poor one
    judge(tracker, Painted(100, 100), sure=0.9)
    (track,) = tracker.confirm()
    assert track.crop.x == pytest.approx(100) and not track.predicted


def test_without_the_engine_the_detectors_word_counts() -> None:
    tracker = Tracker()
    for at in (0.0, 0.1):
        tracker.predict(at, *SIZE)
        meet(tracker, Painted(100 + 100 * at, 100))
        assert ids(tracker) == [1]


def test_a_newcomer_on_a_known_face_is_not_shown() -> None:
    tracker = start(Painted(100, 200))
    tracker.predict(0.1, *SIZE)
    meet(tracker, Painted(100, 200), Painted(190, 200))
    points = np.stack([Painted(100, 200).points5, Painted(102, 200).points5])
    tracker.update_landmarks([crop_from_points5(five) for five in points], points, [0.9, 0.9])
    assert ids(tracker) == [1] and len(tracker.tracks) == 2


@pytest.mark.parametrize("front", [1, 2])
def test_crossing_faces_keep_their_ids(front: int) -> None:
    """Two faces walk past each other; while one hides the other, both crops show the one in front."""
    left, right = Painted(100, 200), Painted(500, 200)
    tracker = start(left, right, detect_every=0.3)
    for step in range(1, 61):
        left, right = Painted(100 + 400 * step / 60, 200), Painted(500 - 400 * step / 60, 200)
        hidden = abs(left.x - right.x) < 90
        shown = [(left, right)[front - 1]] if hidden else [left, right]
        tracker.predict(step / 30, *SIZE)
        if tracker.wants_detection:
            meet(tracker, *shown)
        follow(tracker, {track.track_id: nearest(track.crop.x, shown) for track in tracker.tracks})
    assert ids(tracker) == [1, 2]
    assert tracker.tracks[0].crop.x == pytest.approx(left.x, abs=3)
    assert tracker.tracks[1].crop.x == pytest.approx(right.x, abs=3)


def test_a_face_that_vanished_does_not_take_over_one_that_passes_by() -> None:
    tracker = start(Painted(100, 200), Painted(300, 200))
    for step in range(1, 15):
        passing = Painted(100 + 1.0 * step * step, 200)  # ever faster, so that it is always ahead of its prediction
        tracker.predict(step / 30, *SIZE)
        reached = abs(tracker.tracks[1].crop.x - passing.x) < 60 if len(tracker.tracks) > 1 else False
        follow(tracker, {1: passing, 2: passing} if reached else {1: passing})
    assert tracker.tracks[0].track_id == 1 and tracker.tracks[0].crop.x == pytest.approx(296, abs=3)
    assert tracker.tracks[1].predicted


def nearest(x: float, shown: list[Painted]) -> Painted:
    """The face that the engine finds in a crop around `x`."""
    return min(shown, key=lambda face: abs(face.x - x))


def test_a_face_behind_another_is_not_shown_on_it_and_keeps_its_id_where_it_comes_out() -> None:
    behind, front = Painted(200, 200), Painted(400, 200)
    tracker = start(behind, front, detect_every=0.0)
    shown = {}
    for step in range(1, 19):
        at = step / 30
        front = Painted(400 - 20 * step, 200)  # before the other at step 10
        hidden = abs(front.x - behind.x) < 60
        out = Painted(behind.x + 70, 200)  # where it went meanwhile, not foreseen
        tracker.predict(at, *SIZE)
        seen = {2: front} if hidden else {1: behind if step < 10 else out, 2: front}
        meet(tracker, *seen.values())
        follow(tracker, seen) if step < 10 else engine_sees(tracker, list(seen.values()))
        shown[step] = sorted(ids(tracker))
    assert shown[9] == [2]  # in the same place, and in vain looked for
    assert shown[5] == shown[18] == [1, 2]
    assert len(tracker.tracks) == 2


def engine_sees(tracker: Tracker, faces: list[Painted]) -> None:
    """The engine sees whichever face lies in a track's crop."""
    found = [next((face for face in faces if abs(face.x - t.crop.x) < face.half), None) for t in tracker.tracks]
    points = [face.points5 if face else t.points5 for face, t in zip(found, tracker.tracks, strict=True)]
    sure = [0.95 if face else 0.05 for face in found]
    tracker.update_landmarks([crop_from_points5(five) for five in points], np.array(points, np.float32), sure)


def test_of_boxes_that_overlap_alike_the_nearer_points_win() -> None:
    """A face turned in place has the box of its neighbour's equal, but not its points."""
    track, other = Painted(100, 100), Painted(120, 100)
    boxes = np.stack([(track.box + other.box) / 2] * 2)
    points = np.stack([other.points5, track.points5])
    assert associate(track.box[None], track.points5[None], np.array([200.0]), boxes, points) == [(0, 1)]
    assert associate(track.box[None], track.points5[None], np.array([200.0]), boxes + 400, points + 400) == []
    assert associate(boxes[:0], points[:0], np.zeros(0), boxes, points) == []


def test_two_tracks_on_one_face_become_one() -> None:
    tracker = start(Painted(100, 200), Painted(300, 200))
    for step in range(1, 25):
        tracker.predict(step / 30, *SIZE)
        follow(tracker, {1: Painted(100, 200), 2: Painted(100, 200)})
    assert ids(tracker) == [1]


def test_a_face_that_leaves_the_picture_is_dropped() -> None:
    tracker = start(Painted(600, 200))
    for step in range(1, 12):
        tracker.predict(step / 30, *SIZE)
        follow(tracker, {1: Painted(600 + 6 * step, 200)} if step < 8 else {})
    assert ids(tracker) == []


def test_when_the_detector_is_wanted() -> None:
    tracker = Tracker(detect_every=0.3)
    tracker.predict(0.0, *SIZE)
    assert tracker.wants_detection  # no face yet
    meet(tracker, Painted(100, 200))
    follow(tracker, {1: Painted(100, 200)})
    tracker.predict(0.1, *SIZE)
    assert not tracker.wants_detection
    follow(tracker, {1: Painted(100, 200)}, sure=0.4)
    assert tracker.wants_detection  # in doubt
    tracker.predict(0.2, *SIZE)
    assert tracker.wants_detection
    meet(tracker, Painted(100, 200))
    follow(tracker, {1: Painted(100, 200)}, sure=0.4)
    assert not tracker.tracks[0].predicted  # engine in doubt, detector certain
    follow(tracker, {1: Painted(100, 200)})
    tracker.predict(0.49, *SIZE)
    assert not tracker.wants_detection
    tracker.predict(0.51, *SIZE)
    assert tracker.wants_detection  # its time has come


def test_a_clock_set_back_starts_a_new_stream() -> None:
    tracker = start(Painted(100, 200))
    tracker.predict(5.0, *SIZE)
    tracker.predict(1.0, *SIZE)
    assert ids(tracker) == [] and tracker.wants_detection
    meet(tracker, Painted(100, 200))
    assert ids(tracker) == [2]


def test_no_more_tracks_than_allowed() -> None:
    tracker = Tracker(max_faces=2)
    tracker.predict(0.0, *SIZE)
    meet(tracker, Painted(100, 100), Painted(300, 100), Painted(500, 100))
    assert ids(tracker) == [1, 2]


def test_a_detector_without_points() -> None:
    tracker = Tracker()
    for at, x in ((0.0, 100), (0.1, 112)):
        tracker.predict(at, *SIZE)
        tracker.update_detections(
            Painted(x, 100).box[None], np.ones(1, np.float32), np.full((1, 5, 2), np.nan, np.float32)
        )
        assert ids(tracker) == [1]
        assert tracker.tracks[0].crop.x == pytest.approx(x, abs=1)
        assert np.isnan(tracker.tracks[0].points5).all()


def test_landmarks_that_are_not_numbers_deny_the_face() -> None:
    tracker = start(Painted(100, 200))
    tracker.predict(0.1, *SIZE)
    broken = np.full((1, 5, 2), np.nan, np.float32)
    tracker.update_landmarks([crop_from_points5(broken[0])], broken, [0.99])
    assert tracker.tracks[0].predicted and tracker.tracks[0].crop.finite


@pytest.mark.parametrize(("max_faces", "looks"), [(1, 2), (2, 8)])
def test_the_detector_looks_more_seldom_where_no_place_is_left(max_faces: int, looks: int) -> None:
    face = Painted(100, 200)
    tracker = start(face, detect_every=0.25, max_faces=max_faces)
    seen = 0
    for step in range(1, 65):  # two seconds
        tracker.predict(step / 32, *SIZE)
        if tracker.wants_detection:
            seen += 1
            meet(tracker, face)
        follow(tracker, {1: face})
    assert seen == looks
    follow(tracker, {1: face}, sure=0.4)
    assert tracker.wants_detection  # in doubt, at once

"""Which face is followed, and which slot a face has."""

from __future__ import annotations

from rtface.outputs.follow import FaceFollower, Slots, frame_time
from rtface.types import Face, FrameResult
from tests.outputs.made import a_face, a_result


def small(track_id: int) -> Face:
    return a_face(track_id=track_id, px_per_mm=0.5)


def large(track_id: int) -> Face:
    return a_face(track_id=track_id, px_per_mm=1.0)


def followed(follower: FaceFollower, *results: FrameResult) -> list[int | None]:
    faces = [follower.update(result, result.frame.captured_at) for result in results]
    return [None if face is None else face.track_id for face in faces]


def test_the_largest_face_is_followed_even_when_a_larger_one_comes() -> None:
    assert followed(FaceFollower(), a_result(small(1)), a_result(small(1), large(2), index=1)) == [1, 1]
    assert followed(FaceFollower(), a_result(small(1), large(2))) == [2]


def test_it_is_kept_for_a_second_then_the_next_one_is_followed() -> None:
    results = [a_result(large(1), small(2), at=0.0), *(a_result(small(2), at=at) for at in (0.5, 0.9, 1.1))]
    assert followed(FaceFollower(), *results) == [1, 1, 1, 2]


def test_it_comes_back_within_the_second() -> None:
    results = [a_result(large(1), at=0.0), a_result(small(2), at=0.9), a_result(large(1), at=1.5), a_result(at=2.4)]
    assert followed(FaceFollower(), *results) == [1, 1, 1, 1]


def test_nobody_after_the_second() -> None:
    assert followed(FaceFollower(), a_result(at=0.0), a_result(large(1), at=1.0), a_result(at=2.5)) == [None, 1, None]


def test_one_face_only_where_it_is_named() -> None:
    follower = FaceFollower(track_id=2)
    assert followed(follower, a_result(large(1), at=0.0), a_result(large(1), small(2), at=0.1)) == [None, 2]
    assert followed(follower, a_result(large(1), at=1.0), a_result(large(1), at=2.0)) == [2, None]


def test_a_stream_that_begins_again_forgets() -> None:
    assert followed(FaceFollower(), a_result(large(1), at=50.0), a_result(at=1.0)) == [1, None]


def test_slots_are_the_lowest_free_numbers() -> None:
    slots = Slots()
    faces, freed = slots.update(a_result(large(11), small(12)), 0.0)
    assert {slot: face.track_id for slot, face in faces.items()} == {0: 11, 1: 12} and not freed
    faces, freed = slots.update(a_result(small(12)), 0.5)
    assert list(faces) == [1] and not freed
    faces, freed = slots.update(a_result(small(12), large(13)), 1.2)
    assert {slot: face.track_id for slot, face in faces.items()} == {1: 12, 0: 13} and freed == [0]


def test_no_more_slots_than_asked_for() -> None:
    faces, _ = Slots(1).update(a_result(large(1), small(2)), 0.0)
    assert {slot: face.track_id for slot, face in faces.items()} == {0: 1}


def test_faces_of_a_still_have_slots_too() -> None:
    two = a_result(a_face(track_id=None), a_face(track_id=None))  # type: ignore[arg-type]
    assert list(Slots().update(two, 0.0)[0]) == [0, 1]


def test_a_files_own_time_counts_where_it_is_read_as_fast_as_it_goes() -> None:
    frame = a_result(at=7.0, media_time=3.0).frame
    assert (frame_time(frame, live=True), frame_time(frame, live=False)) == (7.0, 3.0)

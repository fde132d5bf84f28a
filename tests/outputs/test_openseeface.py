"""OpenSeeFace's packets, read by a receiver written from the peer's by someone who had not read the sender."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from rtface.outputs.blend_shapes import NEUTRAL
from rtface.outputs.eyes import eyes_of
from rtface.outputs.open import choose
from rtface.outputs.openseeface import face_bytes
from rtface.types import FrameResult, Gaze, HeadPose
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, run_through
from tests.outputs.receivers import datagrams, listening
from tests.outputs.receivers.openseeface import FEATURES, MAX_FIT_ERROR, OpenSeeFace, decode

BLINK = {37: (0, 4), 38: (0, 4), 40: (0, -3.5), 41: (0, -3.5)}  # of the right eye, which is left in the picture


def sent(*results: FrameResult) -> list[bytes]:
    with listening() as receiver:
        (sink,) = choose([f"openseeface://127.0.0.1:{receiver.getsockname()[1]}"], source="demo")
        run_through(sink, results)
        return datagrams(receiver)


def seen(**given: object) -> OpenSeeFace:
    (datagram,) = sent(a_result(a_face(**given)))  # type: ignore[arg-type]
    (face,) = decode(datagram)
    return face


def test_a_face_straight_ahead_is_the_peers_neutral() -> None:
    face = seen()
    assert (face.id, face.size, face.has_3d) == (0, (WIDTH, HEIGHT), True) and abs(face.time - time.time()) < 60
    assert (face.right_eye_open, face.left_eye_open) == (1.0, 1.0)
    assert face.rotation == pytest.approx((0, 0, 0), abs=1e-3)
    assert np.abs(face.quaternion) == pytest.approx((math.sqrt(0.5), math.sqrt(0.5), 0, 0), abs=1e-5)
    assert face.fit_error < 1e-3 < 1 < seen(moved={8: (0, 30)}).fit_error < MAX_FIT_ERROR


def test_points_are_in_its_own_order() -> None:
    face, points = seen(), a_face().landmarks.points  # type: ignore[union-attr]
    assert face.points[:48] == pytest.approx(points[:48], abs=1e-3)
    # Its points 58 and 62 are the corners of the mouth, right and left; 59-61 and 63-65 the inner lips.
    assert face.points[[58, 62]] == pytest.approx(points[[48, 54]], abs=1e-3)
    assert face.points[[48, 52, 53, 57]] == pytest.approx(points[[49, 53, 55, 59]], abs=1e-3)
    assert face.points[[59, 60, 61]] == pytest.approx(points[[61, 62, 63]], abs=1e-3)
    assert face.points[[63, 64, 65]] == pytest.approx(points[[65, 66, 67]], abs=1e-3)
    assert face.points[[66, 67]] == pytest.approx(np.stack([points[36:42].mean(0), points[42:48].mean(0)]), abs=1e-3)
    assert face.confidence == pytest.approx([0.8] * 66 + [0.0, 0.0])


def test_3d_points_lie_as_those_of_the_peers_model() -> None:
    # Of the peer's face in the packet's axes (to the picture's left, down, away), read off its table.
    theirs = {0: (0.46, -0.30, 0.76), 8: (0, 0.62, 0.29), 16: (-0.46, -0.30, 0.76), 27: (0, -0.29, 0.14), 30: (0, 0, 0)}
    theirs |= {36: (0.32, -0.30, 0.29), 45: (-0.32, -0.30, 0.29), 58: (0.18, 0.24, 0.23), 62: (-0.18, 0.24, 0.23)}
    points = seen(pose=(15.0, -5.0, 10.0)).points_3d  # unturned
    for index, there in theirs.items():
        assert points[index] == pytest.approx(there, abs=0.16), index
    assert (points[[68, 69], 2] > points[[66, 67], 2] + 0.05).all(), "an eyeball's middle is behind its pupil"


@pytest.mark.parametrize(
    ("pose", "turn"),
    [
        ((25.0, 0.0, 0.0), (25.0, 0.0, 0.0)),  # the picture's right is the person's left
        ((0.0, 25.0, 0.0), (0.0, 25.0, 0.0)),
        ((0.0, 0.0, 25.0), (0.0, 0.0, 25.0)),  # clockwise is to the left shoulder
        ((-20.0, 0.0, 0.0), (-20.0, 0.0, 0.0)),
    ],
)
def test_the_avatar_turns_as_the_person_does(pose: tuple[float, float, float], turn: tuple[float, ...]) -> None:
    face = seen(pose=pose)
    assert face.turn_since(seen()) == pytest.approx(turn, abs=0.1)
    yaw, pitch, roll = pose
    assert face.rotation == pytest.approx((pitch, -yaw, -roll), abs=0.1)


def test_a_turn_about_all_axes_is_the_same_in_angles_and_quaternion() -> None:
    face, neutral = seen(pose=(15.0, -10.0, 8.0)), seen()
    left, up, tilt = face.turn_since(neutral)
    assert (left, up, tilt) == pytest.approx((15.0, -10.0, 8.0), abs=3.0)
    assert face.rotation == pytest.approx((up, -left, -tilt), abs=3.0)


def test_the_avatar_moves_as_the_person_does() -> None:
    middle, right, high = seen(), seen(at=(WIDTH / 2 + 50, HEIGHT / 2)), seen(at=(WIDTH / 2, HEIGHT / 2 - 50))
    far = seen(px_per_mm=0.5)
    assert right.avatar_position[0] < middle.avatar_position[0] - 0.1  # x is to the picture's left
    assert high.avatar_position[1] > middle.avatar_position[1] + 0.1
    assert far.avatar_position[2] == pytest.approx(2 * middle.avatar_position[2], rel=1e-3)
    assert middle.avatar_position[2] == pytest.approx(-WIDTH / 142, rel=0.15), (
        "its lens is as long as the picture is wide"
    )


def test_faces_arrive_back_to_back_and_nothing_without_a_face() -> None:
    assert sent(a_result()) == []
    two = a_result(a_face(track_id=5, at=(200, 240)), a_face(track_id=8, at=(450, 240), moved=BLINK))
    (datagram,) = sent(two)
    first, second = decode(datagram)
    assert (first.id, second.id) == (0, 1)
    assert first.right_eye_open == 1.0 and second.right_eye_open < 0.5 < second.left_eye_open
    assert second.features["eye_right"] < -0.5 < second.features["eye_left"]
    assert first.points[30, 0] == pytest.approx(200.0) and second.points[30, 0] == pytest.approx(450.0)


def test_what_is_not_a_number_is_never_sent() -> None:
    sick = a_face()
    object.__setattr__(sick, "pose", HeadPose(math.nan, 0.0, 0.0))
    assert sent(a_result(sick)) == []


def test_features_say_what_the_blend_shapes_say() -> None:
    shapes = dict(NEUTRAL) | {"jawOpen": 0.5, "mouthSmileLeft": 1.0, "eyeBlinkLeft": 1.0, "browDownRight": 1.0}
    (face,) = decode(face_bytes(a_face(), 1, (WIDTH, HEIGHT), 1.0, shapes))
    raised = {name: value for name, value in face.features.items() if value}
    assert raised.pop("eyebrow_steepness_right") == 1.0
    assert raised == {
        "eye_left": -1.0,
        "eyebrow_up_down_right": -1.0,
        "mouth_corner_up_down_left": 1.0,
        "mouth_corner_in_out_left": 1.0,
        "mouth_open": 0.5,
        "mouth_wide": 1.0,
    }
    assert set(face.features) == set(FEATURES)


def test_pupils_are_where_the_line_of_sight_goes_through_the_eyeball() -> None:
    """The receiver's gaze is the way from 68 to 66, and from 69 to 67 (Unity/OpenSee.cs), of an unturned head."""
    pose, sight = (15.0, 5.0, 0.0), (0.0, 0.0)
    plain, looking = (seen(pose=pose, **more) for more in ({}, {"gaze": Gaze(*sight, 1.0)}))
    eyes = eyes_of(a_face(pose=pose, gaze=Gaze(*sight, 1.0)))
    assert eyes is not None
    yaw, pitch = map(math.radians, eyes.left)
    for pupil, ball in ((66, 68), (67, 69)):
        way = looking.points_3d[pupil] - looking.points_3d[ball]
        # Sent as x to the picture's left, y down, z away.
        ahead = (math.sin(yaw) * math.cos(pitch), -math.sin(pitch), -math.cos(yaw) * math.cos(pitch))
        assert way / np.linalg.norm(way) == pytest.approx(ahead, abs=1e-3)
        assert looking.confidence[pupil] > 0.5 and plain.confidence[pupil] == 0.0
        moved = looking.points[pupil] - plain.points[pupil]
        assert moved[0] < -1.0 and moved[1] > 0.3, "the head points right and up in the picture, the eyes come back"


def test_in_a_mirror_left_and_right_are_exchanged() -> None:
    face = a_face(pose=(20.0, -5.0, 10.0), at=(200.0, 240.0), moved=BLINK, gaze=Gaze(10.0, 5.0, 0.2))
    with listening() as receiver:
        (sink,) = choose([f"openseeface://127.0.0.1:{receiver.getsockname()[1]}?mirror=1"], source="demo")
        run_through(sink, [a_result(face)])
        (mirrored,) = decode(datagrams(receiver)[0])
    (plain,) = decode(sent(a_result(face))[0])
    assert mirrored.left_eye_open < 0.5 < mirrored.right_eye_open
    assert mirrored.rotation == pytest.approx(np.multiply(plain.rotation, (1, -1, -1)), abs=0.1)
    assert mirrored.points[30] == pytest.approx((WIDTH - 1 - plain.points[30, 0], plain.points[30, 1]), abs=0.01)
    assert mirrored.points[0] == pytest.approx((WIDTH - 1 - plain.points[16, 0], plain.points[16, 1]), abs=0.01)
    assert mirrored.points[66] == pytest.approx((WIDTH - 1 - plain.points[67, 0], plain.points[67, 1]), abs=0.01)
    assert mirrored.fit_error == pytest.approx(plain.fit_error, rel=1e-3)

"""OpenSeeFace's packets, read as its own receiver does."""

from __future__ import annotations

import socket
import time

import numpy as np
import pytest

from rtface.outputs.blend_shapes import NEUTRAL
from rtface.outputs.openseeface import FACE_BYTES, OpenSeeFaceSink, face_bytes
from rtface.outputs.output_url import parse_output_url
from tests.outputs import openseeface_reader as reader
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, run_through

BLINK = {37: (0, 4), 38: (0, 4), 40: (0, -3.5), 41: (0, -3.5)}  # of the right eye, which is left in the picture


def seen(**given: object) -> reader.SeenFace:
    data = face_bytes(a_face(**given), 3, (WIDTH, HEIGHT), 1234.5, NEUTRAL)  # type: ignore[arg-type]
    (face,) = reader.read(data)
    return face


def test_a_face_has_the_size_that_the_receiver_wants() -> None:
    assert FACE_BYTES == reader.FACE_BYTES == 1785
    face = seen()
    assert (face.time, face.id, face.camera, face.got_3d) == (1234.5, 3, (WIDTH, HEIGHT), True)
    assert face.fit_error < 1e-3  # under the 100 from which a face is ignored
    assert seen(moved={8: (0, 30)}).fit_error > 1


def test_points_are_in_its_own_order() -> None:
    face, points = seen(), a_face().landmarks.points  # type: ignore[union-attr]
    assert face.points[:48] == pytest.approx(points[:48], abs=1e-3)
    # Its points 58 and 62 are the corners of the mouth, right and left; 59-61 and 63-65 the inner lips.
    assert face.points[[58, 62]] == pytest.approx(points[[48, 54]], abs=1e-3)
    assert face.points[[59, 60, 61]] == pytest.approx(points[[61, 62, 63]], abs=1e-3)
    assert face.points[[63, 64, 65]] == pytest.approx(points[[65, 66, 67]], abs=1e-3)
    assert face.points[[66, 67]] == pytest.approx(np.stack([points[36:42].mean(0), points[42:48].mean(0)]), abs=1e-3)
    assert face.confidence == pytest.approx([0.8] * 66 + [0.0, 0.0])


def test_mouth_and_eyes_as_its_own_formulas_find_them() -> None:
    opened = dict.fromkeys((61, 62, 63), (0.0, -6.0)) | dict.fromkeys((65, 66, 67), (0.0, 6.0))
    shut, wide = seen().points_3d, seen(moved=opened).points_3d

    def gap(points: np.ndarray) -> float:
        return float(points[[59, 60, 61], 1].mean() - points[[65, 64, 63], 1].mean())

    assert gap(wide) - gap(shut) == pytest.approx(12 / 142, rel=0.02)  # y is up, the unit 142 mm
    assert shut[27, 1] > shut[30, 1] == pytest.approx(0.0, abs=1e-6)  # the bridge is above the nose's tip, the origin
    assert shut[0, 0] > 0 > shut[16, 0]  # x is the owner's right


@pytest.mark.parametrize(
    ("pose", "turned"),
    [
        # Unity: about x + is down, about y + to the avatar's right, about z + to its left shoulder.
        ((25.0, 0.0, 0.0), (0.0, -25.0, 0.0)),
        ((0.0, 25.0, 0.0), (-25.0, 0.0, 0.0)),
        ((0.0, 0.0, 25.0), (0.0, 0.0, 25.0)),
        ((-20.0, 0.0, 0.0), (0.0, 20.0, 0.0)),
    ],
)
def test_the_avatar_turns_as_the_person_does(pose: tuple[float, float, float], turned: tuple[float, ...]) -> None:
    face = seen(pose=pose)
    assert reader.turned_from(face, seen()) == pytest.approx(turned, abs=0.1)
    yaw, pitch, roll = pose
    assert face.euler == pytest.approx((180.0 - pitch, yaw, 90.0 - roll), abs=0.1)


def test_the_avatar_moves_as_the_person_does() -> None:
    middle, right, high = seen(), seen(at=(WIDTH / 2 - 50, HEIGHT / 2)), seen(at=(WIDTH / 2, HEIGHT / 2 - 50))
    far = seen(px_per_mm=0.5)
    assert right.position[0] > middle.position[0] + 0.1  # left in the picture is the owner's right
    assert high.position[1] > middle.position[1] + 0.1
    assert far.position[2] == pytest.approx(2 * middle.position[2], rel=1e-3) and far.position[2] < 0


def test_faces_arrive_back_to_back_and_nothing_without_a_face() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        url = parse_output_url(f"openseeface://127.0.0.1:{receiver.getsockname()[1]}")
        two = a_result(a_face(track_id=5, at=(200, 240)), a_face(track_id=8, at=(450, 240), moved=BLINK), index=1)
        run_through(OpenSeeFaceSink(url), [a_result(), two])
        faces = reader.read(receiver.recv(65536))
        assert [face.id for face in faces] == [0, 1]
        assert abs(faces[0].time - time.time()) < 60
        assert faces[0].eye_right == 1.0 and faces[1].eye_right < 0.5 < faces[1].eye_left
        assert faces[0].points[30, 0] == pytest.approx(200.0) and faces[1].points[30, 0] == pytest.approx(450.0)
        receiver.settimeout(0.1)
        with pytest.raises(TimeoutError):
            receiver.recv(65536)


def test_the_bytes_of_one_face_stay_what_they_are() -> None:
    shapes = dict(NEUTRAL) | {"jawOpen": 0.5, "mouthSmileLeft": 1.0, "eyeBlinkLeft": 1.0}
    data = face_bytes(a_face(pose=(10.0, 5.0, -3.0)), 1, (WIDTH, HEIGHT), 1.0, shapes)
    (face,) = reader.read(data)
    assert face.features == {
        **dict.fromkeys(reader.FEATURES, 0.0),
        "eye_left": -1.0,
        "corner_updown_left": 1.0,
        "corner_inout_left": 1.0,
        "mouth_open": 0.5,
        "mouth_wide": 1.0,
    }
    assert data[:20].hex() == "000000000000f03f" + "01000000" + "00002044" + "0000f043"  # time, id, size

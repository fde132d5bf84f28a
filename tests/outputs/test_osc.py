"""OSC and VMC, read by liblo's oscdump."""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from rtface.geometry.face_model import rotation_matrix
from rtface.outputs.osc import OscSink
from rtface.outputs.output_url import parse_output_url
from rtface.outputs.vmc import VmcSink, head_quaternions, mirrored_clips, vrm0_clips
from rtface.types import Gaze, HeadPose
from tests.outputs.made import WIDTH, a_face, a_result, a_run, run_through
from tests.outputs.receivers import Program, free_port, needs, wait_for

pytest.importorskip("pythonosc", reason="needs python-osc (pip install 'rtface[osc]')")

Message = tuple[str, str, list[str]]


OPEN = {61: (0, -8), 62: (0, -8), 63: (0, -8), 65: (0, 8), 66: (0, 8), 67: (0, 8)}


class OscDump:
    """Debian's liblo-tools; what it printed as (address, types, values)."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port(socket.SOCK_DGRAM)
        oscdump, stdbuf = needs("oscdump", "liblo-tools"), needs("stdbuf", "coreutils")
        self._program = Program(folder, stdbuf, "-oL", oscdump, "-L", str(self.port))
        wait_for(lambda: self._is_bound() or self._program.process.poll() is not None)
        assert self._program.process.poll() is None, self._program.output

    def _is_bound(self) -> bool:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("0.0.0.0", self.port))
            except OSError:
                return True
        return False

    @property
    def output(self) -> str:
        """What it printed so far."""
        return self._program.output

    def messages(self, last: str) -> list[Message]:
        """All messages up to the one with the address `last`."""
        wait_for(lambda: last in self._program.output)
        found = []
        for line in self._program.output.splitlines():
            match = re.search(r"(/\S+) (\S*) ?(.*)$", line)
            if match:
                found.append((match[1], match[2], re.findall(r'"[^"]*"|\S+', match[3])))
        return found

    def close(self) -> None:
        self._program.stop()


@pytest.fixture
def oscdump(tmp_path: Path) -> Iterator[OscDump]:
    dump = OscDump(tmp_path)
    yield dump
    dump.close()


def numbers(message: Message) -> list[float]:
    return [float(value) for value in message[2]]


def test_faces_arrive_as_osc(oscdump: OscDump) -> None:
    faces = a_face(track_id=7, at=(200, 240), pose=(12.0, -3.0, 4.0)), a_face(track_id=9, at=(450, 240))
    url = parse_output_url(f"osc://127.0.0.1:{oscdump.port}?landmarks=1&blend=1")
    run_through(OscSink(url), [a_result(*faces)])
    found = {
        address: (address, types, values) for address, types, values in oscdump.messages("/rtface/face/1/landmarks")
    }
    assert found["/rtface/faces"][1:] == ("i", ["2"])
    assert found["/rtface/face/0/id"][1:] == ("i", ["7"])
    assert found["/rtface/face/1/id"][1:] == ("i", ["9"])
    assert found["/rtface/face/0/pose"][1] == "fff"
    assert numbers(found["/rtface/face/0/pose"]) == pytest.approx([12.0, -3.0, 4.0], abs=1e-4)
    assert found["/rtface/face/0/emotion"][1:] == ("sf", ['"happiness"', pytest.approx("0.700000")])
    assert len(numbers(found["/rtface/face/0/emotions"])) == 8
    points = numbers(found["/rtface/face/0/landmarks"])
    assert len(points) == 136 and points[60] * WIDTH == pytest.approx(faces[0].landmarks.points[30, 0], abs=0.01)
    assert "/rtface/face/1/blend/jawOpen" in found
    assert all(math.isfinite(value) for value in numbers(found["/rtface/face/0/head"]))


def test_a_slot_is_free_again_when_its_face_is_gone(oscdump: OscDump) -> None:
    sink = OscSink(parse_output_url(f"osc://127.0.0.1:{oscdump.port}?prefix=door"))
    results = [a_result(a_face(track_id=1)), *(a_result(index=index) for index in range(1, 30))]
    with sink:
        sink.open(a_run())
        for number, result in enumerate(results, 1):
            sink.write(result)
            wait_for(lambda number=number: sink.sent == number)  # type: ignore[misc]
        sink.finish({})
    found = oscdump.messages("/door/face/0/gone")
    assert sum(address == "/door/face/0/gone" for address, _, _ in found) == 1


@pytest.mark.parametrize("camera", ["goes on", "is lost"])
def test_a_face_that_is_gone_leaves_its_last_values_and_then_glides_to_neutral(oscdump: OscDump, camera: str) -> None:
    sink = OscSink(parse_output_url(f"osc://127.0.0.1:{oscdump.port}?blend=1"))
    sink.beat_s = 0.01 if camera == "is lost" else None
    gaze = Gaze(10.0, 5.0, 0.4)
    faces = [a_result(a_face(pose=(20.0, 10.0, 5.0), moved=OPEN, gaze=gaze), index=index) for index in range(5)]
    nobody = [a_result(index=index) for index in range(5, 120)] if camera == "goes on" else []
    with sink:
        sink.open(a_run())
        for number, result in enumerate(faces + nobody, 1):
            sink.write(result)
            wait_for(lambda number=number: sink.sent == number)  # type: ignore[misc]
        wait_for(lambda: not sink._shown)
        sink.finish({})
    wait_for(lambda: "/rtface/face/0/gaze fff 0.000000 0.000000 0.000000" in oscdump.output)
    found = oscdump.messages("/rtface/face/0/gone")
    for name, first in (("pose", 20.0), ("gaze", 10.0), ("gesture", None), ("blend/jawOpen", None)):
        values = [numbers(message) for message in found if message[0] == f"/rtface/face/0/{name}"]
        after = values[5:]
        assert first is None or values[4][0] == pytest.approx(first, abs=1e-4)
        assert len(after) > 10 and after[-1] == [0.0] * len(after[-1])
        size = [sum(map(abs, one)) for one in after]
        assert size == sorted(size, reverse=True) and size[0] > 0.8 * sum(map(abs, values[4])), "no jump"
    assert sum(address.endswith("/gone") for address, _, _ in found) == 1


def test_an_avatar_glides_to_neutral_when_its_person_is_gone(oscdump: OscDump) -> None:
    sink = VmcSink(parse_output_url(f"vmc://127.0.0.1:{oscdump.port}?clips=arkit"))
    face = a_face(pose=(20.0, 10.0, 5.0), moved=OPEN, gaze=Gaze(-10.0, 5.0, 0.4))
    with sink:
        sink.open(a_run())
        for number, result in enumerate([a_result(face), *(a_result(index=index) for index in range(1, 90))], 1):
            sink.write(result)
            wait_for(lambda number=number: sink.sent == number)  # type: ignore[misc]
        sink.finish({})
    wait_for(lambda: oscdump.output.count("/VMC/Ext/Blend/Apply") == 90)
    found = oscdump.messages("/VMC/Ext/Blend/Apply")
    for name in ("Head", "Neck", "LeftEye", "RightEye"):
        turns = [math.acos(min(abs(float(values[7])), 1.0)) for _, _, values in found if values[:1] == [f'"{name}"']]
        assert len(turns) == 90
        assert turns[24] == turns[0] > 0.03, "for a second the last value stands"
        assert turns[26:] == sorted(turns[26:], reverse=True) and turns[-1] < 2e-3
    jaw = [float(values[1]) for _, _, values in found if values[:1] == ['"jawOpen"']]
    assert jaw[24] == jaw[0] > 0.4 and jaw[-1] == 0.0


def test_an_avatar_gets_bones_and_blend_shapes(oscdump: OscDump) -> None:
    face = a_face(pose=(20.0, 10.0, 5.0), moved=OPEN)
    run_through(VmcSink(parse_output_url(f"vmc://127.0.0.1:{oscdump.port}?clips=vrm0,arkit")), [a_result(face)])
    found = oscdump.messages("/VMC/Ext/Blend/Apply")
    assert [address for address, _, _ in found[:5]] == [
        *("/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos", "/VMC/Ext/Bone/Pos", "/VMC/Ext/Bone/Pos")
    ]
    assert found[0][1:] == ("i", ["1"]) and found[1][1] == "f"
    assert [types for _, types, _ in found[2:5]] == ["sfffffff"] * 3
    assert [values[0] for _, _, values in found[2:5]] == ['"root"', '"Neck"', '"Head"']
    clips = {values[0].strip('"'): float(values[1]) for address, _, values in found if address.endswith("/Blend/Val")}
    assert clips["Joy"] == pytest.approx(0.7)
    assert clips["A"] > 0.4 and clips["jawOpen"] > 0.4
    assert clips["Blink_L"] == 0.0
    assert found[-1][0] == "/VMC/Ext/Blend/Apply"


def rotate(quaternion: tuple[float, ...], vector: tuple[float, float, float]) -> np.ndarray:
    x, y, z, w = quaternion
    axis, v = np.array((x, y, z)), np.array(vector)
    return v + 2 * np.cross(axis, np.cross(axis, v) + w * v)


@pytest.mark.parametrize(
    ("pose", "mirror", "looks", "up"),
    [
        # Unity's axes: x is the avatar's right, y up, z ahead.
        ((30.0, 0.0, 0.0), False, (-0.5, 0.0, 0.866), (0, 1, 0)),  # nose to the picture's right: the owner's left
        ((0.0, 30.0, 0.0), False, (0.0, 0.5, 0.866), (0.0, 0.866, -0.5)),
        ((0.0, 0.0, 30.0), False, (0.0, 0.0, 1.0), (-0.5, 0.866, 0.0)),  # clockwise in the picture: to the owner's left
        ((30.0, 0.0, 0.0), True, (0.5, 0.0, 0.866), (0, 1, 0)),
        ((0.0, 30.0, 0.0), True, (0.0, 0.5, 0.866), (0.0, 0.866, -0.5)),
        ((0.0, 0.0, 30.0), True, (0.0, 0.0, 1.0), (0.5, 0.866, 0.0)),
    ],
)
def test_the_avatars_head_turns_as_the_person_does(
    pose: tuple[float, float, float], mirror: bool, looks: tuple[float, ...], up: tuple[float, ...]
) -> None:
    neck, head = head_quaternions(HeadPose(*pose), mirror)
    assert rotate(neck, tuple(rotate(head, (0, 0, 1)))) == pytest.approx(looks, abs=1e-3)
    assert rotate(neck, tuple(rotate(head, (0, 1, 0)))) == pytest.approx(up, abs=1e-3)


def test_quaternions_agree_with_the_matrix_for_any_pose() -> None:
    for pose in ((25.0, -15.0, 10.0), (-40.0, 20.0, -30.0)):
        neck, head = head_quaternions(HeadPose(*pose))
        nose = rotation_matrix(*pose) @ (0, 0, -1)  # in picture axes: x right, y down, z away
        assert rotate(neck, tuple(rotate(head, (0, 0, 1)))) == pytest.approx(-nose, abs=1e-6)


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (0.0, -20.0, 0.0), (20.0, -10.0, 15.0)])
def test_an_avatar_whose_person_looks_into_the_camera_looks_ahead_wherever_its_head_points(
    oscdump: OscDump, pose: tuple[float, float, float], mirror: bool
) -> None:
    url = f"vmc://127.0.0.1:{oscdump.port}" + ("?mirror=1" if mirror else "")
    run_through(VmcSink(parse_output_url(url)), [a_result(a_face(pose=pose, gaze=Gaze(0.0, 0.0, 1.0)))])
    found = oscdump.messages("/VMC/Ext/Blend/Apply")
    bones = {values[0].strip('"'): tuple(map(float, values[4:])) for _, types, values in found if types == "sfffffff"}
    for eye in ("LeftEye", "RightEye"):
        sight = rotate(bones["Neck"], tuple(rotate(bones["Head"], tuple(rotate(bones[eye], (0, 0, 1))))))
        assert sight == pytest.approx((0.0, 0.0, 1.0), abs=2e-3)


def test_an_avatar_gets_eyes_only_where_they_are_known(oscdump: OscDump) -> None:
    run_through(VmcSink(parse_output_url(f"vmc://127.0.0.1:{oscdump.port}?clips=arkit")), [a_result(a_face())])
    assert "Eye" not in "".join(
        values[0] for _, types, values in oscdump.messages("/VMC/Ext/Blend/Apply") if types == "sfffffff"
    )


def test_a_mirror_exchanges_the_sides_of_clips() -> None:
    clips = vrm0_clips({"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.1} | dict.fromkeys(VOWEL_SHAPES, 0.0), {})
    assert (mirrored_clips(clips)["Blink_L"], mirrored_clips(clips)["Blink_R"]) == (0.1, 0.9)


VOWEL_SHAPES = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthStretchLeft", "mouthStretchRight")

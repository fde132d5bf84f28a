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
from rtface.types import HeadPose
from tests.outputs.made import WIDTH, a_face, a_result, a_run, run_through
from tests.outputs.receivers import Program, free_port, needs, wait_for

pytest.importorskip("pythonosc", reason="needs python-osc (pip install 'rtface[osc]')")

Message = tuple[str, str, list[str]]


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


def test_an_avatar_gets_bones_and_blend_shapes(oscdump: OscDump) -> None:
    face = a_face(
        pose=(20.0, 10.0, 5.0), moved={61: (0, -8), 62: (0, -8), 63: (0, -8), 65: (0, 8), 66: (0, 8), 67: (0, 8)}
    )
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


def test_a_mirror_exchanges_the_sides_of_clips() -> None:
    clips = vrm0_clips({"eyeBlinkLeft": 0.9, "eyeBlinkRight": 0.1} | dict.fromkeys(VOWEL_SHAPES, 0.0), {})
    assert (mirrored_clips(clips)["Blink_L"], mirrored_clips(clips)["Blink_R"]) == (0.1, 0.9)


VOWEL_SHAPES = ("jawOpen", "mouthFunnel", "mouthPucker", "mouthStretchLeft", "mouthStretchRight")

"""opentrack's packets, read by a decoder that follows its receiver."""

from __future__ import annotations

import math
import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest

from rtface.outputs.opentrack import OpenTrackSink
from rtface.outputs.output_url import parse_output_url
from rtface.types import HeadPose, Landmarks
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run, run_through


class OpenTrack:
    """The receiver: binds a port; takes six doubles, and nothing where one is not a number (tracker-udp)."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5)
        self.port = self.socket.getsockname()[1]
        self.refused = 0

    def pose(self) -> tuple[float, ...]:
        while True:
            data = self.socket.recv(1000)
            assert len(data) == 48
            pose = struct.unpack("<6d", data)
            if not any(map(math.isnan, pose)):
                return pose
            self.refused += 1


@pytest.fixture
def receiver() -> Iterator[OpenTrack]:
    opentrack = OpenTrack()
    yield opentrack
    opentrack.socket.close()


def sink_to(receiver: OpenTrack, settings: str = "") -> OpenTrackSink:
    return OpenTrackSink(parse_output_url(f"opentrack://127.0.0.1:{receiver.port}{settings}"))


def test_a_head_arrives_in_centimetres_and_degrees(receiver: OpenTrack) -> None:
    # 1 px a mm: 554 px focal length of a 640 px picture of 60 degrees are 55 cm.
    face = a_face(at=(WIDTH / 2 - 100, HEIGHT / 2 - 50), pose=(20.0, 10.0, 5.0))
    run_through(sink_to(receiver), [a_result(face)])
    x, y, z, yaw, pitch, roll = receiver.pose()
    assert (x, y, z) == pytest.approx((10.0, 5.0, 55.4), abs=0.2)  # left in the picture is the owner's right
    assert (yaw, pitch, roll) == pytest.approx((-20.0, 10.0, -5.0))


def test_a_mirror_exchanges_left_and_right(receiver: OpenTrack) -> None:
    face = a_face(at=(WIDTH / 2 - 100, HEIGHT / 2), pose=(20.0, 10.0, 5.0))
    run_through(sink_to(receiver, "?mirror=1"), [a_result(face)])
    x, _, _, yaw, pitch, roll = receiver.pose()
    assert x == pytest.approx(-10.0, abs=0.2)
    assert (yaw, pitch, roll) == pytest.approx((20.0, 10.0, 5.0))


def test_what_is_not_a_number_is_never_sent(receiver: OpenTrack) -> None:
    good = a_face(pose=(3.0, 0.0, 0.0))
    points = np.full((68, 2), np.nan)
    bad = a_face(landmarks=Landmarks(points, 0.5), box_xyxy=np.full(4, np.nan), pose=(1.0, 0.0, 0.0))
    sick = a_face(pose=(0.0, 0.0, 0.0))
    object.__setattr__(sick, "pose", HeadPose(math.nan, 0.0, 0.0))
    sink = sink_to(receiver)
    with sink:
        sink.open(a_run())
        for face in (bad, sick, good):
            sent = sink.sent
            sink.write(a_result(face))
            while sink.sent == sent:
                pass
        sink.finish({})
    assert receiver.pose()[3] == pytest.approx(-3.0)
    assert receiver.refused == 0


def test_a_face_that_is_gone_holds_then_glides_back_to_neutral() -> None:
    sink = OpenTrackSink(parse_output_url("opentrack://127.0.0.1:9"))
    sink._info = a_run()
    (seen,) = (struct.unpack("<6d", packet) for packet in sink.packets(a_result(a_face(pose=(30.0, 0.0, 0.0)))))
    held = [struct.unpack("<6d", next(iter(sink.packets(a_result(index=index))))) for index in range(1, 25)]
    assert all(pose == seen for pose in held)
    after = [struct.unpack("<6d", next(iter(sink.packets(a_result(index=index))))) for index in range(25, 100)]
    yaws = [pose[3] for pose in after]
    assert yaws == sorted(yaws) and yaws[0] == pytest.approx(-25.5) and abs(yaws[-1]) < 0.01
    assert after[-1][2] == pytest.approx(seen[2])


def test_nothing_is_sent_before_anybody_was_there() -> None:
    sink = OpenTrackSink(parse_output_url("opentrack://127.0.0.1:9"))
    sink._info = a_run()
    assert not list(sink.packets(a_result())) and not list(sink.idle_packets())

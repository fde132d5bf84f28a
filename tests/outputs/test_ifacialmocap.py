"""iFacialMocap's packets, read by a decoder that follows its public description."""

from __future__ import annotations

import socket

import pytest

from rtface.outputs.blend_shapes import BLEND_SHAPES
from rtface.outputs.ifacialmocap import GREETING, IFacialMocapSink
from rtface.outputs.output_url import parse_output_url
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import wait_for


def read(packet: bytes) -> tuple[dict[str, int], dict[str, list[float]]]:
    """``name-value|…|=head#six numbers|rightEye#three|leftEye#three|``."""
    shapes_part, bones_part = packet.decode("ascii").split("=")
    shapes = dict(part.rsplit("-", 1) for part in shapes_part.split("|") if part)
    bones = dict(part.split("#") for part in bones_part.split("|") if part)
    return {name: int(value) for name, value in shapes.items()}, {
        name: [float(number) for number in numbers.split(",")] for name, numbers in bones.items()
    }


def test_who_asks_gets_a_face_until_then_nobody_does() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asks,
        IFacialMocapSink(parse_output_url("ifacialmocap://127.0.0.1:0?reply=0")) as sink,
    ):
        asks.bind(("127.0.0.1", 0))
        asks.settimeout(0.1)
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        sink.write(a_result(a_face()))
        with pytest.raises(TimeoutError):
            asks.recv(4096)
        asks.settimeout(5)
        asks.sendto(b"hello", ("127.0.0.1", sink.port))
        asks.sendto(GREETING, ("127.0.0.1", sink.port))
        wait_for(lambda: sink._listeners)
        sink.write(a_result(a_face(pose=(20.0, 10.0, 5.0)), index=1))
        shapes, bones = read(asks.recv(4096))
    assert len(shapes) == len(BLEND_SHAPES) == 52
    assert {"eyeBlink_L", "mouthSmile_R", "jawOpen", "mouthLeft", "browInnerUp"} <= set(shapes)
    assert all(0 <= value <= 100 for value in shapes.values())
    assert set(bones) == {"head", "rightEye", "leftEye"}
    # + down, + to the owner's left (the nose to the picture's right), + to the owner's right shoulder.
    assert bones["head"][:3] == pytest.approx([-10.0, 20.0, -5.0], abs=0.01)
    assert len(bones["head"]) == 6 and len(bones["leftEye"]) == 3


def test_it_listens_on_this_machine_alone_unless_a_host_is_named() -> None:
    with IFacialMocapSink(parse_output_url("ifacialmocap://:0")) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        assert sink._socket is not None and sink._socket.getsockname()[0] == "127.0.0.1"

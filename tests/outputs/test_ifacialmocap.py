"""iFacialMocap's packets, read by a program written from the published page by someone who had not read the sender."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rtface.outputs.ifacialmocap import IFacialMocapSink
from rtface.outputs.output_url import parse_output_url
from rtface.types import Gaze, HeadPose
from tests.outputs.made import HEIGHT, WIDTH, a_face, a_result, a_run
from tests.outputs.receivers import datagrams, free_port, listening, wait_for
from tests.outputs.receivers.ifacialmocap import HELLO, HELLO_V2, PORT, Packet, ask, decode


@contextmanager
def phone(settings: str = "") -> Iterator[IFacialMocapSink]:
    with IFacialMocapSink(parse_output_url(f"ifacialmocap://127.0.0.1:0{settings}")) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        yield sink


def sent(*faces: object, settings: str = "", **more: object) -> Packet:
    """The packet of a result, by a program that asks from a second socket, as the page's example does."""
    with listening() as program, phone(f"?reply={program.getsockname()[1]}{settings}") as sink:
        ask(("127.0.0.1", sink.port))
        wait_for(lambda: sink._separators)
        sink.write(a_result(*faces, **more))  # type: ignore[arg-type]
        return decode(program.recv(4096))


def test_the_answer_goes_to_the_ports_that_the_page_names() -> None:
    # The phone and the program both have port 49983, so they need an address each.
    try:
        with (
            listening("127.0.0.1", PORT) as program,
            IFacialMocapSink(parse_output_url("ifacialmocap://127.0.0.2")) as sink,
        ):
            sink.open(a_run())
            wait_for(lambda: sink.connected or sink.failures)
            if not sink.connected:
                pytest.skip("needs a second address of this machine (127.0.0.2)")
            ask(("127.0.0.2", PORT))
            wait_for(lambda: sink._separators)
            sink.write(a_result(a_face()))
            assert decode(program.recv(4096)).tracks
    except OSError as error:
        if not isinstance(error, TimeoutError):
            pytest.skip(f"needs UDP port {PORT} ({error})")
        raise


def test_nobody_gets_a_face_before_asking() -> None:
    with listening() as program, phone("?reply=0") as sink:
        program.sendto(b"hello", ("127.0.0.1", sink.port))
        sink.write(a_result(a_face()))
        wait_for(lambda: sink.sent)
        assert datagrams(program) == []
        program.sendto(HELLO, ("127.0.0.1", sink.port))
        wait_for(lambda: sink._separators)
        sink.write(a_result(a_face(), index=1))
        program.settimeout(5)
        assert decode(program.recv(4096)).tracks


def test_head_turns_in_the_pages_axes() -> None:
    # To the picture's right, up, tilted clockwise; x + is down, y + to the picture's right, z + counter-clockwise.
    assert sent(a_face(pose=(20.0, 10.0, 5.0))).head_degrees == pytest.approx((-10.0, 20.0, -5.0), abs=0.01)


def test_head_lies_before_the_camera_in_metres() -> None:
    # 1 px a mm in a picture of 60 degrees: 0.55 m off.
    packet = sent(a_face(at=(WIDTH / 2 + 100, HEIGHT / 2 - 50)))
    assert packet.head_metres == pytest.approx((0.10, 0.05, -0.554), abs=0.002)


def test_blend_shapes_are_the_subjects() -> None:
    blink = {37: (0, 4), 38: (0, 4), 40: (0, -3.5), 41: (0, -3.5)}  # the right eye, left in the picture
    shapes = sent(a_face(moved=blink)).blend_shapes
    assert shapes["eyeBlink_R"] > 50 > 20 > shapes["eyeBlink_L"]
    mirrored = sent(a_face(moved=blink), settings="&mirror=1").blend_shapes
    assert mirrored["eyeBlink_L"] > 50 > 20 > mirrored["eyeBlink_R"]


def test_each_program_gets_the_version_that_it_asked_for() -> None:
    with listening() as old, listening() as new, phone("?reply=0") as sink:
        old.sendto(HELLO, ("127.0.0.1", sink.port))
        new.sendto(HELLO_V2, ("127.0.0.1", sink.port))
        wait_for(lambda: len(sink._separators) == 2)
        sink.write(a_result(a_face()))
        assert decode(old.recv(4096)) == decode(new.recv(4096), "&")


def test_a_ninth_program_takes_the_place_of_the_first() -> None:
    with phone("?reply=0") as sink:
        ports = [free_port() for _ in range(9)]
        for port in ports:
            with listening(port=port) as program:
                program.sendto(HELLO, ("127.0.0.1", sink.port))
                wait_for(lambda port=port: ("127.0.0.1", port) in sink._separators)  # type: ignore[misc]
        assert [port for _, port in sink._separators] == ports[1:]


def test_a_face_that_is_gone_glides_to_rest_and_is_said() -> None:
    with listening() as program, phone("?reply=0") as sink:
        program.sendto(HELLO, ("127.0.0.1", sink.port))
        wait_for(lambda: sink._separators)
        sink.write(a_result(a_face(pose=(20.0, 0.0, 0.0)), at=0.0))
        seen = decode(program.recv(4096))
        packets = []
        for count in range(60):
            sink.write(a_result(at=5.0 + count))
            packets.append(decode(program.recv(4096)))
    turns = [packet.head_degrees[1] for packet in packets]
    assert seen.tracks and not packets[0].tracks
    assert turns == sorted(turns, reverse=True) and turns[0] == pytest.approx(17.0) and turns[-1] < 0.01
    assert packets[-1].head_metres == pytest.approx(seen.head_metres)


def test_what_is_not_a_number_is_never_sent() -> None:
    sick = a_face()
    object.__setattr__(sick, "pose", HeadPose(math.nan, 0.0, 0.0))
    with listening() as program, phone("?reply=0") as sink:
        program.sendto(HELLO, ("127.0.0.1", sink.port))
        wait_for(lambda: sink._separators)
        sink.write(a_result(sick))
        wait_for(lambda: sink.sent)
        assert datagrams(program) == [] and sink.failures == 0


def test_it_listens_on_this_machine_alone_unless_a_host_is_named() -> None:
    with IFacialMocapSink(parse_output_url("ifacialmocap://:0")) as sink:
        sink.open(a_run())
        wait_for(lambda: sink.connected)
        assert sink._socket is not None and sink._socket.getsockname()[0] == "127.0.0.1"


def test_eyes_turn_within_the_head_about_the_heads_own_axes() -> None:
    # The page's sample: eyes that look down have x above 0, and to their owner's left y above 0, as the head.
    down_left = sent(a_face(gaze=Gaze(12.0, -9.0, 0.5)))
    for eye in (down_left.left_eye, down_left.right_eye):
        assert eye == pytest.approx((9.0, 12.0, 0.0), abs=0.01)
    assert sent(a_face(pose=(12.0, 0.0, 0.0), gaze=Gaze(12.0, 0.0, 0.5))).left_eye == pytest.approx((0, 0, 0), abs=0.01)
    assert sent(a_face(gaze=Gaze(12.0, 0.0, 0.5)), settings="&mirror=1").left_eye[1] == pytest.approx(-12.0, abs=0.01)
    assert sent(a_face()).left_eye == sent(a_face()).right_eye == (0.0, 0.0, 0.0)

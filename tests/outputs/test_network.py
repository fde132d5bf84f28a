"""Outputs over a network: never in the way, back by themselves, silent about secrets."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from typing import Any

import pytest

from rtface.outputs.fanout import Fanout
from rtface.outputs.network import PROBE_S, DatagramSink, NetworkSink
from rtface.outputs.opentrack import OpenTrackSink
from rtface.outputs.output_url import parse_output_url
from rtface.system.backoff import Backoff
from rtface.testing import FakeClock
from rtface.types import Event, FrameResult
from tests.outputs.made import a_face, a_result, a_run
from tests.outputs.receivers import free_port, listening, wait_for


class Receiver(NetworkSink[int]):
    """Takes numbers of frames, where `there` is set; hangs while `gate` is not."""

    def __init__(self, waiting: int = 1) -> None:
        super().__init__("test://receiver", waiting=waiting, backoff=Backoff(0.001, 0.002))
        self.there, self.gate = threading.Event(), threading.Event()
        self.there.set()
        self.gate.set()
        self.sending = threading.Event()
        self.got: list[int] = []
        self.calls: list[str] = []

    def items(self, result: FrameResult) -> Iterable[int]:
        return (result.frame.index,)

    def connect(self) -> None:
        self.calls.append("connect")
        if not self.there.is_set():
            raise ConnectionRefusedError(111, "Connection refused")

    def send(self, item: int) -> None:
        self.sending.set()
        self.gate.wait(10)
        if not self.there.is_set():
            raise BrokenPipeError(32, "Broken pipe at rtsp://me:secret@host/")
        self.got.append(item)

    def farewell(self, summary: dict[str, Any]) -> None:
        self.calls.append(f"farewell {summary['frames']}")

    def disconnect(self) -> None:
        self.calls.append("disconnect")


def test_everything_arrives_then_the_farewell() -> None:
    sink = Receiver(waiting=50)
    fanout = Fanout([sink], a_run(), live=False)
    for index in range(50):
        fanout.put(a_result(index=index))
    fanout.finish({"frames": 50})
    assert sink.got == list(range(50)) and sink.lost == 0
    assert sink.calls == ["connect", "farewell 50", "disconnect"]


def test_a_receiver_that_hangs_costs_its_own_results_only() -> None:
    sink = Receiver()
    sink.gate.clear()
    fanout = Fanout([sink], a_run(), live=True)
    fanout.put(a_result(index=0))
    assert sink.sending.wait(10)
    for index in range(1, 1000):
        fanout.put(a_result(index=index))
    sink.gate.set()
    summary: dict[str, Any] = {"frames": 1000}
    fanout.finish(summary)
    assert sink.got == [0, 999] and sink.lost == 998


def test_a_receiver_that_hangs_for_ever_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.outputs.network.LINGER_S", 0.05)
    sink = Receiver()
    sink.gate.clear()
    fanout = Fanout([sink], a_run(), live=True)
    fanout.put(a_result())
    assert sink.sending.wait(10)
    began = time.monotonic()
    fanout.finish({"frames": 1})
    assert time.monotonic() - began < 5
    sink.gate.set()


def test_a_lost_receiver_is_an_event_and_comes_back() -> None:
    events: list[Event] = []
    sink = Receiver()
    with sink:
        sink.open(a_run(on_event=events.append))
        sink.write(a_result(index=0))
        wait_for(lambda: sink.got == [0])
        sink.there.clear()
        sink.write(a_result(index=1))
        wait_for(lambda: sink.calls.count("connect") > 3)
        sink.there.set()
        wait_for(lambda: len(events) == 2)
        sink.write(a_result(index=2))
        wait_for(lambda: sink.got == [0, 2])
        sink.finish({"frames": 3})
    assert [event.kind for event in events] == ["output_lost", "output_back"]
    assert events[0].what == "test://receiver: broken pipe at rtsp://…@host/" and events[1].what == "test://receiver"
    assert events[1].duration_s is not None and events[1].duration_s > 0
    assert sink.lost == 1 and sink.failures > 3


def test_secrets_in_what_another_library_says_are_not_told() -> None:
    class Leaky(Receiver):
        def connect(self) -> None:
            raise ValueError("cannot reach mqtt://me:secret@broker (password=hunter2)")

    events: list[Event] = []
    with Leaky() as sink:
        sink.open(a_run(on_event=events.append))
        wait_for(lambda: events)
    assert events[0].what == "test://receiver: cannot reach mqtt://…@broker (password=…)"


def test_a_run_ends_at_once_where_nobody_ever_answered() -> None:
    sink = Receiver()
    sink.there.clear()
    fanout = Fanout([sink], a_run(), live=True)
    fanout.put(a_result())
    wait_for(lambda: sink.failures)
    fanout.finish({"frames": 1})
    assert sink.lost == 1 and sink.calls[-1] == "disconnect" and not sink.got
    assert not any(thread.name == "rtface-test://receiver" for thread in threading.enumerate())


def test_that_nobody_listens_for_packets_is_said_once_and_sending_goes_on() -> None:
    events: list[Event] = []
    with OpenTrackSink(parse_output_url(f"opentrack://127.0.0.1:{free_port()}")) as sink:
        sink.open(a_run(on_event=events.append))
        for index in range(50):
            sink.write(a_result(a_face(), index=index))
            wait_for(lambda index=index: sink.sent == index + 1)  # type: ignore[misc]
    assert [event.what.split(": ")[1] for event in events] == ["nobody listens there yet; sending goes on"]


def test_for_nobody_packets_are_not_made_and_who_comes_is_found() -> None:
    """A packet now and then finds out that somebody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    made: list[int] = []

    class Packets(DatagramSink):
        def packets(self, result: FrameResult) -> Iterable[bytes]:
            made.append(result.frame.index)
            return (b"packet",)

    clock = FakeClock()
    with Packets("test", "127.0.0.1", port, clock=clock) as sink:
        sink.open(a_run())
        for index in range(100):
            sink.write(a_result(index=index))
            wait_for(lambda index=index: sink.sent == index + 1)  # type: ignore[misc]
        assert len(made) <= 3 and sink.lost >= 97
        with listening(port=port) as receiver:
            clock.time += PROBE_S
            for index in range(100, 103):
                sink.write(a_result(index=index))
                wait_for(lambda index=index: sink.sent == index + 1)  # type: ignore[misc]
            assert receiver.recv(100) == b"packet" and made[-3:] == [100, 101, 102]
        sink.finish({})


def test_a_host_that_is_not_known_is_said() -> None:
    events: list[Event] = []
    with OpenTrackSink(parse_output_url("opentrack://no.such.host.invalid:1")) as sink:
        sink.open(a_run(on_event=events.append))
        wait_for(lambda: events)
    assert events[0].what == "opentrack://no.such.host.invalid:1: the host's name is not known"

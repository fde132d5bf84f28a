"""Results to several outputs."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rtface.errors import OutputError
from rtface.outputs.fanout import Fanout
from rtface.outputs.sink import RunInfo, Sink
from rtface.types import Event, Frame, FrameResult

INFO = RunInfo("clip", live=False, stills=False, fps=None, frame_count=None, header={})
FAILURE = OutputError("sink", "failed", "mend")


class Recorder(Sink):
    """Keeps what it is given; may fail where told, and wait before each write."""

    def __init__(self, name: str = "recorder", fails: str = "", gate: threading.Event | None = None) -> None:
        self.name, self._fails, self._gate = name, fails, gate
        self.indices: list[int] = []
        self.calls: list[str] = []
        self.summary: dict[str, Any] = {}
        self.writing = threading.Event()

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self._fails == name:
            raise FAILURE

    def open(self, info: RunInfo) -> None:
        self._call("open")

    def write(self, result: FrameResult) -> None:
        self.writing.set()
        if self._gate is not None:
            assert self._gate.wait(10)
        self._call("write")
        self.indices.append(result.frame.index)

    def finish(self, summary: dict[str, Any]) -> None:
        self._call("finish")
        self.summary = summary

    def close(self) -> None:
        self.calls.append("close")


def results(count: int) -> list[FrameResult]:
    image = np.zeros((2, 2, 3), np.uint8)
    return [FrameResult(Frame(image, index=index)) for index in range(count)]


@pytest.mark.parametrize("own_thread", [True, False])
def test_every_result_reaches_every_output_then_the_summary(own_thread: bool) -> None:
    sinks = [Recorder("a"), Recorder("b")]
    sinks[1].own_thread = own_thread
    fanout = Fanout(sinks, INFO, live=False)
    for result in results(50):
        fanout.put(result)
    fanout.finish({"frames": 50})
    for sink in sinks:
        assert sink.indices == list(range(50))
        assert sink.calls == ["open", *["write"] * 50, "finish", "close"]
        assert sink.summary == {"frames": 50, "lost": {}}


def test_a_slow_output_loses_its_own_results_only() -> None:
    gate = threading.Event()
    slow, quick = Recorder("slow", gate=gate), Recorder("quick")
    quick.own_thread = False
    fanout = Fanout([slow, quick], INFO, live=True)
    first, *others = results(6)
    fanout.put(first)
    assert slow.writing.wait(10)
    for result in others:
        fanout.put(result)
    assert quick.indices == [0, 1, 2, 3, 4, 5]
    gate.set()
    fanout.finish({})
    assert slow.indices == [0, 5]
    assert slow.summary == {"lost": {"slow": 4}}


@pytest.mark.parametrize("own_thread", [True, False])
@pytest.mark.parametrize("fails", ["write", "finish"])
def test_one_outputs_failure_leaves_the_others_whole(own_thread: bool, fails: str) -> None:
    bad, good = Recorder("bad", fails=fails), Recorder("good")
    bad.own_thread = own_thread
    fanout = Fanout([good, bad], INFO, live=False)
    put = 0
    try:
        for result in results(1000):
            put += 1
            fanout.put(result)
    except OutputError as error:
        assert fails == "write"
        assert error is FAILURE
    with pytest.raises(OutputError, match="failed"):
        fanout.finish({})
    assert good.indices == list(range(put))
    assert good.calls[-2:] == ["finish", "close"]
    assert bad.calls[-1] == "close"
    assert bad.calls.count("finish") == (fails == "finish")
    assert (put < 1000) is (fails == "write")


def test_an_output_that_does_not_open_closes_those_before_it() -> None:
    first, second = Recorder("first"), Recorder("second", fails="open")
    with pytest.raises(OutputError, match="failed"):
        Fanout([first, second], INFO, live=False)
    assert first.calls == ["open", "close"]
    assert second.calls == ["open", "close"]


def test_an_output_that_wants_no_more_says_so() -> None:
    sink = Recorder()
    fanout = Fanout([sink], INFO, live=True)
    assert not fanout.done
    sink.done = True
    assert fanout.done
    fanout.finish({})


def test_an_output_that_blocks_is_given_up_and_the_others_finish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.outputs.fanout.GIVE_UP_S", 0.05)
    never = threading.Event()
    stuck, other, quick = Recorder("stuck", gate=never), Recorder("also stuck", gate=never), Recorder("quick")
    fanout = Fanout([stuck, quick, other], INFO, live=False)
    for result in results(3):
        fanout.put(result)
    with pytest.raises(OutputError, match=r"stuck: made no headway for 0\.05 s and was given up"):
        fanout.finish({})
    assert quick.indices == [0, 1, 2] and quick.calls[-2:] == ["finish", "close"]
    never.set()


def test_an_output_that_is_slow_but_moves_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.outputs.fanout.GIVE_UP_S", 0.5)

    class Slow(Recorder):
        def write(self, result: FrameResult) -> None:
            threading.Event().wait(0.2)
            super().write(result)

    sink = Slow("slow")
    fanout = Fanout([sink], INFO, live=False)
    for result in results(6):
        fanout.put(result)
    fanout.finish({})
    assert sink.indices == list(range(6))


@pytest.mark.parametrize("own_thread", [True, False])
@pytest.mark.parametrize("error", [ValueError("two\nlines"), SystemExit(3), RecursionError()])
def test_whatever_an_output_meets_is_one_error_that_names_it(own_thread: bool, error: BaseException) -> None:
    class Broken(Recorder):
        failed = threading.Event()

        def write(self, result: FrameResult) -> None:
            self.failed.set()
            raise error

    sink = Broken("mine")
    sink.own_thread = own_thread
    fanout = Fanout([sink], INFO, live=True)
    (result,) = results(1)
    with pytest.raises(OutputError) as caught:
        for _ in range(1000):
            fanout.put(result)
            fanout.idle()
            sink.failed.wait(0.01)
    assert str(caught.value).startswith(f"mine: failed with {type(error).__name__}")
    assert "\n" not in str(caught.value) and caught.value.__cause__ is error
    with pytest.raises(OutputError):
        fanout.finish({})


def test_a_slow_output_misses_frames_but_no_events() -> None:
    class Events(Recorder):
        def write(self, result: FrameResult) -> None:
            super().write(result)
            self.seen = [*getattr(self, "seen", []), *(event.what for event in result.events)]

    gate = threading.Event()
    slow = Events(gate=gate)
    fanout = Fanout([slow], INFO, live=True)
    first, *rest = results(6)
    fanout.put(first)
    assert slow.writing.wait(10)
    for result in rest:
        fanout.put(replace(result, events=(Event("smile", 0.0, str(result.frame.index), 1),)))
    gate.set()
    fanout.finish({})
    assert slow.indices == [0, 5]
    assert slow.seen == ["1", "2", "3", "4", "5"]

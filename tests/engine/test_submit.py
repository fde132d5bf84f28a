"""Calls of TensorRT that begin before the last one's answers are read: against the fake that enforces its rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from rtface.engine import DeviceFailed, Engine
from rtface.engine.fallback import FallbackEngine
from rtface.engine.hotswap import HotSwapEngine
from rtface.engine.tensorrt import SLOTS, TrtEngine
from rtface.engine.tickets import Ticket, begun, submitter
from rtface.engine.trt_context import GRAPH_AFTER
from rtface.errors import EngineError
from rtface.geometry.crop import Crop, warp_crops
from tests.engine.fake_trt import FakeRtx
from tests.engine.test_tensorrt import FIXED, crops, is_right, opened, shapes

KINDS = pytest.mark.parametrize("integrated", [False, True], ids=["a card", "Jetson"])


@KINDS
@pytest.mark.parametrize("graphs", [True, False])
def test_answers_are_each_calls_own_in_whatever_order_they_are_collected(graphs: bool, integrated: bool) -> None:
    engine, _, cuda = opened(graphs=graphs, integrated=integrated, warm=shapes(3))
    rng = np.random.default_rng(0)
    flying: list[tuple[Ticket, np.ndarray]] = []
    for call in range(40):
        batch = crops(1 + call % 3, seed=call)
        given = batch.copy()
        flying.append((engine.submit(given, engine.outputs), batch))
        given[:] = 99  # the caller's again at once
        if call % 7 == 3:
            assert is_right(engine.run(other := crops(2, seed=900 + call), engine.outputs), other)
        while len(flying) > call % 4:
            ticket, expected = flying.pop(int(rng.integers(len(flying))))
            assert is_right(ticket.collect(), expected)
    assert (cuda.launched > 20) if graphs else (cuda.launched == 0)
    engine.close()
    assert cuda.closed


@KINDS
def test_the_first_call_is_waited_for_alone_while_the_second_is_in_the_stream(integrated: bool) -> None:
    engine, _, cuda = opened(integrated=integrated, ahead=True)
    engine.prepare()
    first, second = engine.submit(one := crops(1, 1), engine.outputs), engine.submit(two := crops(2, 2), engine.outputs)
    assert len(cuda.queue) > 0
    assert is_right(first.collect(), one) and len(cuda.queue) > 0, "the second has not run yet"
    assert is_right(second.collect(), two) and not cuda.queue
    engine.close()


@KINDS
def test_the_answers_of_a_call_outlive_those_after_it(integrated: bool) -> None:
    engine, *_ = opened(integrated=integrated)
    answers = engine.submit(batch := crops(2, 1), engine.outputs).collect()
    for call in range(6):
        engine.submit(crops(2, call + 5), engine.outputs)
        assert is_right(answers, batch)
    engine.close()


def test_a_third_call_waits_for_the_oldest_and_keeps_its_answers() -> None:
    engine, _, cuda = opened()
    batches = [crops(2, call) for call in range(5)]
    tickets = [engine.submit(batch, engine.outputs) for batch in batches]
    memory = len(cuda.blocks)
    assert all(is_right(ticket.collect(), batch) for ticket, batch in zip(tickets, batches, strict=True))
    assert is_right(tickets[0].collect(), batches[0]), "as often as one likes"
    for call in range(10):  # tickets that nobody collects cost nothing
        engine.submit(crops(2, call), engine.outputs)
    assert len(cuda.blocks) == memory == 6 + 1  # in and out there, twice here; what they work in
    engine.close()


@KINDS
def test_prepare_leaves_nothing_to_wait_for_where_calls_overlap(integrated: bool) -> None:
    engine, api, cuda = opened(integrated=integrated, warm=shapes(8), profiles=FIXED, ahead=True)
    engine.prepare()
    assert api.engine is not None
    blocks, launched, copies = set(cuda.blocks), cuda.launched, cuda.copies
    tickets = [(engine.submit(batch := crops(count, count), engine.outputs), batch) for count in (1, 8, 3, 5, 8, 2)]
    assert all(is_right(ticket.collect(), batch) for ticket, batch in tickets)
    assert (set(cuda.blocks), cuda.launched, cuda.copies) == (blocks, launched + 6, copies), "graphs alone"
    engine.close()


def test_a_stream_of_single_calls_has_memory_for_one() -> None:
    engine, _, cuda = opened(warm=shapes(2))
    engine.prepare()
    assert len(cuda.blocks) == 2 * 4 + 1
    engine.close()


def test_a_context_is_given_back_or_changed_only_when_its_calls_are_read() -> None:
    engine, _, cuda = opened(max_contexts=1, warm=shapes(1))
    flying = []
    for call, count in enumerate((1, 3, 2, 1, 4, 4, 4, 4, 2, 1)):  # one context for one face, one for all other shapes
        flying.append((engine.submit(batch := crops(count, call), engine.outputs), batch))
    assert all(is_right(ticket.collect(), batch) for ticket, batch in flying)
    engine.close()
    assert cuda.closed


def test_a_long_batch_goes_in_parts_that_overlap() -> None:
    engine, _, cuda = opened(most=3)
    batch = crops(11)
    assert is_right(engine.run(batch, engine.outputs), batch)
    ticket, seen = engine.submit(batch, ("mean",)), len(cuda.queue)
    assert seen > 0 and np.allclose(ticket.collect()["mean"], batch.reshape(11, -1, 3).mean(axis=1), atol=1e-3)
    engine.close()


def test_tensorrt_rtx_keeps_one_set_of_addresses() -> None:
    engine, *_ = opened(api=FakeRtx)
    batch = crops(2)
    for call in range(6):
        ticket = engine.submit(batch, engine.outputs)
        engine.submit(crops(2, 50 + call), engine.outputs).collect()
        assert is_right(ticket.collect(), batch)
    places = [memory.addresses for memory in engine._contexts[batch.shape]._memories]
    assert len(places) == SLOTS and places[0] == places[1]
    engine.close()
    engine, *_ = opened(api=FakeRtx, integrated=True)  # there each has its own: one call at a time
    assert not engine.submits() and submitter(engine) is None
    assert is_right(begun(engine, batch, engine.outputs).collect(), batch)
    engine.close()


def test_a_call_of_an_engine_that_was_closed_says_so() -> None:
    engine, *_ = opened()
    kept, lost = engine.submit(batch := crops(1), engine.outputs), engine.submit(crops(1), engine.outputs)
    kept.collect()
    engine.close()
    assert is_right(kept.collect(), batch)
    with pytest.raises(EngineError, match="closed"):
        lost.collect()
    with pytest.raises(EngineError, match="closed"):
        engine.submit(crops(1), engine.outputs)


def test_what_does_not_fit_is_named_before_anything_begins() -> None:
    engine, _, cuda = opened()
    with pytest.raises(EngineError, match="got float32"):
        engine.submit(crops(1).astype(np.float32), ("mean",))
    with pytest.raises(EngineError, match="no output 'maen'"):
        engine.submit(crops(1), ("maen",))
    assert not cuda.queue


class Cpu:
    """Stands for ONNX Runtime: right answers, and a note of what it ran."""

    outputs = ("mean", "flip")

    def __init__(self) -> None:
        self.ran: list[np.ndarray] = []

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
        self.ran.append(batch.copy())
        means = batch.reshape(len(batch), -1, 3).mean(axis=1)
        return {"mean": means.astype(np.float32), "flip": batch[:, ::-1]}

    def describe(self) -> dict[str, str | int]:
        return {"engine": "onnxruntime"}

    def close(self) -> None: ...


@pytest.mark.parametrize("calls", [1, GRAPH_AFTER + 2])
def test_a_gpu_that_fails_under_two_calls_loses_neither(calls: int, caplog: pytest.LogCaptureFixture) -> None:
    trt, _, cuda = opened()
    cpu = Cpu()
    engine = FallbackEngine("net", trt, lambda: cpu, crop_px=4)
    for call in range(calls):
        engine.run(crops(1, call), engine.outputs)
    kept = engine.submit(given := (first := crops(2, 1)).copy(), engine.outputs)
    given[:] = 0
    other = engine.submit(second := crops(1, 2), engine.outputs)
    cuda.dead = True
    assert is_right(kept.collect(), first) and is_right(other.collect(), second)
    assert [len(batch) for batch in cpu.ran] == [2, 1] and caplog.text.count("from here on") == 1
    assert not engine.submits() and is_right(begun(engine, first, engine.outputs).collect(), first)


def test_a_gpu_that_fails_when_a_call_begins_gives_way_at_once() -> None:
    trt, api, _ = opened()
    cpu = Cpu()
    engine = FallbackEngine("net", trt, lambda: cpu)
    waiting = engine.submit(first := crops(1, 1), engine.outputs)
    assert api.engine is not None
    api.engine.fails = True
    begun_later = engine.submit(second := crops(2, 2), engine.outputs)
    assert len(cpu.ran) == 1 and is_right(begun_later.collect(), second)
    assert is_right(waiting.collect(), first), "its engine is closed"
    assert len(cpu.ran) == 2


def test_a_gpu_that_dies_at_the_third_call_loses_none() -> None:
    trt, _, cuda = opened()
    engine = FallbackEngine("net", trt, Cpu)
    flying = [(engine.submit(batch := crops(1, call), engine.outputs), batch) for call in range(2)]
    cuda.dead = True  # met by the third call, which waits for the first
    flying += [(engine.submit(batch := crops(2, call), engine.outputs), batch) for call in (7, 8)]
    assert all(is_right(ticket.collect(), batch) for ticket, batch in flying)


def test_a_wrong_batch_is_the_callers() -> None:
    trt, *_ = opened()
    engine = FallbackEngine("net", trt, lambda: pytest.fail("no spare is needed"))
    with pytest.raises(EngineError, match="no output"):
        engine.submit(crops(1), ("maen",))
    assert engine.submits()
    engine.close()


def test_the_better_engine_is_swapped_in_when_a_call_begins() -> None:
    trt, *_ = opened()
    engine = HotSwapEngine("net", Cpu(), lambda stop: trt)
    assert not engine.submits() or engine.wait(10)
    assert engine.wait(10)
    ticket = begun(engine, batch := crops(2), engine.outputs)
    assert is_right(ticket.collect(), batch)
    assert is_right(engine.run(batch, engine.outputs), batch)
    assert engine.describe()["engine"] == "tensorrt" and engine.submits()
    assert is_right(engine.submit(batch, engine.outputs).collect(), batch)
    engine.close()


class CutByGpu:
    """In place of the crop kernel: notes whose slot's buffers are written, and puts the CPU's crops there."""

    def __init__(self, cuda: Any, side: int) -> None:
        self.cuda, self.side, self.slots, self.closed = cuda, side, list[int](), False

    def takes(self, crops: Sequence[Crop]) -> bool:
        return True

    def put(self, image: np.ndarray, crops: Sequence[Crop], address: int, slot: int = 0) -> None:
        self.slots.append(slot)
        size = self.side
        made = warp_crops(image, list(crops), np.empty((len(crops), size, size, 3), np.uint8)).copy()
        block = self.cuda.holding(address)
        start = address - block.address
        self.cuda.put(lambda: block.memory.__setitem__(slice(start, start + made.nbytes), made.ravel()))

    def close(self) -> None:
        self.closed = True


@KINDS
def test_crops_of_a_frame_are_cut_in_the_slot_of_their_call(integrated: bool) -> None:
    trt, _, cuda = opened(integrated=integrated, graphs=True)
    cutter: Any = CutByGpu(cuda, 4)
    trt._crops = cutter
    frame = np.random.default_rng(3).integers(0, 256, (40, 60, 3), np.uint8)
    squares = [Crop(10 + 3 * at, 20, 6 + at) for at in range(11)]
    expected = warp_crops(frame, squares, np.empty((11, 4, 4, 3), np.uint8))
    engine: Engine = FallbackEngine("net", trt, Cpu, crop_px=4)
    able = submitter(engine)
    assert able is not None
    for _ in range(4):
        tickets = [able.submit_crops(frame, squares[at : at + 2], engine.outputs) for at in (0, 2, 4)]
        for at, ticket in zip((0, 2, 4), tickets, strict=True):
            assert is_right(ticket.collect(), expected[at : at + 2])
    assert set(cutter.slots) == {0, 1}
    assert is_right(able.submit_crops(frame, squares, engine.outputs).collect(), expected), "more than the plan takes"
    last = able.submit_crops(frame, squares[:3], engine.outputs)
    cuda.dead = True
    assert is_right(last.collect(), expected[:3]), "the CPU cuts them out again"


def test_an_engine_that_only_runs_is_asked_as_before() -> None:
    cpu: Any = Cpu()
    assert submitter(cpu) is None
    assert is_right(begun(cpu, batch := crops(2), ("mean", "flip")).collect(), batch) and len(cpu.ran) == 1


def test_failing_calls_are_the_devices() -> None:
    engine, _, cuda = opened()
    tickets = [engine.submit(crops(1, call), engine.outputs) for call in range(2)]
    cuda.dead = True
    for ticket in (*tickets, *tickets):
        with pytest.raises(DeviceFailed):
            ticket.collect()
    assert isinstance(engine, TrtEngine)
    engine.close()

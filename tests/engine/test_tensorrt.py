"""The TensorRT adapter against a fake that enforces TensorRT's rules: order, addresses, shapes, types, lifetimes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rtface.engine.tensorrt import GRAPH_AFTER, TrtEngine
from rtface.engine.trt_build import Shapes, build_plan
from rtface.errors import EngineError
from tests.engine.fake_trt import PLAN, SIDE, FakeCuda, FakeTrt


def opened(most: int = 8, graphs: bool = True, places: int = 8) -> tuple[TrtEngine, FakeTrt, FakeCuda]:
    cuda = FakeCuda(graphs)
    api = FakeTrt(cuda, most)
    return TrtEngine(PLAN, "net", places=places, api=api, cuda=cuda), api, cuda


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def is_right(out: dict[str, np.ndarray], batch: np.ndarray) -> bool:
    mean = batch.reshape(len(batch), -1, 3).mean(axis=1, dtype=np.float64)
    return bool(np.allclose(out["mean"], mean, atol=1e-3) and np.array_equal(out["flip"], batch[:, ::-1]))


@pytest.mark.parametrize("graphs", [True, False])
def test_every_call_is_right_before_and_after_a_graph_is_recorded(graphs: bool) -> None:
    engine, _, cuda = opened(graphs=graphs)
    assert set(engine.outputs) == {"mean", "flip"}
    for call in range(3 * (GRAPH_AFTER + 2)):
        batch = crops(1 + call % 3, seed=call)
        assert is_right(engine.run(batch, engine.outputs), batch)
    assert cuda.launched == (6 if graphs else 0)  # of each shape's calls those after the first two


def test_only_what_is_asked_for_and_it_lasts() -> None:
    engine, *_ = opened()
    first = engine.run(crops(2, 1), ("mean",))
    kept = first["mean"].copy()
    assert list(first) == ["mean"]
    engine.run(crops(2, 2), ("mean",))
    assert np.array_equal(first["mean"], kept)


def test_a_longer_batch_goes_in_several_calls() -> None:
    engine, *_ = opened(most=3)
    assert is_right(engine.run(batch := crops(8), engine.outputs), batch)


def test_places_used_least_are_given_back() -> None:
    engine, _, cuda = opened(places=2)
    for count in (1, 2, 3, 1, 4):
        assert is_right(engine.run(batch := crops(count), engine.outputs), batch)
        assert len(cuda.blocks) <= 2 * 3 * 2  # two places of three tensors, on the device and pinned
    engine.close()
    engine.close()
    assert cuda.closed and not cuda.blocks
    with pytest.raises(EngineError, match="closed"):
        engine.run(crops(1), ("mean",))


def test_another_thread_may_run_it() -> None:
    engine, *_ = opened()
    batch, seen = crops(1), []
    thread = threading.Thread(target=lambda: seen.append(engine.run(batch, engine.outputs)))
    thread.start()
    thread.join()
    assert is_right(seen[0], batch) and is_right(engine.run(batch, engine.outputs), batch)


@pytest.mark.parametrize(
    ("batch", "names", "why"),
    [
        (np.zeros((1, SIDE, SIDE, 3), np.float32), ("mean",), "expected uint8 .* got float32"),
        (np.zeros((1, 9, SIDE, 3), np.uint8), ("mean",), r"got uint8 \(1, 9, 4, 3\)"),
        (np.zeros((0, SIDE, SIDE, 3), np.uint8), ("mean",), "got uint8"),
        (np.zeros((SIDE, 3), np.uint8), ("mean",), "got uint8"),
        (np.zeros((1, SIDE, SIDE, 3), np.uint8), ("maen",), "no output 'maen'"),
    ],
)
def test_what_does_not_fit_is_named(batch: np.ndarray, names: tuple[str, ...], why: str) -> None:
    engine, *_ = opened()
    with pytest.raises(EngineError, match=why):
        engine.run(batch, names)


def test_failures_are_one_error_and_leave_nothing_behind() -> None:
    with pytest.raises(EngineError, match="does not load its plan"):
        cuda = FakeCuda()
        TrtEngine(b"another plan", "net", api=FakeTrt(cuda), cuda=cuda)
    engine, api, cuda = opened()
    assert api.engine is not None
    api.engine.fails = True
    with pytest.raises(EngineError, match="could not run"):
        engine.run(crops(1), ("mean",))
    engine.close()
    assert not cuda.blocks


def test_a_network_that_cannot_be_recorded_runs_without(caplog: pytest.LogCaptureFixture) -> None:
    engine, api, cuda = opened()
    assert api.engine is not None
    for call in range(6):
        if call == GRAPH_AFTER:
            api.engine.ran = False  # the fake now refuses to be recorded, until it has run again
        assert is_right(engine.run(batch := crops(1, call), engine.outputs), batch)
    assert cuda.launched == 0 and caplog.text.count("no CUDA graph") == 1


def test_facts() -> None:
    engine, *_ = opened()
    facts = {"engine": "tensorrt", "version": "10.13.0", "device": "Fake GPU", "capability": "8.9"}
    assert engine.describe() == facts


def test_a_plan_is_built_strongly_typed_without_tf32() -> None:
    api, told = FakeTrt(FakeCuda()), []
    shapes = Shapes((1, 4, 4, 3), (2, 4, 4, 3), (8, 4, 4, 3))
    plan = build_plan(b"onnx", "net", shapes, workspace_mb=3, progress=lambda *step: told.append(step), api=api)
    assert plan == PLAN and api.built is not None
    assert (api.built.flags, api.built.tf32, api.built.workspace) == (2, False, 3 << 20)
    assert api.built.shapes == (shapes.least, shapes.usual, shapes.most)
    assert told == [("Building", 0.5)]


@pytest.mark.parametrize(
    ("broken", "why"), [("readable", "cannot read it: node 3: uint8"), ("buildable", "cannot build it")]
)
def test_what_cannot_be_built_is_named(broken: str, why: str) -> None:
    api = FakeTrt(FakeCuda())
    setattr(api, broken, False)
    with pytest.raises(EngineError, match=why):
        build_plan(b"onnx", "net", Shapes((1, 4, 4, 3), (1, 4, 4, 3), (1, 4, 4, 3)), api=api)

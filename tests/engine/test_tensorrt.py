"""The TensorRT adapter against a fake that enforces TensorRT's rules: order, addresses, shapes, types, lifetimes."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.engine import DeviceFailed
from rtface.engine.context_pool import SEEN_BEFORE
from rtface.engine.cuda import SETUP, Gpu
from rtface.engine.tensorrt import TrtEngine
from rtface.engine.trt_api import find_api, logger_of
from rtface.engine.trt_build import Shapes, build_plan, target
from rtface.engine.trt_context import GRAPH_AFTER
from rtface.errors import EngineError
from tests.engine.fake_trt import PLAN, SIDE, Compute, FakeCuda, FakeRtx, FakeTrt, Preview, RtxEngine, Specialization

SHAPES = Shapes((1, 4, 4, 3), (2, 4, 4, 3), (8, 4, 4, 3))


def opened(
    most: int = 8,
    graphs: bool = True,
    integrated: bool = False,
    api: type[FakeTrt] = FakeTrt,
    profiles: tuple[tuple[int, int], ...] = (),
    **given: Any,
) -> tuple[TrtEngine, FakeTrt, FakeCuda]:
    cuda = FakeCuda(graphs, integrated)
    made = api(cuda, most)
    made.profiles = profiles
    return TrtEngine(PLAN, "net", api=made, cuda=cuda, **{"warm": shapes(3), **given}), made, cuda


def shapes(*counts: int) -> list[tuple[int, ...]]:
    """What `prepare` is to make ready."""
    return [(count, SIDE, SIDE, 3) for most in counts for count in range(1, most + 1)]


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def is_right(out: dict[str, np.ndarray], batch: np.ndarray) -> bool:
    mean = batch.reshape(len(batch), -1, 3).mean(axis=1, dtype=np.float64)
    return bool(np.allclose(out["mean"], mean, atol=1e-3) and np.array_equal(out["flip"], batch[:, ::-1]))


@pytest.mark.parametrize("integrated", [False, True], ids=["a card", "Jetson"])
@pytest.mark.parametrize("graphs", [True, False])
def test_every_call_is_right_before_and_after_a_graph_is_recorded(graphs: bool, integrated: bool) -> None:
    engine, _, cuda = opened(graphs=graphs, integrated=integrated)
    assert set(engine.outputs) == {"mean", "flip"}
    for call in range(3 * (GRAPH_AFTER + 4)):
        batch = crops(1 + call % 3, seed=call)
        assert is_right(engine.run(batch, engine.outputs), batch)
    # The working memory grows twice; then every shape's calls but its first two are launches.
    assert (cuda.launched >= 9) if graphs else (cuda.launched == 0)
    engine.close()
    assert cuda.closed


@pytest.mark.parametrize(("integrated", "copies"), [(False, 2), (True, 0)], ids=["a card", "Jetson"])
def test_a_call_copies_once_in_and_once_out_or_not_at_all(integrated: bool, copies: int) -> None:
    engine, _, cuda = opened(graphs=False, integrated=integrated)
    engine.run(crops(2), engine.outputs)
    before = cuda.copies
    engine.run(crops(2), engine.outputs)
    assert cuda.copies - before == copies
    engine.close()


def test_prepare_leaves_nothing_for_the_stream_to_wait_for() -> None:
    engine, api, cuda = opened(warm=shapes(8))
    engine.prepare(("mean",))
    assert api.engine is not None
    contexts, blocks, launched = api.engine.contexts, set(cuda.blocks), cuda.launched
    for count in (1, 8, 3, 5, 2, 4, 7, 6):
        assert is_right(engine.run(batch := crops(count, count), engine.outputs), batch)
    assert (api.engine.contexts, set(cuda.blocks), cuda.launched) == (contexts, blocks, launched + 8)
    engine.close()


FIXED = ((1, 1), (2, 2), (4, 4), (8, 8))


@pytest.mark.parametrize("api", [FakeTrt, FakeRtx])
def test_a_batch_runs_in_the_next_size_that_the_plan_is_tuned_for(api: type[FakeTrt]) -> None:
    engine, made, cuda = opened(api=api, profiles=FIXED, warm=shapes(8))
    engine.prepare()
    assert made.engine is not None and made.engine.contexts == len(FIXED)
    blocks = set(cuda.blocks)
    for call, count in enumerate((1, 8, 3, 5, 2, 4, 7, 6)):
        out = engine.run(batch := crops(count, call), engine.outputs)
        assert len(out["mean"]) == count and is_right(out, batch)
    assert made.engine.contexts == len(FIXED) and set(cuda.blocks) == blocks
    engine.close()


def test_an_open_profile_takes_what_no_other_does() -> None:
    engine, made, _ = opened(profiles=((4, 4), (1, 8)), warm=shapes(8))
    engine.prepare()
    assert made.engine is not None and made.engine.contexts == 5  # up to four faces as four; 5, 6, 7 and 8 as they are
    for count in (2, 6, 4, 1, 8):
        assert is_right(engine.run(batch := crops(count, count), engine.outputs), batch)
    engine.close()


def test_stills_of_one_context_change_its_profile() -> None:
    engine, made, _ = opened(profiles=FIXED, warm=())
    for count in (8, 1, 3, 1, 8):
        assert is_right(engine.run(batch := crops(count, count), engine.outputs), batch)
    assert made.engine is not None and made.engine.contexts == 1
    engine.close()


def test_prepare_takes_what_the_plan_takes() -> None:
    engine, *_ = opened(most=3, warm=[*shapes(8), (1, 99, SIDE, 3)])
    engine.prepare()
    assert is_right(engine.run(batch := crops(8), engine.outputs), batch)
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.prepare()


def test_all_contexts_share_one_working_memory() -> None:
    engine, api, cuda = opened(warm=shapes(8))
    engine.prepare()
    assert api.engine is not None and api.engine.contexts == 8
    assert len(cuda.blocks) == 8 * 4 + 1  # in and out, here and there; and once the memory to work in
    engine.close()


def test_stills_share_one_context_and_ask_for_memory_only_when_they_grow() -> None:
    engine, api, cuda = opened(warm=())
    assert api.engine is not None
    for count in (8, 1, 7, 2, 6, 3, 5, 4):
        assert is_right(engine.run(batch := crops(count, count), engine.outputs), batch)
    assert api.engine.contexts == 1 and len(cuda.blocks) == 5 and cuda.launched == 0
    for call in range(SEEN_BEFORE + GRAPH_AFTER + 1):  # one that comes again and again is a stream
        assert is_right(engine.run(batch := crops(2, call), engine.outputs), batch)
    assert api.engine.contexts == 2 and cuda.launched > 0
    engine.close()


def test_nothing_is_recorded_while_another_thread_sets_tensorrt_up() -> None:
    engine, _, cuda = opened()
    held, go = threading.Event(), threading.Event()

    def load() -> None:
        with SETUP:
            held.set()
            go.wait(10)

    engine.run(crops(1), engine.outputs)
    thread = threading.Thread(target=load)
    thread.start()
    assert held.wait(10)
    for call in range(GRAPH_AFTER + 2):
        assert is_right(engine.run(batch := crops(1, call), engine.outputs), batch)
    assert cuda.launched == 0
    go.set()
    thread.join()
    engine.run(crops(1), engine.outputs)
    assert cuda.launched == 1
    engine.close()


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


def test_contexts_used_least_are_given_back() -> None:
    engine, _, cuda = opened(max_contexts=2, warm=())
    for count in (1, 2, 3, 1, 4) * 4:
        assert is_right(engine.run(batch := crops(count), engine.outputs), batch)
        assert len(cuda.blocks) <= 3 * 4 + 1  # two and the loose one: in and out, here and there; what they work in
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
    with pytest.raises(DeviceFailed, match="could not run"):
        engine.run(crops(1), ("mean",))
    engine.close()
    assert not cuda.blocks


@pytest.mark.parametrize("graph", [False, True])
def test_a_gpu_that_dies_is_named_and_can_be_closed(graph: bool) -> None:
    engine, _, cuda = opened()
    for call in range(GRAPH_AFTER + 2 if graph else 1):
        engine.run(crops(1, call), engine.outputs)
    cuda.dead = True
    for _ in range(2):
        with pytest.raises(DeviceFailed, match="illegal memory access"):
            engine.run(crops(1), ("mean",))
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(crops(1), ("mean",))


@pytest.mark.parametrize("what", ["load", "build"])
def test_a_driver_too_old_for_tensorrt_is_an_error_of_ours(what: str) -> None:
    api = FakeTrt(FakeCuda())
    api.driver_too_old = True
    with pytest.raises(EngineError, match=r"nullptr.* driver"):
        if what == "load":
            TrtEngine(PLAN, "net", api=api, cuda=api.cuda)
        else:
            build_plan(b"onnx", "net", [SHAPES], api=api)
    assert api.cuda.closed == (what == "load")


def test_rtface_debug_opens_tensorrts_log(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, level in (("1", FakeTrt.Logger.INFO), ("0", FakeTrt.Logger.ERROR)):
        monkeypatch.setattr("rtface.engine.trt_api._LOGGERS", {})
        monkeypatch.setenv("RTFACE_DEBUG", value)
        assert logger_of(FakeTrt(FakeCuda())).level == level


def test_tensorrt_rtx_keeps_its_kernels_and_makes_its_graphs(tmp_path: Path) -> None:
    kernels = tmp_path / "own" / "net.kernels"
    for runs in (1, 2):
        engine, _, cuda = opened(api=FakeRtx, kernels=kernels, warm=shapes(2))
        engine.prepare()
        assert kernels.read_bytes() == b"kernels" + b"." * 2 * runs, "also of a process that is killed later"
        assert is_right(engine.run(batch := crops(2), engine.outputs), batch) and cuda.launched == 0
        engine.close()
        assert kernels.read_bytes() == b"kernels" + b"." * 2 * runs
    kernels.write_bytes(b"of another version")
    opened(api=FakeRtx, kernels=kernels)[0].close()
    assert kernels.read_bytes() == b"kernels"
    kernels.chmod(0o666)
    kernels.write_bytes(b"kernels of others")
    opened(api=FakeRtx, kernels=kernels)[0].close()
    assert kernels.read_bytes() == b"kernels of others"


def test_kernels_are_compiled_at_once_for_a_stream_and_in_the_background_for_stills() -> None:
    engine, api, _ = opened(api=FakeRtx, warm=shapes(2))
    engine.prepare()
    engine.run(crops(7), ("mean",))
    assert isinstance(api.engine, RtxEngine)
    assert api.engine.strategies == [Specialization.EAGER, Specialization.EAGER, Specialization.LAZY]
    engine.close()


def test_a_broken_installation_is_not_taken_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def broken(name: str) -> Any:
        raise FileNotFoundError("Could not find: nvinfer_10.dll")

    monkeypatch.setattr("rtface.engine.trt_api.import_module", without)
    with pytest.raises(EngineError, match="is not installed"):
        find_api()
    monkeypatch.setattr("rtface.engine.trt_api.import_module", broken)
    with pytest.raises(EngineError, match=r"cannot be imported \(tensorrt: Could not find: nvinfer_10.dll"):
        find_api()


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
    plan = build_plan(b"onnx", "net", [SHAPES], workspace_mb=3, progress=lambda *step: told.append(step), api=api)
    assert plan == PLAN and api.built is not None
    assert (api.built.flags, api.built.tf32, api.built.workspace) == (2, False, 3 << 20)
    assert api.built.shapes == (SHAPES.least, SHAPES.usual, SHAPES.most)
    assert api.built.features == [Preview.RUNTIME_ACTIVATION_RESIZE_10_10] and api.built.capability is None
    assert told == [("Building", 0.5)]


@pytest.mark.parametrize(
    ("broken", "why"), [("readable", "cannot read it: node 3: uint8"), ("buildable", "cannot build it")]
)
def test_what_cannot_be_built_is_named(broken: str, why: str) -> None:
    api = FakeTrt(FakeCuda())
    setattr(api, broken, False)
    with pytest.raises(EngineError, match=why):
        build_plan(b"onnx", "net", [Shapes.only(1, 4, 4, 3)], api=api)


def test_a_plan_for_one_compute_capability(tmp_path: Path) -> None:
    api = FakeRtx(FakeCuda())
    sizes = [Shapes.only(2, 4, 4, 3), SHAPES]
    build_plan(b"onnx", "net", sizes, capability="7.5", timings=tmp_path / "timings", api=api)
    assert api.built is not None and api.built.all_shapes == [(one.least, one.usual, one.most) for one in sizes]
    assert api.built is not None and api.built.capability is Compute.SM75
    assert api.built.timings is None and not (tmp_path / "timings").exists(), "TensorRT-RTX measures nothing"
    with pytest.raises(EngineError, match=r"builds nothing for compute capability 9\.0"):
        build_plan(b"onnx", "net", [SHAPES], capability="9.0", api=api)


def test_what_was_measured_is_kept_for_the_next_plan(tmp_path: Path) -> None:
    path = tmp_path / "own" / "gpu.timings"
    for known in (b".", b"..", b"..."):
        build_plan(b"onnx", "net", [SHAPES], timings=path, api=FakeTrt(FakeCuda()))
        assert path.read_bytes() == known
    path.write_bytes(b"other version")
    build_plan(b"onnx", "net", [SHAPES], timings=path, api=FakeTrt(FakeCuda()))
    assert path.read_bytes() == b"."


GPUS = {
    "RTX 2080": ("7.5", "7.5"),
    "RTX 3090": ("8.6", None),
    "RTX 4090": ("8.9", None),
    "RTX 5090": ("12.0", None),
    "GB10": ("12.1", "12.1"),
}


@pytest.mark.parametrize("name", GPUS)
def test_tensorrt_rtx_builds_for_every_card_or_for_one_kind(name: str) -> None:
    capability, expected = GPUS[name]
    gpu = Gpu(name, capability, 24, 8192, False, "13.0")
    assert target(FakeRtx(FakeCuda()), gpu, "net") == expected
    assert target(FakeTrt(FakeCuda()), gpu, "net") is None and target(FakeRtx(FakeCuda()), None, "net") is None


@pytest.mark.parametrize("capability", ["8.0", "8.7", "9.0", "10.0"])
def test_tensorrt_rtx_is_not_for_every_gpu(capability: str) -> None:
    gpu = Gpu("NVIDIA H200", capability, 132, 139 << 10, False, "13.0")
    with pytest.raises(EngineError, match=r"not for this GPU .*rtface\[tensorrt\]"):
        target(FakeRtx(FakeCuda()), gpu, "net")

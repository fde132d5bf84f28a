"""ONNX Runtime on the network that ships: outputs by name, any batch, results that last, and errors."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from rtface import models
from rtface.engine import DeviceFailed, Engine, OrtEngine, ort
from rtface.engine.ort import MAX_THREADS, default_threads
from rtface.errors import EngineError
from rtface.system.machine import runs_int8_fast
from rtface.tasks.parsing_scores import DECODERS
from rtface.testing import FakeEngine

OUTPUTS = FakeEngine.outputs


@pytest.fixture(scope="module")
def engine() -> Engine:
    entry = models.find("engine", 0)
    return OrtEngine(models.load(entry), entry.name, threads=1, decoders=DECODERS)  # INT8's map is scores


def crops(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 128, 128, 3), np.uint8)


@pytest.mark.parametrize("count", [1, 3, 8])
def test_all_outputs_of_any_batch(engine: Engine, count: int) -> None:
    assert set(engine.outputs) == set(OUTPUTS)
    out = engine.run(crops(count), engine.outputs)
    shapes = {"landmarks": (68, 2), "parsing": (128, 128), "emotion": (8,), "pose": (3,), "face": (), "quality": ()}
    for name, shape in shapes.items():
        assert out[name].shape == (count, *shape)
        assert out[name].dtype == (np.uint8 if name == "parsing" else np.float32)
    assert out["emotion"].sum(axis=1) == pytest.approx(np.ones(count), abs=1e-4)
    assert out["parsing"].max() < 19


def test_only_the_outputs_asked_for(engine: Engine) -> None:
    assert list(engine.run(crops(1), ("pose", "face"))) == ["pose", "face"]


def test_a_face_is_the_same_alone_and_in_a_batch(engine: Engine) -> None:
    batch = crops(3)
    together = engine.run(batch, ("landmarks",))["landmarks"]
    alone = np.concatenate([engine.run(batch[[row]], ("landmarks",))["landmarks"] for row in range(3)])
    assert together == pytest.approx(alone, abs=1e-2)


def test_results_survive_the_next_call(engine: Engine) -> None:
    buffer = crops(2)
    first = engine.run(buffer, ("landmarks",))["landmarks"]
    kept = first.copy()
    buffer[:] = 0
    engine.run(buffer, ("landmarks",))
    assert np.array_equal(first, kept)


def test_a_wrong_batch_is_named(engine: Engine) -> None:
    with pytest.raises(EngineError, match=r"float32 batch of shape \(1, 64, 64, 3\)"):
        engine.run(np.zeros((1, 64, 64, 3), np.float32), ("pose",))


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(EngineError, match=r"junk: onnxruntime .* cannot load it") as caught:
        OrtEngine(b"not a network", "junk")
    assert caught.value.exit_code == 4 and "\n" not in str(caught.value)


def test_a_closed_engine_says_so() -> None:
    entry = models.find("engine", 0)
    engine = OrtEngine(models.load(entry), entry.name, threads=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(crops(1), ("pose",))


def test_facts(engine: Engine) -> None:
    facts = engine.describe()
    assert facts["engine"] == "onnxruntime" and facts["device"] == "cpu" and facts["threads"] == 1
    assert 1 <= default_threads() <= MAX_THREADS


class GpuSession:
    """An ONNX Runtime with a GPU, which remembers how it was opened."""

    opened: ClassVar[list[GpuSession]] = []

    def __init__(self, model: bytes, options: Any, providers: list[Any]) -> None:
        self.providers, self.ran, self.error = providers, [], None
        self.opened.append(self)

    def get_providers(self) -> list[str]:
        return [one if isinstance(one, str) else one[0] for one in self.providers]

    def get_inputs(self) -> list[Any]:
        return [SimpleNamespace(name="crops", shape=["N", 4, 4, 3])]

    def get_outputs(self) -> list[Any]:
        return [SimpleNamespace(name="pose", type="tensor(float)", shape=["N", 3])]

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self.error is not None:
            raise self.error
        self.ran.append(inputs["crops"].shape)
        return [np.zeros((len(inputs["crops"]), 3), np.float32) for _ in names]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What was done before a session was opened."""
    done: list[str] = []
    monkeypatch.setattr(ort.onnxruntime, "InferenceSession", GpuSession)
    monkeypatch.setattr(ort.onnxruntime, "get_available_providers", lambda: list(ort.PROVIDERS.values()))
    monkeypatch.setattr(ort.onnxruntime, "preload_dlls", lambda: done.append("preload_dlls"), raising=False)
    monkeypatch.setattr(ort, "cache_dir", lambda: tmp_path / "cache")
    GpuSession.opened.clear()
    return done


def test_cuda_takes_kernels_without_trying_all_of_them(gpu: list[str]) -> None:
    OrtEngine(b"model", device="cuda")
    cuda, cpu = GpuSession.opened[0].providers
    assert cuda == ("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}) and cpu == "CPUExecutionProvider"
    assert gpu == ["preload_dlls"]


def test_tensorrt_inside_onnx_runtime_keeps_its_plans_in_a_folder_of_the_users(gpu: list[str], tmp_path: Path) -> None:
    OrtEngine(b"model", device="tensorrt")
    names = GpuSession.opened[0].get_providers()
    assert names == ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]
    kept = dict(GpuSession.opened[0].providers[0][1])
    folder = tmp_path / "cache" / "onnxruntime"
    assert kept["trt_engine_cache_enable"] == "1" and kept["trt_engine_cache_path"] == str(folder)
    if os.name != "nt":
        folder.chmod(0o777)
        with pytest.raises(EngineError, match=r"native code, and .* can be written by others"):
            OrtEngine(b"model", device="tensorrt")


def test_every_shape_is_run_before_the_stream_the_largest_first(gpu: list[str]) -> None:
    engine = OrtEngine(b"model", device="cuda", shapes=[(1, 4, 4, 3), (2, 4, 4, 3), (3, 4, 4, 3)])
    engine.prepare(("pose",))
    assert [shape[0] for shape in GpuSession.opened[0].ran] == [3, 2, 1]


def test_a_gpu_that_fails_is_told_from_a_wrong_batch(gpu: list[str]) -> None:
    engine = OrtEngine(b"model", "net", device="cuda")
    for error, kind in ((RuntimeError("CUDA failure 700"), DeviceFailed), (ValueError("no such input"), EngineError)):
        GpuSession.opened[0].error = error
        with pytest.raises(EngineError, match="net: onnxruntime failed") as caught:
            engine.run(np.zeros((1, 4, 4, 3), np.uint8), ("pose",))
        assert type(caught.value) is kind


def test_exact_int8_is_what_the_rounded_numbers_give() -> None:
    """A sum of two products of bytes beyond 16 bits: 255 x 127 twice. Without VNNI it is clipped to 32,767."""
    model = product_of_bytes(weight=127)
    batch = np.full((1, 64, 4, 4), 255, np.uint8)
    exact = OrtEngine(model, "made", 1, exact_int8=True).run(batch, ("sum",))["sum"]
    assert exact == pytest.approx(np.full((1, 8, 4, 4), 255 * 64 * 127.0))
    if runs_int8_fast():
        assert OrtEngine(model, "made", 1).run(batch, ("sum",))["sum"] == pytest.approx(exact)


def product_of_bytes(weight: int) -> bytes:
    """A 1x1 convolution of 64 channels over bytes, quantised as the shipped networks are: QDQ, uint8 by int8."""
    onnx = pytest.importorskip("onnx", reason="needs onnx to make the network")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    values = {"scale": np.float32(1), "zero": np.uint8(0), "w_zero": np.int8(0), "step": np.float32(64 * 127)}
    values["w"] = np.full((8, 64, 1, 1), weight, np.int8)
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "scale", "zero"], ["x_float"]),
        helper.make_node("DequantizeLinear", ["w", "scale", "w_zero"], ["w_float"]),
        helper.make_node("Conv", ["x_float", "w_float"], ["y"]),
        helper.make_node("QuantizeLinear", ["y", "step", "zero"], ["y_byte"]),
        helper.make_node("DequantizeLinear", ["y_byte", "step", "zero"], ["sum"]),
    ]
    kinds = onnx.TensorProto
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", kinds.UINT8, (1, 64, 4, 4))],
        [helper.make_tensor_value_info("sum", kinds.FLOAT, (1, 8, 4, 4))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())

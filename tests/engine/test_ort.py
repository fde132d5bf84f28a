"""ONNX Runtime on the network that ships: outputs by name, any batch, results that last, and errors."""

from __future__ import annotations

import numpy as np
import pytest

from rtface import models
from rtface.engine import Engine, OrtEngine
from rtface.engine.ort import MAX_THREADS, default_threads
from rtface.errors import EngineError
from tests.fakes import OUTPUTS


@pytest.fixture(scope="module")
def engine() -> Engine:
    entry = models.find("engine", 0)
    return OrtEngine(models.load(entry), entry.name, threads=1)


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

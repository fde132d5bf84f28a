"""On a machine with an NVIDIA GPU, TensorRT and cuda-bindings: `pytest -m gpu`. Skipped elsewhere, with the reason.

Has not been run on a GPU yet: what could be verified without one is in tests/engine and
tests/networks/test_tensorrt.py.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface import models
from rtface.engine import OrtEngine
from rtface.engine.context_pool import SEEN_BEFORE
from rtface.engine.cuda import Cuda, open_cuda
from rtface.engine.hotswap import HotSwapEngine
from rtface.engine.plan_cache import PlanCache
from rtface.engine.tensorrt import TrtEngine
from rtface.engine.trt_api import find_api, is_rtx
from rtface.engine.trt_context import GRAPH_AFTER
from rtface.errors import RtfaceError
from rtface.geometry.crop import Crop, warp_crops
from rtface.networks import tensorrt
from rtface.networks.profiles import read_profile
from rtface.options import Options
from rtface.precision.convert import convert

pytestmark = pytest.mark.gpu

PROFILE = read_profile("desktop-fp16")
ROLES = ("engine", "full-engine", "detector")
FULL = [one for one in models.entries() if one.precision == "fp32" and one.role in ROLES]
LIMITS = {  # per output: px, degrees, probabilities; parsing: share of labels
    "fp32": dict.fromkeys(
        (
            *("landmarks", "pose", "emotion", "face", "quality", "detections", "parsing"),
            *("mesh", "mesh_score", "expression", "gaze"),
        ),
        1e-3,
    ),
    "fp16": {
        "landmarks": 0.5,
        "pose": 0.5,
        "emotion": 0.02,
        "face": 0.02,
        "quality": 0.02,
        "detections": 4.0,
        "parsing": 0.01,
        "mesh": 0.5,
        "mesh_score": 0.02,
        "expression": 0.02,
        "gaze": 0.5,
    },
}


@pytest.fixture(scope="module")
def cuda() -> Cuda:
    try:
        find_api()
        return open_cuda()
    except RtfaceError as error:
        pytest.skip(str(error))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PlanCache:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return PlanCache()


def batch_for(model: models.ModelEntry, count: int) -> np.ndarray:
    """A real face or picture: on noise the detector's boxes are exponents of what nobody trained it for."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (pip install 'rtface[test]')")
    picture = np.ascontiguousarray(data.astronaut()[:, :, ::-1])
    if model.role == "detector":
        return cv2.resize(picture, (320, 256))[None]
    return warp_crops(picture, [Crop(224.0, 118.0, 150.0 + 10 * row, 8.0 * row) for row in range(count)])


def opened(model: models.ModelEntry, precision: str, cache: PlanCache) -> TrtEngine:
    key, _ = tensorrt.make_plan(model, precision, PROFILE, Options())
    plan = cache.load(key)
    assert plan is not None
    return TrtEngine(plan, model.name)


def distance(name: str, a: np.ndarray, b: np.ndarray) -> float:
    if name == "parsing":
        return float((a != b).mean())
    return float((np.abs(a - b) / np.maximum(1, np.abs(a))).max())


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", FULL, ids=lambda model: model.name)
def test_parity_before_and_after_the_graph(
    cuda: Cuda, cache: PlanCache, model: models.ModelEntry, precision: str
) -> None:
    engine, reference = opened(model, precision, cache), OrtEngine(models.load(model))
    for count in (1, 3, 8):
        batch = batch_for(model, count)
        expected = reference.run(batch, reference.outputs)
        for _ in range(GRAPH_AFTER + 2):
            got = engine.run(batch, engine.outputs)
            for name, value in expected.items():
                assert distance(name, value, got[name]) <= LIMITS[precision][name], (name, count)
    engine.close()


@pytest.mark.parametrize("model", FULL, ids=lambda model: model.name)
def test_int8_is_what_the_gate_measured(cuda: Cuda, cache: PlanCache, model: models.ModelEntry) -> None:
    """The gate's figures are of the same file on ONNX Runtime, so the GPU has to answer as it does, on average."""
    try:
        reference = OrtEngine(convert(model, "int8"), model.name)
    except RtfaceError as error:
        pytest.skip(str(error))
    engine, batch = opened(model, "int8", cache), batch_for(model, 3)
    expected, got = reference.run(batch, reference.outputs), engine.run(batch, engine.outputs)
    means = {"landmarks": 0.5, "pose": 1.0, "emotion": 0.02, "face": 0.02, "quality": 0.02, "detections": 2.0}
    means |= {"mesh": 0.5, "mesh_score": 0.02, "expression": 0.02, "gaze": 1.0}
    for name, value in expected.items():
        if name == "parsing":
            assert (value != got[name]).mean() < 0.03
        else:
            assert np.abs(value - got[name]).mean() < means[name], name
    engine.close()


def test_a_graph_is_recorded_and_used(cuda: Cuda, cache: PlanCache) -> None:
    engine = opened(FULL[0], "fp16", cache)
    if is_rtx(find_api()):
        pytest.skip("TensorRT-RTX makes its graphs inside")
    batch = batch_for(FULL[0], 1)
    for _ in range(SEEN_BEFORE + GRAPH_AFTER + 1):
        engine.run(batch, engine.outputs)
    assert engine._contexts[batch.shape]._memories[0].graphs
    engine.close()


def test_two_calls_under_way_answer_each_its_own(cuda: Cuda, cache: PlanCache) -> None:
    engine = opened(FULL[0], "fp16", cache)
    batches = [batch_for(FULL[0], rows) + np.uint8(rows) for rows in (1, 2, 1, 2, 2, 1) * 2]
    expected = [engine.run(batch, engine.outputs) for batch in batches]
    tickets = [engine.submit(batch, engine.outputs) for batch in batches]
    for ticket, answers in zip(tickets, expected, strict=True):
        got = ticket.collect()
        assert all(np.array_equal(got[name], value) for name, value in answers.items())
    engine.close()


def test_a_missing_plan_is_built_by_a_child_and_swapped_in(cuda: Cuda, cache: PlanCache) -> None:
    model, batch = FULL[0], batch_for(FULL[0], 1)
    engine = tensorrt.open_trt(model, "fp16", Options(), lambda: OrtEngine(models.load(model)))
    assert isinstance(engine, HotSwapEngine)
    before = engine.run(batch, ("pose",))["pose"]
    assert engine.describe()["engine"] == "onnxruntime"
    assert engine.wait(600)
    after = engine.run(batch, ("pose",))["pose"]
    assert engine.describe()["engine"] in ("tensorrt", "tensorrt_rtx")
    assert after == pytest.approx(before, abs=0.5)
    engine.close()


def test_a_damaged_plan_is_refused(cuda: Cuda, cache: PlanCache) -> None:
    key, _ = tensorrt.make_plan(FULL[0], "fp16", PROFILE, Options())
    plan = cache.load(key)
    assert plan is not None
    with pytest.raises(RtfaceError, match="does not load its plan"):
        TrtEngine(plan[: len(plan) // 2], FULL[0].name)

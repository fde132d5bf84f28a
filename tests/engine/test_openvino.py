"""OpenVINO on the networks that ship: the same answers, arrays that last, and what it refuses."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest

from rtface import models
from rtface.engine import OrtEngine
from rtface.errors import EngineError

pytest.importorskip("openvino", reason="openvino is not installed (pip install 'rtface[openvino]')")

from rtface.engine.openvino import OpenVinoEngine

ENGINE = models.find("engine", 0, "fp32")


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 128, 128, 3), np.uint8)


@pytest.fixture(scope="module")
def engine() -> Iterator[OpenVinoEngine]:
    opened = OpenVinoEngine(models.load(ENGINE), ENGINE.name, threads=1)
    yield opened
    opened.close()


@pytest.mark.parametrize("model", [m for m in models.entries() if m.precision == "fp32"], ids=lambda m: m.name)
def test_float32_answers_as_onnx_runtime_does(model: models.ModelEntry) -> None:
    data = models.load(model)
    ours, theirs = OpenVinoEngine(data, threads=1), OrtEngine(data, threads=1)
    assert ours.outputs == theirs.outputs
    size = model.size
    shapes = [(1, 256, 320, 3), (1, 96, 64, 3)] if size is None else [(1, size, size, 3), (3, size, size, 3)]
    for shape in shapes:
        batch = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        a, b = theirs.run(batch, theirs.outputs), ours.run(batch, ours.outputs)
        for name in a:
            assert a[name].dtype == b[name].dtype
            if name == "parsing":
                assert (a[name] != b[name]).mean() < 1e-3
            else:
                assert b[name] == pytest.approx(a[name], abs=2e-3, rel=1e-3)


WHOLE_INT8 = [m for m in models.entries() if m.precision == "int8" and m.size is not None]


@pytest.mark.parametrize("model", WHOLE_INT8, ids=lambda m: m.name)
def test_int8_answers_nearly_as_onnx_runtime_does(model: models.ModelEntry) -> None:
    """On a portrait: a network with a round of feedback once came out with every layer wrong, from the first on."""
    data = pytest.importorskip("skimage.data")
    face = np.ascontiguousarray(data.astronaut()[40:200, 150:310, ::-1])
    image = np.stack([cv2.resize(face, (model.size, model.size))] * 2)  # type: ignore[list-item]
    ours, theirs = (engine(models.load(model), threads=1) for engine in (OpenVinoEngine, OrtEngine))
    a, b = theirs.run(image, theirs.outputs), ours.run(image, ours.outputs)
    assert np.abs(a["landmarks"] - b["landmarks"]).mean() < 0.15 and np.abs(a["pose"] - b["pose"]).max() < 1.0
    assert (a["parsing"] != b["parsing"]).mean() < 0.02 and np.abs(a["emotion"] - b["emotion"]).max() < 0.05


def test_only_what_is_asked_for_and_it_lasts(engine: OpenVinoEngine) -> None:
    buffer = crops(2)
    first = engine.run(buffer, ("pose", "face"))
    kept = {name: value.copy() for name, value in first.items()}
    buffer[:] = 0
    engine.run(buffer, ("pose", "face"))
    assert list(first) == ["pose", "face"]
    assert all(np.array_equal(first[name], kept[name]) for name in kept)


@pytest.mark.parametrize(
    ("batch", "names", "why"),
    [
        (np.zeros((1, 128, 128, 3), np.float32), ("pose",), "expected uint8 .* got a float32 batch"),
        (np.zeros((1, 64, 64, 3), np.uint8), ("pose",), r"failed on a uint8 batch of shape \(1, 64, 64, 3\)"),
        (np.zeros((1, 128, 128, 3), np.uint8), ("pos",), "pos"),
    ],
)
def test_what_does_not_fit_is_named(
    engine: OpenVinoEngine, batch: np.ndarray, names: tuple[str, ...], why: str
) -> None:
    with pytest.raises(EngineError, match=why) as caught:
        engine.run(batch, names)
    assert "\n" not in str(caught.value)


def test_the_float_type_is_pinned_and_said(engine: OpenVinoEngine) -> None:
    assert engine.describe()["float"] == "f32" and engine.describe()["engine"] == "openvino"
    try:
        half = OpenVinoEngine(models.load(ENGINE), ENGINE.name, threads=1, half=True)
    except EngineError as error:
        pytest.skip(str(error))
    assert half.describe()["float"] in ("bf16", "f16")
    a, b = engine.run(crops(1), ("pose",))["pose"], half.run(crops(1), ("pose",))["pose"]
    assert 0 < np.abs(a - b).max() < 3.0


def test_junk_and_closed_are_errors() -> None:
    with pytest.raises(EngineError, match=r"junk: openvino .* cannot load it"):
        OpenVinoEngine(b"not a network", "junk")
    engine = OpenVinoEngine(models.load(ENGINE), ENGINE.name, threads=1)
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.run(crops(1), ("pose",))

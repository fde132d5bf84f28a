"""The graphs' rewrites say the same as the graphs they were made from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from onnx import TensorProto, helper, numpy_helper

from rtface.errors import ModelError
from rtface.system import machine
from rtface.tasks.parsing_scores import DECODERS
from rtface.train import int8_rewrites, quantize
from rtface.train.export import NORMALISE
from rtface.train.nets.ifan import packed_argmax

RNG = np.random.default_rng(0)


def made(path: Path, stride: int = 2) -> Path:
    """Bytes in, normalised, a first convolution, ReLU, and one of 6 channels of which two slices are read."""
    tensors = {
        "scale": np.array(1 / 60, np.float32),
        "zero": np.array(117, np.uint8),
        "w1": RNG.normal(0, 0.2, (4, 3, 3, 3)).astype(np.float32),
        "b1": RNG.normal(0, 0.2, 4).astype(np.float32),
        "w2": RNG.normal(0, 0.2, (6, 4, 1, 1)).astype(np.float32),
        "b2": RNG.normal(0, 0.2, 6).astype(np.float32),
        **{name: np.array([value], np.int64) for name, value in (("0", 0), ("1", 1), ("4", 4), ("6", 6))},
    }
    nodes = [
        helper.make_node("Transpose", ["crops"], ["planes"], perm=(0, 3, 1, 2)),
        helper.make_node("DequantizeLinear", ["planes", "scale", "zero"], ["x"], NORMALISE),
        helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "first", pads=[1] * 4, strides=[stride] * 2),
        helper.make_node("Relu", ["c1"], ["r1"], "relu"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "net/last/Conv", kernel_shape=[1, 1]),
        helper.make_node("Slice", ["c2", "0", "4", "1"], ["a"], "a"),
        helper.make_node("Slice", ["c2", "4", "6", "1"], ["b"], "b"),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", "h", "w", 3])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", None, None, None]) for name in "ab"],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def run(model: Path | onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    data = model.read_bytes() if isinstance(model, Path) else model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    answers: list[np.ndarray] = session.run(None, {"crops": image})
    return answers


def images(n: int = 2, h: int = 16, w: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, h, w, 3), dtype=np.uint8)


def quantised(source: Path, target: Path) -> Path:
    batches, manifest = [images(seed=i) for i in range(4)], target.with_suffix(".json")
    quantize.quantize(source, target, batches, [], (), manifest, "net/last")
    return target


def test_a_kernel_over_groups_of_pixels_gives_the_same_sums() -> None:
    kernel, image = RNG.normal(size=(5, 3, 3, 3)).astype(np.float32), RNG.normal(size=(1, 8, 16, 3)).astype(np.float32)
    plain = F.conv2d(torch.from_numpy(image).permute(0, 3, 1, 2), torch.from_numpy(kernel), stride=2, padding=1)
    rows = F.pad(torch.from_numpy(image.reshape(1, 8, 4, 12)).permute(0, 3, 1, 2), (1, 0, 1, 0))
    grouped = F.conv2d(rows, torch.from_numpy(int8_rewrites.over_groups(kernel)), stride=(2, 1))
    back = grouped.permute(0, 2, 3, 1).reshape(1, 4, 8, 5).permute(0, 3, 1, 2)
    torch.testing.assert_close(back, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.skipif(
    not machine.runs_int8_fast(), reason="without dot products of bytes (VNNI) sums of two products saturate at 16 bits"
)
def test_the_first_convolution_on_bytes_answers_bit_for_bit_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = made(tmp_path / "made.onnx")
    fast = quantised(source, tmp_path / "fast.onnx")
    kinds = [node.op_type for node in onnx.load(fast).graph.node]
    assert "Sub" not in kinds and "Div" not in kinds
    monkeypatch.setattr(quantize, "pack_pixels", lambda model, first: model)
    slow = quantised(source, tmp_path / "slow.onnx")
    assert "Div" in [node.op_type for node in onnx.load(slow).graph.node]
    for shape in ((1, 16, 24), (3, 32, 8)):  # height and width are open
        image = images(*shape)
        for one, other in zip(run(fast, image), run(slow, image), strict=True):
            assert np.ptp(one) > 0
            np.testing.assert_array_equal(one, other)


def test_a_first_layer_of_another_shape_is_refused(tmp_path: Path) -> None:
    source = made(tmp_path / "made.onnx", stride=1)
    with pytest.raises(ModelError, match="does not begin with a 3x3 convolution at stride 2"):
        quantised(source, tmp_path / "fast.onnx")
    assert not (tmp_path / "fast.onnx").exists()


def test_sliced_channels_become_convolutions_of_their_own(tmp_path: Path) -> None:
    source, image = made(tmp_path / "made.onnx"), images()
    split = int8_rewrites.split_channels(onnx.load(source), "net/last")
    convs = [node.name for node in split.graph.node if node.op_type == "Conv"]
    assert convs == ["first", "net/last/Conv.0", "net/last/Conv.1"]
    assert not [node for node in split.graph.node if node.op_type == "Slice"]
    assert "w2" not in {t.name for t in split.graph.initializer}
    for one, other in zip(run(split, image), run(source, image), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(("name", "said"), [("net/none", "has no convolution net/none"), ("first", "are not sliced")])
def test_nothing_to_split_is_an_error(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        int8_rewrites.split_channels(onnx.load(made(tmp_path / "made.onnx")), name)


def test_the_quantised_engine_answers_with_scores_of_the_same_labels() -> None:
    from rtface import models
    from rtface.engine.ort import OrtEngine

    image = RNG.integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    model = models.load("engine-iter0-int8")
    raw = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (scores,) = raw.run(["parsing"], {"crops": image})
    assert scores.shape == (2, 304, 32, 32) and scores.dtype == np.uint8
    by_graph = packed_argmax(torch.from_numpy(scores.astype(np.float32)))
    np.testing.assert_array_equal(
        OrtEngine(model, decoders=DECODERS).run(image, ["parsing"])["parsing"], by_graph.numpy()
    )

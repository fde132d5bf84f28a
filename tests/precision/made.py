"""A small network of the shape of those that ship: bytes in, Transpose and DequantizeLinear, convolutions, two heads
and a decode that float16 would spoil."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rtface.models import ModelEntry

SIDE = 16


def network(seed: int = 0) -> onnx.ModelProto:
    """crops uint8 (N, 16, 16, 3) → points float32 (N, 2), labels float32 (N, 16, 16)."""
    rng = np.random.default_rng(seed)
    weights = {
        "w0": rng.normal(0, 0.2, (8, 3, 3, 3)),
        "w1": rng.normal(0, 0.1, (8, 8, 3, 3)),
        "wp": rng.normal(0, 0.3, (2, 8, 1, 1)),
        "wl": rng.normal(0, 0.3, (1, 8, 1, 1)),
    }
    initializers = [
        numpy_helper.from_array(value.astype(np.float16), f"{name}_half") for name, value in weights.items()
    ]
    initializers += [
        numpy_helper.from_array(np.array(1 / 60, np.float32), "scale"),
        numpy_helper.from_array(np.array(117, np.uint8), "zero"),
        numpy_helper.from_array(np.array(1000.25, np.float32), "far"),
        numpy_helper.from_array(np.array(4096.0, np.float32), "fine"),
        numpy_helper.from_array(np.array([1], np.int64), "channel"),
    ]
    node = helper.make_node
    nodes = [
        *(node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT) for name in weights),
        node("Transpose", ["crops"], ["planes"], "transpose", perm=(0, 3, 1, 2)),
        node("DequantizeLinear", ["planes", "scale", "zero"], ["x"], "normalise"),
        node("Conv", ["x", "w0"], ["a"], "stem/Conv", pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["b"], "stem/Relu"),
        node("Conv", ["b", "w1"], ["c"], "body/Conv", pads=[1, 1, 1, 1]),
        node("Relu", ["c"], ["d"], "body/Relu"),
        node("Conv", ["d", "wp"], ["maps"], "points/Conv"),
        node("ReduceMean", ["maps"], ["mean"], "points/mean", axes=[2, 3], keepdims=0),
        # a fraction beside a thousand: float16 has steps of half a pixel there
        node("Add", ["mean", "far"], ["points"], "points/far"),
        node("Conv", ["d", "wl"], ["logits"], "labels/Conv"),
        node("Mul", ["logits", "fine"], ["scaled"], "labels/scale"),
        node("Floor", ["scaled"], ["whole"], "labels/floor"),
        node("Squeeze", ["whole", "channel"], ["labels"], "labels/squeeze"),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("crops", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("points", TensorProto.FLOAT, ["n", 2]),
            helper.make_tensor_value_info("labels", TensorProto.FLOAT, ["n", SIDE, SIDE]),
        ],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def entry(folder: Path, seed: int = 0) -> ModelEntry:
    """The network as a file of a registry."""
    data = network(seed).SerializeToString()
    path = folder / "made.onnx"
    path.write_bytes(data)
    return ModelEntry(
        name="made",
        role="engine",
        path=path,
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        code_licence="",
        weights_licence="",
        precision="fp32",
        iterations=0,
        inputs=(),
        outputs=(),
        metrics=(),
        card_path=None,
    )


def crops(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)

"""FP16 as TensorRT reads it: a graph with Casts, float32 in and out, and the decode in float32."""

from __future__ import annotations

from typing import Any

from rtface.errors import require
from rtface.precision.graph import Model, decode, plain, read, tidy

CONVERTERS_CAST = "_cast_to_fp16_node"
"""How the converter names its Casts to float16."""


def half(data: bytes, name: str = "model") -> bytes:
    """The FP16 file of an fp32 file's bytes.

    Raises:
        UsageError: onnx is not installed.
        ModelError: The bytes are no ONNX model.
    """
    return halved(plain(read(data, name))).SerializeToString()  # type: ignore[no-any-return]


def halved(model: Model) -> Model:
    """A plain graph with float16 layers and a float32 decode; Q and DQ nodes keep their int8."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return tidy(_unrounded(convert_float_to_float16(model, keep_io_types=True, node_block_list=decode(model))))


def _unrounded(model: Model) -> Model:
    """Without the Casts to float16 and back that the converter puts between two nodes that both stay float32.

    They would round what was to stay exact: the parsing's argmax carries class ids in bits that float16 has not.
    """
    onnx = require("onnx", "calibrate")
    narrow, wide = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    made = {name: node for node in model.graph.node for name in node.output}
    through: dict[str, str] = {}
    for node in model.graph.node:
        before = made.get(node.input[0]) if _casts_to(node, wide) else None
        # What the inner Cast rounds was float32 where the converter put it; other Casts of the network stay.
        if before is not None and _casts_to(before, narrow) and before.name.endswith(CONVERTERS_CAST):
            through[node.output[0]] = before.input[0]
    for node in model.graph.node:
        for at, name in enumerate(node.input):
            node.input[at] = through.get(name, name)
    return _without_unused(model)


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def _without_unused(model: Model) -> Model:
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(tidy(model).graph.node):
        if any(name in needed for name in node.output):
            needed.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return model

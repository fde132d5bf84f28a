"""FP16 as TensorRT reads it: a graph with Casts, float32 in and out, and the decode in float32."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from rtface.errors import require
from rtface.precision.graph import Model, cleanup, decode, normalize_graph, read


def to_fp16_bytes(data: bytes, name: str = "model") -> bytes:
    """The FP16 file of an fp32 file's bytes.

    Raises:
        UsageError: onnx is not installed.
        ModelError: The bytes are no ONNX model.
    """
    return to_fp16(normalize_graph(read(data, name))).SerializeToString()  # type: ignore[no-any-return]


def to_fp16(model: Model) -> Model:
    """A plain graph with float16 layers and a float32 decode; Q and DQ nodes keep their int8."""
    from onnxruntime.transformers.float16 import convert_float_to_float16

    own = {node.name for node in model.graph.node}
    return cleanup(_unrounded(convert_float_to_float16(model, keep_io_types=True, node_block_list=decode(model)), own))


def _unrounded(model: Model, own: Collection[str]) -> Model:
    """With exact tensors between two nodes that both stay float32, where the converter casts to float16 and back.

    Those Casts would round what was to stay exact: points a thousand pixels from the corner to halves, and the class
    ids that the parsing's argmax carries in bits that float16 has not. The converter's Casts are those that were not
    the network's `own` nodes; what it calls them differs from version to version.
    """
    onnx = require("onnx", "calibrate")
    made = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        before = made.get(node.input[0]) if _casts_to(node, onnx.TensorProto.FLOAT) else None
        if before is not None and before.name not in own and _casts_to(before, onnx.TensorProto.FLOAT16):
            node.op_type, node.input[0] = "Identity", before.input[0]
            del node.attribute[:]
    return _without_unused(model)


def _casts_to(node: Any, kind: int) -> bool:
    return node.op_type == "Cast" and any(a.name == "to" and a.i == kind for a in node.attribute)


def _without_unused(model: Model) -> Model:
    needed = {output.name for output in model.graph.output}
    kept = []
    for node in reversed(cleanup(model).graph.node):
        if any(name in needed for name in node.output):
            needed.update(node.input)
            kept.append(node)
    del model.graph.node[:]
    model.graph.node.extend(reversed(kept))
    return model

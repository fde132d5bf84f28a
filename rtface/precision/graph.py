"""What a converter has to know of a network's graph: its plain form, its decode, and which layers serve one output.

All of it is read off the graph, so that networks of other widths and depths need nothing new here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from rtface.errors import ModelError, require

NORMALISE = "normalise"
"""Name of the node that turns bytes into zero-mean numbers in an exported file."""
LAYERS = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators with weights."""
Model = Any
"""An `onnx.ModelProto`; the package has no types of its own that a checker could use without it."""


def read(data: bytes, name: str) -> Model:
    """The graph of a file's bytes.

    Raises:
        UsageError: onnx is not installed.
        ModelError: The bytes are no ONNX model.
    """
    onnx = require("onnx", "calibrate")
    try:
        return onnx.load_from_string(data)
    except Exception as error:
        raise ModelError(name, "is no ONNX file", "`rtface models verify` checks the files") from error


def normalize_graph(model: Model) -> Model:
    """The network in terms that every converter and TensorRT reads: float32 weights, normalisation by arithmetic.

    An exported file stores weights as float16 behind a Cast, and normalises by a DequantizeLinear on the transposed
    bytes. TensorRT knows bytes only as a network's input, with a Cast right behind it: so Cast, Transpose, Sub, Mul.
    """
    onnx = require("onnx", "calibrate")
    made, numpy_helper = onnx.helper.make_node, onnx.numpy_helper
    graph = model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    source, dequantise = graph.input[0].name, _normalise(graph)
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            values = numpy_helper.to_array(stored.pop(node.input[0])).astype(np.float32)
            stored[node.output[0]] = numpy_helper.from_array(values, node.output[0])
        elif dequantise is not None and node.output[0] == dequantise.output[0]:
            scale, zero = (numpy_helper.to_array(stored[name]).astype(np.float32) for name in node.input[1:3])
            stored["input_mean"] = numpy_helper.from_array(zero, "input_mean")
            stored["input_gain"] = numpy_helper.from_array(scale, "input_gain")
            nodes += [
                made("Cast", [source], ["input_numbers"], "input_numbers", to=onnx.TensorProto.FLOAT),
                made("Transpose", ["input_numbers"], ["input_planes"], "input_planes", perm=(0, 3, 1, 2)),
                made("Sub", ["input_planes", "input_mean"], ["input_centred"], "input_centred"),
                made("Mul", ["input_centred", "input_gain"], [node.output[0]], "input_scaled"),
            ]
        elif dequantise is None or node.output[0] != dequantise.input[0]:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(tensor for name, tensor in stored.items() if name in used)
    onnx.checker.check_model(model)
    return model


def _normalise(graph: Any) -> Any:
    """The DequantizeLinear behind the transposed input; None where the file normalises otherwise."""
    transposed = {n.output[0] for n in graph.node if n.op_type == "Transpose" and n.input[0] == graph.input[0].name}
    found = (n for n in graph.node if n.op_type == "DequantizeLinear" and n.input[0] in transposed)
    return next(found, None)


def decode(model: Model) -> list[str]:
    """Names of the nodes behind the last layers with weights: soft-argmax, box decode, argmax.

    They hold coordinates. float16 has steps of half a pixel from 512 on, so they stay float32.
    """
    before = _towards(model.graph, lambda node: node.op_type in LAYERS)
    return [node.name for node in model.graph.node if node.output[0] not in before]


def last_layers(model: Model) -> list[str]:
    """Names of the layers with weights behind which there is no other: they turn features into pixels and degrees."""
    layers = {node.output[0]: node for node in model.graph.node if node.op_type in LAYERS}
    inputs = {name for node in layers.values() for name in node.input}
    before = _towards(model.graph, lambda node: any(name in inputs for name in node.output))
    return [node.name for output, node in layers.items() if output not in before]


def own_layers(model: Model) -> dict[str, list[str]]:
    """Output → names of the layers with weights that lead to this output only: its head."""
    outputs = [output.name for output in model.graph.output]
    leads = {name: _towards(model.graph, partial(_gives, name)) for name in outputs}
    heads: dict[str, list[str]] = {name: [] for name in outputs}
    for node in model.graph.node:
        if node.op_type in LAYERS:
            serves = [name for name in outputs if node.output[0] in leads[name]]
            if len(serves) == 1:
                heads[serves[0]].append(node.name)
    return heads


def _gives(name: str, node: Any) -> bool:
    return name in node.output


def _towards(graph: Any, wanted: Callable[[Any], bool]) -> set[str]:
    """First outputs of the nodes that are `wanted` or lead to one that is; the graph is in running order.

    Nodes are known by their outputs: the objects that stand for them are made again at every look.
    """
    reached: set[str] = set()
    leads: set[str] = set()
    for node in reversed(graph.node):
        if wanted(node) or any(name in leads for name in node.output):
            reached.add(node.output[0])
            leads.update(node.input)
    return reached


def cleanup(model: Model) -> Model:
    """The graph in running order, with no operator sets that it does not use: older runtimes refuse what they lack."""
    from onnxruntime.transformers.onnx_model import OnnxModel

    onnx = require("onnx", "calibrate")
    sorted_ = OnnxModel(model)
    sorted_.topological_sort(is_deterministic=True)
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    onnx.checker.check_model(model)
    return model

"""Rewrites of a float graph that let more of it run on integers, exactly the same in float; and of the quantised one.

ONNX Runtime's integer convolutions are near what the CPU can do, so what is left is around them: the first
convolution, whose three channels no vector fits; the last ones, whose channels mean different things and so cannot
share one scale; and the label map's floats.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from rtface.errors import ModelError
from rtface.train.nets.ifan import PARSING, SUB

GROUP = 4
"""Pixels of a row that the first convolution takes as one, `pack_pixels`."""


def pack_pixels(model: onnx.ModelProto, first: str) -> onnx.ModelProto:
    """The quantised graph whose first convolution, 3x3 at stride 2 over 3 channels, reads groups of pixels as bytes.

    Its input, the tensor `first`, was rounded with scale 1 / SPREAD and zero point MEAN: to the picture's own bytes.
    A row of pixels is, as it lies in memory, a row of fewer pixels of 3 * GROUP channels; and a row of the answers' C
    channels then one of GROUP // 2 * C. The same sums then are a convolution of few taps and many channels, which
    takes half the time of the float one with what stood around it.

    Raises:
        ModelError: The graph does not begin like that.
    """
    graph = model.graph
    stored = {t.name: t for t in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    rounding = next((n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == first), None)
    chain = [] if rounding is None else _until(rounding, graph.input[0].name, makers)
    back, conv, _, after = _followers(graph, chain[0].output[0], 4) if chain else [None] * 4
    kernel = None if conv is None else stored.get(makers[conv.input[1]].input[0])
    strides = [] if conv is None else helper.get_node_attr_value(conv, "strides")
    if back is None or conv is None or after is None or kernel is None or [*kernel.dims[1:], *strides] != _SHAPE:
        raise ModelError("export", "it does not begin with a 3x3 convolution at stride 2 of bytes", "see nets.blocks")
    channels, wide = int(kernel.dims[0]), GROUP // 2
    kernel.CopyFrom(numpy_helper.from_array(over_groups(numpy_helper.to_array(kernel)), kernel.name))
    for name in {*makers[conv.input[1]].input[1:], *makers[conv.input[2]].input}:  # a value a channel
        values = numpy_helper.to_array(stored[name])
        stored[name].CopyFrom(numpy_helper.from_array(np.tile(values, wide) if values.ndim else values, name))
    source, ends = graph.input[0].name, after.output[0]
    for node in chain:
        graph.node.remove(node)
    _insert_before(graph, back, _regrouped(source, back.input[0], 3 * GROUP, planes_before=False))
    after.output[0] = f"{ends}_grouped"
    follow = list(graph.node)[list(graph.node).index(after) + 1]
    _insert_before(graph, follow, _regrouped(after.output[0], ends, channels))
    del conv.attribute[:]
    for attribute, value in (("kernel_shape", [3, 2]), ("strides", [2, 1]), ("pads", [1, 1, 0, 0])):
        conv.attribute.append(helper.make_attribute(attribute, value))
    del graph.value_info[:]  # shapes that were
    graph.initializer.extend(
        numpy_helper.from_array(np.array((0, 0, -1, count), np.int64), f"rows_of_{count}")
        for count in dict.fromkeys((3 * GROUP, channels))
    )
    return model


_SHAPE = [3, 3, 3, 2, 2]  # colours, rows, columns, strides


def over_groups(kernel: NDArray[Any]) -> NDArray[Any]:
    """(C, 3, 3, 3) at stride 2 -> (GROUP // 2 * C, 3 * GROUP, 3, 2): over a group of pixels and the one before it."""
    count, wide = len(kernel), GROUP // 2
    taps = np.zeros((wide, count, 3, 3, 2 * GROUP), kernel.dtype)  # answer in the group, channel, colour, row, pixel
    for place in range(wide):
        taps[place, ..., GROUP - 1 + 2 * place : GROUP + 2 + 2 * place] = kernel
    groups = taps.reshape(wide * count, 3, 3, 2, GROUP)
    return np.ascontiguousarray(groups.transpose(0, 4, 1, 2, 3).reshape(wide * count, 3 * GROUP, 3, 2))


def _until(last: onnx.NodeProto, source: str, makers: dict[str, onnx.NodeProto]) -> list[onnx.NodeProto]:
    """The nodes from `last` back to the one that reads `source`, by their first inputs; none where there is no way."""
    chain = [last]
    while chain[-1].input[0] != source:
        if chain[-1].input[0] not in makers:
            return []
        chain.append(makers[chain[-1].input[0]])
    return chain


def _followers(graph: onnx.GraphProto, name: str, count: int) -> list[onnx.NodeProto | None]:
    """`count` nodes, each the one that reads the output of the one before, from the tensor `name` on."""
    found: list[onnx.NodeProto | None] = []
    for _ in range(count):
        node = next((node for node in graph.node if node.input and node.input[0] == name), None)
        found.append(node)
        name = "" if node is None else node.output[0]
    return found


def _regrouped(source: str, target: str, channels: int, planes_before: bool = True) -> list[onnx.NodeProto]:
    """Nodes that lay the pixels' bytes out as pixels of `channels`, in planes as ONNX has them."""
    pixels, rows = f"{target}_pixels", f"{target}_rows"
    nodes = [helper.make_node("Transpose", [source], [pixels], pixels, perm=(0, 2, 3, 1))] if planes_before else []
    return [
        *nodes,
        helper.make_node("Reshape", [pixels if planes_before else source, f"rows_of_{channels}"], [rows], rows),
        helper.make_node("Transpose", [rows], [target], f"{target}_planes", perm=(0, 3, 1, 2)),
    ]


def _insert_before(graph: onnx.GraphProto, node: onnx.NodeProto, nodes: list[onnx.NodeProto]) -> None:
    at = list(graph.node).index(node)
    for offset, new in enumerate(nodes):
        graph.node.insert(at + offset, new)


def split_channels(model: onnx.ModelProto, conv_name: str) -> onnx.ModelProto:
    """Convolutions whose channels are sliced right after as one for each slice, so that each gets its own scale.

    Args:
        model: A float graph, changed in place.
        conv_name: Part of those convolutions' names.

    Raises:
        ModelError: There is none, or its channels are read whole.
    """
    graph = model.graph
    constants = dict(_constants(model))
    convs = [node for node in graph.node if conv_name in node.name and node.op_type == "Conv"]
    if not convs:
        raise ModelError("export", f"has no convolution {conv_name}", "see nets.ifan")
    for conv in convs:
        read = {conv.output[0]}
        casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in read]
        read |= {node.output[0] for node in casts}
        slices = [node for node in graph.node if node not in casts and node.input and node.input[0] in read]
        if any(node.op_type != "Slice" for node in slices):
            raise ModelError("export", f"the channels of {conv.name} are not sliced", "see nets.ifan")
        at = list(graph.node).index(conv)
        for index, piece in enumerate(slices):
            start, stop = (int(constants[piece.input[i]].reshape(-1)[0]) for i in (1, 2))
            names = [f"{conv.name}.{index}.{kind}" for kind in ("weight", "bias")]
            graph.initializer.extend(
                numpy_helper.from_array(np.ascontiguousarray(constants[whole][start:stop]), name)
                for whole, name in zip(conv.input[1:], names, strict=True)
            )
            part = helper.make_node("Conv", [conv.input[0], *names], [piece.output[0]], f"{conv.name}.{index}")
            part.attribute.extend(conv.attribute)
            graph.node.insert(at + index, part)
        for node in (conv, *casts, *slices):
            graph.node.remove(node)
    _drop_unused(model)
    return model


def scores_of_labels(model: onnx.ModelProto, output: str = "parsing") -> onnx.ModelProto:
    """The quantised graph that answers with the classes' integer scores, (N, 16 * 19, h, w) uint8, in place of labels.

    Which class is largest does not hang on scale and zero point. NumPy takes the largest of 19 bytes three times as
    fast as ONNX Runtime does with floats that carry the class in their fraction (`nets.ifan.packed_argmax`); the
    engines do so (`rtface.tasks.parsing_scores`). A graph whose scores stayed float is returned as it is.
    """
    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    floor = next((node for node in graph.node if node.op_type == "Floor"), None)
    dequantise = None if floor is None else makers.get(floor.input[0])
    if floor is None or dequantise is None or dequantise.op_type != "DequantizeLinear":
        return model
    graph.node.remove(makers[output])
    rounded = makers[dequantise.input[0]]
    assert rounded.op_type == "QuantizeLinear"
    rounded.output[0] = output
    index = next(i for i, value in enumerate(graph.output) if value.name == output)
    faces = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    shape = [faces, SUB * SUB * PARSING, "rows", "columns"]
    graph.output[index].CopyFrom(helper.make_tensor_value_info(output, onnx.TensorProto.UINT8, shape))
    _drop_unused(model)
    return model


def _drop_unused(model: onnx.ModelProto) -> None:
    """Without the nodes and initialisers that no output needs."""
    graph, needed = model.graph, {value.name for value in model.graph.output}
    kept: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed |= set(node.input)
            kept.insert(0, node)
    initializers = [t for t in graph.initializer if t.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(initializers)


def _constants(model: onnx.ModelProto) -> list[tuple[str, NDArray[Any]]]:
    """Values that the graph holds, by tensor name."""
    nodes = [node for node in model.graph.node if node.op_type == "Constant"]
    inner = [(node.output[0], numpy_helper.to_array(node.attribute[0].t)) for node in nodes]
    return inner + [(t.name, numpy_helper.to_array(t)) for t in model.graph.initializer]

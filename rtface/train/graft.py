"""Trained heads onto an exported multi-task network, whose own nodes and weights stay as they are, bit for bit."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from rtface.errors import ModelError
from rtface.models import load
from rtface.train.export import OPSET, TOLERANCE, halve_weights, rounded, store
from rtface.train.gaze import Looks, eyes_in, eyes_of, load_sight
from rtface.train.int8_rewrites import split_channels
from rtface.train.nets.heads import EYE_TENSORS, HEAD_OUTPUTS, PREFIX, Heads, HeadsExport, heads_like
from rtface.train.nets.sight import SIGHT_PREFIX, SightExport
from rtface.train.register import Exported
from rtface.train.run import read_checkpoint
from rtface.train.trunk import Trunk, taps

FEATURES = ("heads_f2", "heads_f4", "heads_f8")
INPUTS = (*FEATURES, "heads_landmarks")
CROPS = "heads_crops"
"""A further input of heads with an eye branch: the network's own."""
SIGHT_OUTPUT = "gaze"
Batch = npt.NDArray[np.uint8]


def load_heads(checkpoint: Path) -> Heads:
    """The averaged weights of a heads run, with an eye branch or not, in eval mode.

    Raises:
        ModelError: They cannot be read.
    """
    saved = read_checkpoint(checkpoint, ("ema",))["ema"]
    heads = heads_like(saved)
    try:
        heads.load_state_dict(saved)
    except RuntimeError as error:
        raise ModelError(str(checkpoint), "holds no heads", "Name the --run folder of `rtface train heads`") from error
    return heads.eval()


def heads_graph(checkpoint: Path, size: int) -> onnx.ModelProto:
    """The heads alone for crops of `size` px, as a float graph from `INPUTS` (and `CROPS`) to `HEAD_OUTPUTS` (and
    `EYE_TENSORS`)."""
    heads = rounded(load_heads(checkpoint))
    net = HeadsExport(heads, size).eval()
    shapes = ((16, size // 2, size // 2), (32, size // 4, size // 4), (80, size // 8, size // 8), (68, 2))
    told = [torch.zeros(2, *shape) for shape in shapes]
    names, outputs = list(INPUTS), list(HEAD_OUTPUTS)
    if heads.eyes is not None:
        told.append(torch.zeros(2, size, size, 3, dtype=torch.uint8))
        names.append(CROPS)
        outputs += EYE_TENSORS
    return _traced(net, told, names, outputs)


def _traced(
    net: torch.nn.Module, told: Sequence[torch.Tensor], inputs: Sequence[str], outputs: Sequence[str]
) -> onnx.ModelProto:
    """A network's graph for any number of faces."""
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # tracer notes on shapes that are constant here
        path = Path(folder) / "part.onnx"
        torch.onnx.export(
            net,
            tuple(told),
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "eyes" if name == EYE_TENSORS[0] else "faces"} for name in (*inputs, *outputs)},
            opset_version=OPSET,
            dynamo=False,
        )
        return onnx.load(path)


def quantised_heads(
    heads: onnx.ModelProto, base: onnx.ModelProto, trunk: Trunk, batches: Sequence[Batch]
) -> onnx.ModelProto:
    """The heads' convolutions in INT8, the eye branch's too; the features come rounded as the base network rounds them.

    Args:
        heads: Of `heads_graph`.
        base: The INT8 network that they will be grafted onto.
        trunk: Its features.
        batches: Crops (N, S, S, 3) to calibrate on.
    """
    scales = {name: [_rounding(base, tap)] for name, tap in zip(FEATURES, taps(base), strict=True)}
    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(split_channels(heads, "anchors"), plain)
        quant_pre_process(str(plain), str(plain), skip_symbolic_shape=True)
        whole = onnx.load(plain)
        quantize_static(
            str(plain),
            str(quantised),
            _Reader(trunk, batches, [one.name for one in whole.graph.input]),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "Relu"],
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True, "TensorQuantOverrides": scales},
        )
        return onnx.load(quantised)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, trunk: Trunk, batches: Sequence[Batch], inputs: Sequence[str]) -> None:
        self._left: Iterator[Batch] = iter(batches)
        self._trunk, self._inputs = trunk, inputs

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._left, None)
        if batch is None:
            return None
        told = dict(zip(INPUTS, self._trunk.run(batch), strict=True)) | {CROPS: batch}
        return {name: told[name] for name in self._inputs}


def _rounding(model: onnx.ModelProto, tensor: str) -> dict[str, npt.NDArray[Any]]:
    """Scale and zero point of the DequantizeLinear that gives a tensor of an INT8 graph, in another layout or not."""
    makers = {name: node for node in model.graph.node for name in node.output}
    back = makers.get(tensor)
    while back is not None and back.op_type in ("Transpose", "Reshape"):
        back = makers.get(back.input[0])
    if back is None or back.op_type != "DequantizeLinear":
        raise ModelError("the network", f"does not round {tensor}", "Graft INT8 heads onto an INT8 network")
    stored = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    stored |= {
        n.output[0]: stored[n.input[0]] for n in model.graph.node if n.op_type == "Cast" and n.input[0] in stored
    }
    return {"scale": stored[back.input[1]].astype(np.float32), "zero_point": stored[back.input[2]]}


def grafted(base: onnx.ModelProto, heads: onnx.ModelProto) -> onnx.ModelProto:
    """Both as one graph: the base network's nodes as they are, and behind them the heads', which read its features."""
    reads = dict(zip(INPUTS, (*taps(base), "landmarks"), strict=True)) | {CROPS: base.graph.input[0].name}
    shapes = dict(zip(HEAD_OUTPUTS, ((478, 2), (), (52,)), strict=True))
    return _joined(base, _without_rounding(heads), PREFIX, reads, shapes)


def _joined(
    base: onnx.ModelProto,
    more: onnx.ModelProto,
    prefix: str,
    reads: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
) -> onnx.ModelProto:
    """The base network's graph and another behind it: its inputs are tensors of the base (`reads`), its outputs, of
    these shapes a face, come beside the base's."""
    joined = onnx.ModelProto()
    joined.CopyFrom(base)
    graph, added = joined.graph, halve_weights(more).graph
    names = dict(reads) | {name: name for name in shapes}

    def renamed(name: str) -> str:
        return names.get(name, f"{prefix}{name}") if name else name

    for tensor in added.initializer:
        graph.initializer.add().CopyFrom(tensor)
        graph.initializer[-1].name = renamed(tensor.name)
    for node in added.node:
        graph.node.add().CopyFrom(node)
        new = graph.node[-1]
        new.name = f"{prefix}{node.name}" if node.name else ""
        new.input[:] = [renamed(name) for name in node.input]
        new.output[:] = [renamed(name) for name in node.output]
    faces = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for name, shape in shapes.items():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, (faces, *shape)))
    del graph.value_info[:]
    onnx.checker.check_model(joined)
    return joined


def _without_rounding(heads: onnx.ModelProto) -> onnx.ModelProto:
    """INT8 heads whose layers read features as they come: the base network has rounded them with the same scale."""
    graph = heads.graph
    ends: dict[str, str] = {}
    for node in list(graph.node):
        source = ends.get(node.input[0], node.input[0]) if node.input else ""
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and source in FEATURES:
            ends[node.output[0]] = source
            graph.node.remove(node)
    for node in graph.node:
        node.input[:] = [ends.get(name, name) for name in node.input]
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return heads


def export_heads(
    checkpoint: Path,
    target: Path,
    base: str,
    size: int,
    models_dir: Path | None = None,
    batches: Sequence[Batch] = (),
    lender: bytes | None = None,
) -> Exported:
    """Write the base network with the heads grafted onto it, without the weights that the lender's file holds.

    Args:
        checkpoint: `last.pt` of a heads run.
        target: The file to write.
        base: Name of the network in the registry; an INT8 one gets INT8 heads.
        size: Side of its crops, px.
        models_dir: Of another registry.
        batches: Crops to calibrate INT8 on.
        lender: The network, with its own weights, from which the file will borrow; None = `base`.

    Raises:
        ModelError: ONNX Runtime and torch differ by more than `TOLERANCE` (float), or a file cannot be read.
    """
    whole = load(base, models_dir)
    model, trunk = onnx.load_from_string(whole), Trunk(base, models_dir)
    graph = heads_graph(checkpoint, size)
    if batches:
        graph = quantised_heads(graph, model, trunk, batches)
    joined = grafted(model, graph)
    rng = np.random.default_rng(0)
    crops = batches[0] if batches else rng.integers(0, 256, (3, size, size, 3), np.uint8)
    difference = _difference(joined, checkpoint, trunk, crops, size)
    for name, value in difference.items():
        if not batches and not value <= TOLERANCE:
            why = f"ONNX Runtime and torch differ by {value:.2g} in {name}"
            raise ModelError(target.name, why, "Nothing was written; check the export")
    return _stored(joined, target, whole if lender is None else lender, difference)


def _stored(joined: onnx.ModelProto, target: Path, lender: bytes | None, difference: dict[str, float]) -> Exported:
    """The network without the weights that the lender, whole, has too; with all where there is none."""
    same = {} if lender is None else {t.name: t for t in onnx.load_from_string(lender).graph.initializer}
    own = [t for t in joined.graph.initializer if t.name not in same or t != same[t.name]]
    del joined.graph.initializer[:]
    joined.graph.initializer.extend(own)
    return store(joined.SerializeToString(), target, difference)


def _difference(joined: onnx.ModelProto, checkpoint: Path, trunk: Trunk, crops: Batch, size: int) -> dict[str, float]:
    """Per output of the heads: largest (float) difference between the graph and torch on some crops."""
    session = onnxruntime.InferenceSession(joined.SerializeToString(), providers=["CPUExecutionProvider"])
    net = HeadsExport(rounded(load_heads(checkpoint)), size).eval()
    with torch.no_grad():
        expected = net(*(torch.from_numpy(one) for one in (*trunk.run(crops), crops)))
    got = session.run(list(HEAD_OUTPUTS), {"crops": crops})
    return {
        name: float((np.abs(a.numpy() - b) / np.maximum(1, np.abs(a.numpy()))).max())
        for name, a, b in zip(HEAD_OUTPUTS, expected[: len(HEAD_OUTPUTS)], got, strict=True)
    }


def export_sight(checkpoint: Path, target: Path, base: bytes, size: int, lender: bytes | None) -> Exported:
    """Write a network with mesh with the line of sight grafted onto it, without the weights that the lender has; one
    that it has already is replaced.

    Args:
        checkpoint: `last.pt` of `rtface train heads --part gaze`.
        target: The file to write.
        base: The network with its weights, INT8 or not: this part stays as it is.
        size: Side of its crops, px.
        lender: The network, with its own weights, from which the file will borrow; None = from none.

    Raises:
        ModelError: It was learned on other eyes than a float network has, ONNX Runtime and torch differ by more than
            `TOLERANCE`, or a file cannot be read.
    """
    model = _without_sight(onnx.load_from_string(base))
    _require_its_eyes(checkpoint, model, target)
    net = SightExport(rounded(load_sight(checkpoint))).eval()
    crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    seen = Looks(base)(torch.from_numpy(crops))
    part = _traced(net, seen, EYE_TENSORS, (SIGHT_OUTPUT,))
    reads = dict(zip(EYE_TENSORS, eyes_in(model), strict=True))
    joined = _joined(model, part, SIGHT_PREFIX, reads, {SIGHT_OUTPUT: (2,)})
    with torch.no_grad():
        expected = net(*seen).numpy()
    session = onnxruntime.InferenceSession(joined.SerializeToString(), providers=["CPUExecutionProvider"])
    (got,) = session.run([SIGHT_OUTPUT], {"crops": crops})
    difference = float((np.abs(expected - got) / np.maximum(1, np.abs(expected))).max())
    if not difference <= TOLERANCE:
        why = f"ONNX Runtime and torch differ by {difference:.2g} in {SIGHT_OUTPUT}"
        raise ModelError(target.name, why, "Nothing was written; check the export")
    return _stored(joined, target, lender, {SIGHT_OUTPUT: difference})


def _require_its_eyes(checkpoint: Path, model: onnx.ModelProto, target: Path) -> None:
    """Refuse a line of sight that learned on other eyes than a float network's. INT8 eyes, which are rounded, are not
    asked: the float network is exported first."""
    learned_on = read_checkpoint(checkpoint, ("ema",)).get("facts", {}).get("eyes")
    own = eyes_of(model)
    if None not in (learned_on, own) and learned_on != own:
        why = "has other eyes than this line of sight learned on, and would look degrees off"
        mend = "Train it on these: rtface train heads --part gaze --init LAST.PT --models FOLDER --run NEW"
        raise ModelError(target.name, why, mend)


def _without_sight(model: onnx.ModelProto) -> onnx.ModelProto:
    """A network as it was before a line of sight was grafted onto it."""
    graph = model.graph
    for items, kept in (
        (
            graph.node,
            [n for n in graph.node if not any(o.startswith(SIGHT_PREFIX) or o == SIGHT_OUTPUT for o in n.output)],
        ),
        (graph.initializer, [t for t in graph.initializer if not t.name.startswith(SIGHT_PREFIX)]),
        (graph.output, [o for o in graph.output if o.name != SIGHT_OUTPUT]),
    ):
        del items[:]
        items.extend(kept)
    return model

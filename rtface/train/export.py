"""From a checkpoint to the ONNX files that ship: fold, export, compare, store, register.

An export is written only when ONNX Runtime and torch agree within `TOLERANCE` on every output. Weights are stored as
float16 with a Cast in the graph, which ONNX Runtime folds at load: half the bytes, float32 arithmetic. The weights
are rounded to float16 before both sides are compared, so the comparison is of the network that ships.
"""

from __future__ import annotations

import hashlib
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from rtface.errors import ModelError
from rtface.geometry.crop import CROP_SIZE
from rtface.system.files import atomic_write
from rtface.tasks.enhance import OUTPUT
from rtface.train.nets.blocks import MEAN, SPREAD, fold_all
from rtface.train.nets.ifan import OUTPUT_NAMES, EngineExport
from rtface.train.nets.mos import DetectorExport, DetectorNet
from rtface.train.nets.registry import Network, engine_like
from rtface.train.nets.superfan import SuperFan, SuperFanExport
from rtface.train.register import Exported
from rtface.train.run import read_checkpoint

TOLERANCE = 1e-3  # px, degrees, probabilities alike; relative above 1, where float32 itself ends (a 1000 px box)
LABELS_AGREE = 0.999  # share of equal parsing labels: two equal logits may fall either way
OPSET = 18
NORMALISE = "normalise"  # the node that turns bytes into zero-mean numbers
_SMALL = 64  # initialisers below this many numbers stay float32 (shapes, constants)
Batch = npt.NDArray[np.uint8]
Net = TypeVar("Net", bound=nn.Module)


def load_engine(checkpoint: Path) -> Network:
    """The averaged weights of an engine run, in eval mode. Raises ModelError where they cannot be read."""
    net, state = engine_like(_averaged(checkpoint))
    return _filled(net, state, checkpoint)


def load_detector(checkpoint: Path) -> DetectorNet:
    """The averaged weights of a detector run, in eval mode. Raises ModelError where they cannot be read."""
    state = _averaged(checkpoint)
    net = {name.removeprefix("net."): value for name, value in state.items() if name.startswith("net.")}
    return _filled(DetectorNet(), net, checkpoint)


def load_superfan(checkpoint: Path) -> SuperFan:
    """The averaged weights of an enhancer run, in eval mode. Raises ModelError where they cannot be read."""
    return _filled(SuperFan(), _averaged(checkpoint), checkpoint)


def _averaged(checkpoint: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = read_checkpoint(checkpoint, ("ema",))["ema"]
    return state


def _filled(net: Net, state: dict[str, Tensor], checkpoint: Path) -> Net:
    try:
        net.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(
            str(checkpoint), f"holds no {type(net).__name__}", "Name the --run folder of this network"
        ) from error
    return net.eval()


def export_engine(
    checkpoint: Path,
    target: Path,
    iterations: int,
    lift: npt.NDArray[np.float32] | None = None,
    size: int = CROP_SIZE,
) -> Exported:
    """Write the engine at a fixed number of interaction rounds (ITER), for crops of `size` px, a multiple of 32.

    `lift` (8,) is added to the emotions' logits.
    """
    lifted = None if lift is None else torch.from_numpy(lift)
    net = EngineExport(rounded(load_engine(checkpoint)), iterations, lifted).eval()
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8) for n in (1, 3)]
    return _write(net, inputs, target, "crops", OUTPUT_NAMES, {0: "faces"})


def export_detector(checkpoint: Path, target: Path) -> Exported:
    """Write the detector with the number of pictures (several cameras), their height and width left open."""
    net = DetectorExport(rounded(load_detector(checkpoint))).eval()
    rng = np.random.default_rng(0)
    sizes = ((1, 256, 320), (1, 480, 640), (2, 96, 64))
    inputs = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    return _write(net, inputs, target, "image", ("detections",), {0: "batch", 1: "height", 2: "width"})


def export_superfan(checkpoint: Path, target: Path) -> Exported:
    """Write the enhancer with the number of faces and their size left open."""
    net = SuperFanExport(rounded(load_superfan(checkpoint))).eval()
    rng = np.random.default_rng(0)
    inputs = [rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8) for n, size in ((1, 16), (3, 24), (2, 32))]
    return _write(net, inputs, target, "crops", (OUTPUT,), {0: "faces", 1: "height", 2: "width"})


def rounded(net: Net) -> Net:
    """Fold, then round the stored weights to float16's grid."""
    fold_all(net)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.numel() >= _SMALL:
                parameter.copy_(parameter.half().float())
    return net


def _write(
    net: nn.Module,
    inputs: Sequence[Batch],
    target: Path,
    input_name: str,
    output_names: Sequence[str],
    open_axes: dict[int, str],
) -> Exported:
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # tracer notes on shapes that are constant here
        traced = Path(folder) / target.name
        # the TorchScript exporter: the newer one leaves the detector's cell grid with a fixed size
        torch.onnx.export(
            net,
            (torch.from_numpy(inputs[0]),),
            traced,
            input_names=[input_name],
            output_names=list(output_names),
            dynamic_axes={input_name: open_axes},
            opset_version=OPSET,
            dynamo=False,
        )
        model = normalise_in_one(onnx.load(traced))
    data = halve_weights(model).SerializeToString()
    difference = compare(net, data, inputs, output_names)
    for name, value in difference.items():
        limit = 1 - LABELS_AGREE if name == "parsing" else TOLERANCE
        if not value <= limit:
            why = f"ONNX Runtime and torch differ by {value:.2g} in {name}"
            raise ModelError(target.name, why, "Nothing was written; check the export")
    return store(data, target, difference)


def share_weights(model: Exported, lender: Path, target: Path) -> Exported:
    """Write a file without the weights that the file `lender` holds too, by name and value, for `with_weights`.

    The networks' weights are the same at every size of their crops: a second size costs kilobytes.
    """
    graph, same = onnx.load(model.path), {t.name: t for t in onnx.load(lender).graph.initializer}
    own = [t for t in graph.graph.initializer if t.name not in same or t != same[t.name]]
    del graph.graph.initializer[:]
    graph.graph.initializer.extend(own)
    return store(graph.SerializeToString(), target, model.difference)


def store(data: bytes, target: Path, difference: dict[str, float]) -> Exported:
    """Write a model's bytes whole, or leave what was there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        file.write(data)
    return Exported(target, len(data), hashlib.sha256(data).hexdigest(), difference)


def compare(net: nn.Module, model: bytes, inputs: Sequence[Batch], names: Sequence[str]) -> dict[str, float]:
    """Largest |a - b| / max(1, |a|) per output over `inputs`; for `parsing` the share of labels that differ."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    worst = dict.fromkeys(names, 0.0)
    for batch in inputs:
        with torch.no_grad():
            expected = net(torch.from_numpy(batch))
        expected = expected if isinstance(expected, tuple) else (expected,)
        got = session.run(list(names), {session.get_inputs()[0].name: batch})
        for name, a, b in zip(names, expected, got, strict=True):
            worst[name] = float(np.maximum(worst[name], _distance(name, a.numpy(), b)))  # NaN stays, unlike with max()
    return worst


def _distance(name: str, expected: npt.NDArray[Any], got: npt.NDArray[Any]) -> float:
    if name == "parsing":
        return float((expected != got).mean())
    return float((np.abs(expected - got) / np.maximum(1, np.abs(expected))).max())


def normalise_in_one(model: onnx.ModelProto) -> onnx.ModelProto:
    """Transpose, Cast, Sub, Mul of the uint8 input -> Transpose of bytes, one DequantizeLinear.

    The normalisation (x - 117) / 60 is what DequantizeLinear computes with zero point 117 and scale 1/60: one
    vectorised pass in place of three, and a quantised first layer may read the bytes as they are.
    """
    graph = model.graph
    by_input = {name: node for node in graph.node for name in node.input}
    chain = [by_input[graph.input[0].name]]
    while len(chain) < 4:
        chain.append(by_input[chain[-1].output[0]])
    if sorted(node.op_type for node in chain) != ["Cast", "Mul", "Sub", "Transpose"]:
        raise ModelError("export", f"unexpected first nodes {[n.op_type for n in chain]}", "see nets.blocks.Normalise")
    scale = numpy_helper.from_array(np.array(1 / SPREAD, np.float32), "input_scale")
    zero = numpy_helper.from_array(np.array(MEAN, np.uint8), "input_zero_point")
    graph.initializer.extend((scale, zero))
    nodes = [n for n in graph.node if n not in chain]
    transpose = helper.make_node("Transpose", [graph.input[0].name], ["input_planes"], "transpose", perm=(0, 3, 1, 2))
    dequantise = helper.make_node(
        "DequantizeLinear", ["input_planes", scale.name, zero.name], [chain[-1].output[0]], NORMALISE
    )
    used = {name for node in nodes for name in node.input} | {scale.name, zero.name}
    del graph.node[:]
    graph.node.extend((transpose, dequantise, *(n for n in nodes if n.op_type != "Constant" or n.output[0] in used)))
    kept = [t for t in graph.initializer if t.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    return model


def halve_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """Store float32 initialisers as float16 followed by a Cast to float32."""
    casts, kept = [], []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT or int(np.prod(tensor.dims)) < _SMALL:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name + "_half")
        kept.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=onnx.TensorProto.FLOAT))
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.checker.check_model(model)
    return model

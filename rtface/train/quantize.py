"""INT8 files for x86 (uint8 activations x int8 weights, per channel) by onnxruntime.quantization, from a float file.

Calibrated on training pictures. What a network was calibrated on is written down as text: calibration/NAME.json with
the pictures' ids, the method and the layers that stay float, so that a quantised model can be made again.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from rtface.train.data.corpus import read_corpus
from rtface.train.data.faces import Augment, build_samples
from rtface.train.export import NORMALISE, Batch, Exported, halve_weights, store
from rtface.train.nets.blocks import MEAN, SPREAD

# The last layers turn features into pixels and degrees: eight bits there are coarser than the answers. The first have
# three input channels, which the float kernel runs 2.5 times faster than the integer one.
FLOAT_ENGINE = ("landmarks/head", "encoder/s2/")
FLOAT_DETECTOR = ("head/Conv", "head_1/Conv", "head_2/Conv", "stem/stem.0/")  # the head runs at three strides


def engine_batches(data: Path, cache: Path, count: int = 256, size: int = 128) -> tuple[list[Batch], list[str]]:
    """Varied training crops, batches of 8, and the ids of their pictures; every world the engine meets is in it."""
    files = [data / f"{n}.parquet" for n in ("landmarks", "parsing", "unlabelled", "emotion", "points5")]
    groups = build_samples(read_corpus(files, cache))
    rng = np.random.default_rng(0)
    augment, images, ids = Augment(size, rng, strength=0.5), [], []
    for group in sorted(groups):
        for index in rng.permutation(len(groups[group]))[: count // len(groups)]:
            sample = groups[group][int(index)]
            images.append(augment(sample).image)
            ids.append(sample.picture.id)
    batches = [np.stack(images[i : i + 8]) for i in range(0, len(images) - 7, 8)]
    return batches, ids[: 8 * len(batches)]


def detector_batches(data: Path, cache: Path, count: int = 128) -> tuple[list[Batch], list[str]]:
    """Training pictures at the stream's 320x256 canvas, one a batch, and their ids."""
    files = [data / f"{n}.parquet" for n in ("detection", "landmarks", "negatives")]
    pictures = read_corpus(files, cache)
    batches, ids = [], []
    for index in np.random.default_rng(0).choice(len(pictures), min(count, len(pictures)), replace=False):
        picture = pictures[int(index)]
        height, width = picture.image.shape[:2]
        scale = min(320 / width, 256 / height)
        small = cv2.resize(picture.image, (int(width * scale), int(height * scale)), interpolation=cv2.INTER_AREA)
        canvas = np.zeros((1, 256, 320, 3), np.uint8)
        canvas[0, : small.shape[0], : small.shape[1]] = small
        batches.append(canvas)
        ids.append(picture.id)
    return batches, ids


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Sequence[Batch]) -> None:
        self._name = name
        self._left: Iterator[Batch] = iter(batches)

    def get_next(self) -> dict[str, Batch] | None:
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}


def quantize(
    source: Path, target: Path, batches: Sequence[Batch], ids: Sequence[str], keep_float: Sequence[str], manifest: Path
) -> Exported:
    """Write `target` and its calibration manifest; `keep_float` names layers (parts of node names) left in float."""
    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        onnx.save(_plain(onnx.load(source)), plain)
        quant_pre_process(str(plain), str(plain), skip_symbolic_shape=True)
        graph = onnx.load(plain).graph
        excluded = [n.name for n in graph.node if any(part in n.name for part in keep_float)]
        quantize_static(
            str(plain),
            str(quantised),
            _Reader(graph.input[0].name, batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=["Conv", "Relu"],  # a convolution's answer is rounded once, after its ReLU
            nodes_to_exclude=excluded,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"CalibMovingAverage": True},
        )
        graph = labels_of_integers(_only_used_domains(onnx.load(quantised)))
        data = halve_weights(graph).SerializeToString()
    difference = _difference(source.read_bytes(), data, batches)
    exported = store(data, target, difference)
    manifest.parent.mkdir(exist_ok=True)
    facts: dict[str, Any] = {
        "model": target.name,
        "from": source.name,
        "from_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "tool": f"onnxruntime.quantization {onnxruntime.__version__}",
        "method": "static, min-max with moving average, uint8 activations x int8 weights per channel, QDQ",
        "float_layers": sorted(excluded),
        "mean_absolute_difference_from_float": difference,
        "pictures": sorted(ids),
    }
    manifest.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
    return exported


def labels_of_integers(model: onnx.ModelProto) -> onnx.ModelProto:
    """The quantised graph with `nets.ifan.packed_argmax` reading the logits' integers as they are.

    Which class is largest does not hang on scale and zero point, and integers need no rounding: the DequantizeLinear
    before the Floor becomes one with scale 1 and zero point 0, and the Floor goes. A graph without that pair (the
    detector's, or one whose logits stayed float) is returned as it is.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    for floor in [node for node in model.graph.node if node.op_type == "Floor"]:
        maker = makers.get(floor.input[0])
        if maker is None or maker.op_type != "DequantizeLinear":
            continue
        one = onnx.numpy_helper.from_array(np.array(1, np.float32), "label_scale")
        zero = onnx.numpy_helper.from_array(np.array(0, np.uint8), "label_zero_point")
        model.graph.initializer.extend((one, zero))
        plain = helper.make_node(
            "DequantizeLinear", [maker.input[0], one.name, zero.name], [floor.output[0]], "labels", domain=maker.domain
        )
        at = list(model.graph.node).index(floor)
        model.graph.node.remove(floor)
        model.graph.node.insert(at, plain)
        if not any(maker.output[0] in node.input for node in model.graph.node):
            model.graph.node.remove(maker)
        break
    return model


def _only_used_domains(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the operator sets that the quantiser declares and does not use: older runtimes refuse what they lack."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """The float network in the terms the quantiser reads: float32 weights, normalisation by arithmetic.

    ONNX Runtime quantises a float convolution by itself where its input comes from a DequantizeLinear, and the first
    layer must stay float.
    """
    stored = {t.name: t for t in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            values = onnx.numpy_helper.to_array(stored.pop(node.input[0])).astype(np.float32)
            stored[node.output[0]] = onnx.numpy_helper.from_array(values, node.output[0])
        elif node.name == NORMALISE:
            for name, value in (("mean", float(MEAN)), ("spread", SPREAD)):
                stored[name] = onnx.numpy_helper.from_array(np.array(value, np.float32), name)
            nodes += [
                helper.make_node("Cast", [node.input[0]], ["bytes"], "bytes", to=onnx.TensorProto.FLOAT),
                helper.make_node("Sub", ["bytes", "mean"], ["centred"], "centred"),
                helper.make_node("Div", ["centred", "spread"], [node.output[0]], "scaled"),
            ]
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(t for name, t in stored.items() if name in used)
    return model


def _difference(before: bytes, after: bytes, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean absolute difference per output on the calibration data (for `parsing`: share of labels that differ)."""
    a, b = (onnxruntime.InferenceSession(m, providers=["CPUExecutionProvider"]) for m in (before, after))
    names = [o.name for o in a.get_outputs()]
    sums = dict.fromkeys(names, 0.0)
    for batch in batches[:16]:
        feed = {a.get_inputs()[0].name: batch}
        for name, x, y in zip(names, a.run(names, feed), b.run(names, feed), strict=True):
            sums[name] += float((x != y).mean() if name == "parsing" else np.abs(x - y).mean())
    return {name: round(value / min(16, len(batches)), 6) for name, value in sums.items()}

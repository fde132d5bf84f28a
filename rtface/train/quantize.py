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

from rtface.engine.ort import OrtEngine
from rtface.errors import InputError
from rtface.system.files import write_text
from rtface.system.machine import runs_int8_fast
from rtface.tasks.parsing_scores import DECODERS
from rtface.train.data.faces import Augment
from rtface.train.data.mixed import grouped_samples
from rtface.train.data.pixel_cache import read_pictures
from rtface.train.export import NORMALISE, Batch, halve_weights, store
from rtface.train.int8_rewrites import pack_pixels, scores_of_labels, split_channels
from rtface.train.nets.blocks import MEAN, SPREAD
from rtface.train.register import Exported
from rtface.train.sources import Source

# The last layers turn features into pixels and degrees: eight bits there are coarser than the answers.
FLOAT_ENGINE: tuple[str, ...] = ()
SPLIT_ENGINE = "landmarks/head"  # its cells' logits and offsets, each with a scale of its own, lose nothing
FLOAT_DETECTOR = ("head/Conv", "head_1/Conv", "head_2/Conv")  # the head runs at three strides


def engine_batches(
    sources: Sequence[Source], cache: Path, count: int = 256, size: int = 128
) -> tuple[list[Batch], list[str]]:
    """Varied training crops, batches of 8, and the ids of their pictures; every world the network meets is in it.

    Raises:
        SourceError: A file is damaged.
        InputError: There are too few faces.
    """
    groups = {name: some for name, some in grouped_samples(sources, cache).items() if some[0].is_face}
    rng = np.random.default_rng(0)
    augment, images, ids = Augment(size, rng, strength=0.5), [], []
    for group in sorted(groups):
        for index in rng.permutation(len(groups[group]))[: count // len(groups)]:
            sample = groups[group][int(index)]
            images.append(augment(sample).image)
            ids.append(sample.picture.id)
    step = min(8, max(1, len(images)))
    batches = [np.stack(images[i : i + step]) for i in range(0, len(images) - step + 1, step)]
    if not batches:
        raise InputError("INT8", "there are no faces to calibrate on", "Name others with --data or --source")
    return batches, ids[: step * len(batches)]


def detector_batches(sources: Sequence[Source], cache: Path, count: int = 128) -> tuple[list[Batch], list[str]]:
    """Training pictures at the stream's 320x256 canvas, one a batch, and their ids.

    Raises:
        SourceError: A file is damaged.
    """
    every = [picture for one in sources for picture in read_pictures(one.files, cache, one.splits)]
    pictures = [picture for picture in every if picture.labels.emotion_votes is None]
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


_BYTES = {"scale": np.array(1 / SPREAD, np.float32), "zero_point": np.array(MEAN, np.uint8)}  # a picture's, as they are


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, batches: Sequence[Batch]) -> None:
        self._name = name
        self._left: Iterator[Batch] = iter(batches)

    def get_next(self) -> dict[str, Batch] | None:
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}


def quantize(
    source: Path,
    target: Path,
    batches: Sequence[Batch],
    ids: Sequence[str],
    keep_float: Sequence[str],
    manifest: Path,
    split: str | None = None,
) -> Exported:
    """Write `target` and its calibration manifest.

    `keep_float` names layers (parts of node names) left in float, `split` a layer whose three thirds are rounded each
    with its own scale.
    """
    onnxruntime.set_default_logger_severity(3)  # of the tools' own sessions: constants that a rewrite left unused
    with tempfile.TemporaryDirectory() as folder:
        plain, quantised = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        model = _full_weights(onnx.load(source))
        pixels = next(node.output[0] for node in model.graph.node if node.name == NORMALISE)
        model = _by_arithmetic(model)
        onnx.save(model if split is None else split_channels(model, split), plain)
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
            extra_options={"CalibMovingAverage": True, "TensorQuantOverrides": {pixels: [_BYTES]}},
        )
        model = _only_used_domains(onnx.load(quantised))
        model = scores_of_labels(pack_pixels(model, pixels))
        data = halve_weights(model).SerializeToString()
    difference = _difference(source.read_bytes(), data, batches)
    exported = store(data, target, difference)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    more = {"float_layers": sorted(excluded), "mean_absolute_difference_from_float": difference}
    note_calibration(manifest, target.name, source.name, digest, ids, **more)
    return exported


def note_calibration(path: Path, name: str, source: str, digest: str, ids: Sequence[str], **more: Any) -> None:
    """Write down what an INT8 file was made from, how, and on which pictures it was calibrated."""
    path.parent.mkdir(exist_ok=True)
    facts: dict[str, Any] = {
        "model": name,
        "from": source,
        "from_sha256": digest,
        "tool": f"onnxruntime.quantization {onnxruntime.__version__}",
        "method": "static, min-max with moving average, uint8 activations x int8 weights per channel, QDQ",
        **more,
        "pictures": sorted(ids),
    }
    write_text(path, json.dumps(facts, indent=1) + "\n")


def _only_used_domains(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without the operator sets that the quantiser declares and does not use: older runtimes refuse what they lack."""
    used = {node.domain for node in model.graph.node}
    kept = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def _full_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The float network with its weights as float32, which the quantiser reads."""
    graph = model.graph
    stored = {t.name: t for t in graph.initializer}
    for node in [node for node in graph.node if node.op_type == "Cast" and node.input[0] in stored]:
        half = stored[node.input[0]]
        values = onnx.numpy_helper.to_array(half).astype(np.float32)
        graph.initializer.remove(half)
        graph.initializer.append(onnx.numpy_helper.from_array(values, node.output[0]))
        graph.node.remove(node)
    return model


def _by_arithmetic(model: onnx.ModelProto) -> onnx.ModelProto:
    """The normalisation as Cast, Sub, Div. ONNX Runtime quantises a float convolution by itself where its input comes
    from a DequantizeLinear; the first layer must stay float."""
    graph = model.graph
    index, node = next((i, node) for i, node in enumerate(graph.node) if node.name == NORMALISE)
    for name, value in (("mean", float(MEAN)), ("spread", SPREAD)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(value, np.float32), name))
    graph.node.remove(node)
    graph.node.insert(index, helper.make_node("Div", ["centred", "spread"], [node.output[0]], "scaled"))
    graph.node.insert(index, helper.make_node("Sub", ["bytes", "mean"], ["centred"], "centred"))
    cast = helper.make_node("Cast", [node.input[0]], ["bytes"], "bytes", to=onnx.TensorProto.FLOAT)
    graph.node.insert(index, cast)
    return model


def _difference(before: bytes, after: bytes, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean absolute difference per output on the calibration data (for `parsing`: share of labels that differ)."""
    a = OrtEngine(before, decoders=DECODERS)
    b = OrtEngine(after, decoders=DECODERS, exact_int8=not runs_int8_fast())
    sums = dict.fromkeys(a.outputs, 0.0)
    for batch in batches[:16]:
        one, other = a.run(batch, a.outputs), b.run(batch, a.outputs)
        for name in sums:
            x, y = one[name], other[name]
            sums[name] += float((x != y).mean() if name == "parsing" else np.abs(x - y).mean())
    return {name: round(value / min(16, len(batches)), 6) for name, value in sums.items()}

"""INT8 as TensorRT reads it, from an fp32 file and the ranges of its tensors.

Symmetric int8 for activations and weights (zero point 0), weights per channel, no quantised bias, convolutions only;
what stays float is FP16 where `half_rest` is set, with the decode in float32. The ranges are text (`ranges.py`), so
the file is made again on any machine from what is in the repository, without a picture.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.errors import ModelError, require
from rtface.precision.fp16 import to_fp16
from rtface.precision.graph import Model, cleanup, normalize_graph, read

Range = tuple[float, float]
OPSET = 19
"""The first in which a DequantizeLinear may give float16; TensorRT 10.3 (JetPack 6) reads it."""
QUANTISED = ("Conv",)


def folded(data: bytes, name: str = "model") -> Model:
    """The plain network with its constants folded, in which ranges are measured and which is then quantised."""
    onnx = require("onnx", "calibrate")
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "plain.onnx"
        onnx.save(normalize_graph(read(data, name)), path)
        quant_pre_process(str(path), str(path), skip_symbolic_shape=True)
        return onnx.version_converter.convert_version(cleanup(onnx.load(path)), OPSET)


def measure(data: bytes, batches: Sequence[NDArray[np.uint8]], name: str = "model") -> dict[str, Range]:
    """Lowest and highest value of every tensor that a convolution reads or writes, over `batches` of the input.

    The extremes are those of each batch, averaged: one odd picture does not stretch a range.
    """
    onnx = require("onnx", "calibrate")
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    model = folded(data, name)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        onnx.save(model, path)
        calibrator = create_calibrator(
            str(path),
            list(QUANTISED),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={"moving_average": True, "averaging_constant": 0.05},
        )
        calibrator.collect_data(_Reader(model.graph.input[0].name, batches))
        found = calibrator.compute_data()
    return {
        tensor: (float(np.min(value.range_value[0])), float(np.max(value.range_value[1])))
        for tensor, value in sorted(found.items())
    }


def quantised(
    data: bytes,
    ranges: Mapping[str, Range],
    keep_float: Sequence[str] = (),
    name: str = "model",
    *,
    half_rest: bool = True,
) -> bytes:
    """The INT8 file of an fp32 file's bytes.

    Args:
        data: The fp32 file.
        ranges: Lowest and highest value of each tensor, from `measure` on this very network.
        keep_float: Parts of the names of layers that are not quantised.
        name: What messages call the network.
        half_rest: What is not quantised is float16; False = float32.

    Raises:
        UsageError: onnx is not installed.
        ModelError: A tensor of the network has no range: they are another network's.
    """
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    model = folded(data, name)
    known = {
        tensor for node in model.graph.node if node.op_type in QUANTISED for tensor in (node.input[0], *node.output)
    }
    if missing := sorted(known - set(ranges)):
        why = f"its int8 ranges lack {missing[0]!r} and {len(missing) - 1} more: they are another network's"
        raise ModelError(name, why, "rtface calibrate CLIP_OR_FOLDER measures them again")
    single = {
        tensor: TensorData(lowest=np.float32(low), highest=np.float32(high)) for tensor, (low, high) in ranges.items()
    }
    kept = [node.name for node in model.graph.node if any(part in node.name for part in keep_float)]
    _own_weights(model, kept)
    quantizer = QDQQuantizer(
        model,
        True,  # weights per channel
        False,  # all eight bits
        QuantType.QInt8,
        QuantType.QInt8,
        TensorsData(CalibrationMethod.MinMax, single),
        [],
        kept,
        list(QUANTISED),
        {
            "ActivationSymmetric": True,
            "WeightSymmetric": True,
            "QuantizeBias": False,
            # TensorRT fuses a convolution with the Q in front of it; one behind it would cut it from its Relu.
            "OpTypesToExcludeOutputQuantization": list(QUANTISED),
            "DedicatedQDQPair": True,
        },
    )
    quantizer.quantize_model()
    result = cleanup(quantizer.model.model)
    return (to_fp16(result) if half_rest else result).SerializeToString()  # type: ignore[no-any-return]


def _own_weights(model: Model, kept: Sequence[str]) -> None:
    """Give layers that stay float their weights for themselves: of weights that another round of interaction quantises
    they would get the rounded ones, and TensorRT 10.3 is not known to run INT8 weights on float input."""
    graph = model.graph
    layers = [node for node in graph.node if node.op_type in QUANTISED]
    quantised = {node.input[1] for node in layers if node.name not in kept}
    stored = {tensor.name: tensor for tensor in graph.initializer if tensor.name in quantised}
    for node in layers:
        if node.name in kept and node.input[1] in stored:
            own = graph.initializer.add()
            own.CopyFrom(stored[node.input[1]])
            own.name = node.input[1] = f"{own.name} of {node.name}"


class _Reader:
    """Batches as the calibrator asks for them; it wants this method and no more."""

    def __init__(self, name: str, batches: Sequence[NDArray[np.uint8]]) -> None:
        self._name = name
        self._left: Iterator[NDArray[np.uint8]] = iter(batches)

    def get_next(self) -> dict[str, Any] | None:
        batch = next(self._left, None)
        return None if batch is None else {self._name: batch}

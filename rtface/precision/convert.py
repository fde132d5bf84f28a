"""A network's file in a precision, made from its fp32 file: what TensorRT builds its plans from."""

from __future__ import annotations

import hashlib
from pathlib import Path

from rtface.models import ModelEntry, entry, load
from rtface.precision.ranges import path_of, read_record

INT8_FORM = "2"
"""Which way of making an INT8 file this is: plans of another way are not taken for plans of this one."""


def convert(model: ModelEntry, precision: str, calibration: str | Path | None = None) -> bytes:
    """The ONNX bytes of an fp32 network in `precision` (fp32, fp16, int8), as TensorRT reads it.

    Args:
        model: The fp32 network.
        precision: `fp32`, `fp16` or `int8`.
        calibration: Folder with the int8 ranges; None = what ships.

    Raises:
        UsageError: onnx is not installed.
        ModelError: The file is damaged, or there are no ranges of it.
    """
    from rtface.precision import fp16, graph, int8

    data = load(model)
    if precision == "fp16":
        return fp16.to_fp16_bytes(data, model.name)
    if precision == "int8":
        record = read_record(model, calibration)
        return int8.quantised(data, record.ranges, record.float_layers, model.name)
    return graph.normalize_graph(graph.read(data, model.name)).SerializeToString()  # type: ignore[no-any-return]


def fingerprint(model: ModelEntry, precision: str, calibration: str | Path | None = None) -> str:
    """A hash of what `convert` makes its file from, without making it: the fp32 file, the precision, the ranges.

    Raises:
        ModelError: There are no int8 ranges of this network.
    """
    parts = [model.sha256, precision]
    if model.weights is not None:
        parts.append(entry(model.weights, model.path.parent).sha256)
    if precision == "int8":
        parts.append(INT8_FORM)
        read_record(model, calibration)  # that of another file must not name a plan
        parts.append(hashlib.sha256(path_of(model.name, calibration).read_bytes()).hexdigest())
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()

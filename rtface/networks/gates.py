"""Which precision of which network passed its accuracy gate, and where: `calibration/gates.json`, written by
`rtface calibrate --data`."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtface.errors import ModelError
from rtface.system.json_text import parse_json
from rtface.system.package_data import package_data

FILE = "gates.json"
FIGURES = ("fp32", "value", "loss", "limit")


@dataclass(frozen=True, slots=True)
class AccuracyGate:
    """One network, one precision on one engine, measured against its fp32 file.

    Attributes:
        model: The fp32 network's name; `sha256` of its file.
        engine: onnx, openvino or trt. `precision`: fp16 or int8.
        file_sha256: Of the file that was measured, where it is one of the registry; else empty (made on the machine).
        float_layers: Layers kept in higher precision because a head lost too much, beyond those that always are.
        heads: A row a figure: name, unit as in `rtface eval`, fp32, value, loss, limit.
        passed: No head loses more than its limit.
        measured_by: What computed it.
    """

    model: str
    sha256: str
    engine: str
    precision: str
    file_sha256: str
    float_layers: tuple[str, ...]
    heads: tuple[dict[str, Any], ...]
    passed: bool
    measured_by: str

    @property
    def failed(self) -> tuple[dict[str, Any], ...]:
        """The heads that lose more than their limit."""
        return tuple(head for head in self.heads if not head["passed"])


def gates(folder: str | Path | None = None) -> tuple[AccuracyGate, ...]:
    """Every gate that was measured; none where the file is missing. `folder` None = what ships.

    Raises:
        ModelError: The file is there and cannot be read.
    """
    path = (package_data("calibration") if folder is None else Path(folder)) / FILE
    try:
        rows = parse_json(path.read_text("utf-8"))["gates"]
        return tuple(map(_gate, rows))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        why = f"is not a readable gate table ({error})"
        raise ModelError(str(path), why, "rtface calibrate --data CORPUS measures it again") from error


def _gate(row: dict[str, Any]) -> AccuracyGate:
    """A row of the table; TypeError or ValueError where a value is not of its kind."""
    gate = AccuracyGate(**{**row, "float_layers": tuple(row["float_layers"]), "heads": tuple(row["heads"])})
    words = (gate.model, gate.sha256, gate.engine, gate.precision, gate.file_sha256, gate.measured_by)
    if not all(isinstance(word, str) for word in (*words, *gate.float_layers)):
        raise TypeError(f"expected words in the gate of {gate.model}, got another kind")
    if type(gate.passed) is not bool:
        raise TypeError(f"expected passed to be true or false, got {gate.passed!r}")
    for head in gate.heads:
        if type(head["passed"]) is not bool or not isinstance(head["name"], str):
            raise TypeError(f"expected a figure with name and passed, got {head!r}")
        missing = [name for name in FIGURES if name in head and head[name] is None]
        if missing and (head["passed"] or "limit" in missing):
            raise ValueError(f"expected a figure that failed where there is no number, got {head!r}")
        if not all(math.isfinite(head[name]) for name in FIGURES if name in head and name not in missing):
            raise ValueError(f"expected finite figures, got {head!r}")
    if gate.passed and gate.failed:
        raise ValueError(f"the gate of {gate.model} passed, but {gate.failed[0]['name']} did not")
    return gate


def gate_of(
    sha256: str, engine: str, precision: str, folder: str | Path | None = None, files: Collection[str] = ()
) -> AccuracyGate | None:
    """The gate of the fp32 file with this hash in this precision on this engine; None = never measured.

    `files` are the hashes of the files at hand: a gate of another file says nothing of these.
    """
    return matching(gates(folder), sha256, engine, precision, files)


def matching(
    known: Collection[AccuracyGate], sha256: str, engine: str, precision: str, files: Collection[str]
) -> AccuracyGate | None:
    """`gate_of`, among gates that were read already."""
    for gate in known:
        if (gate.sha256, gate.engine, gate.precision) == (sha256, engine, precision):
            return gate if gate.file_sha256 in ("", *files) else None  # "" = made on the machine, from the fp32 file
    return None

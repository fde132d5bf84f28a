"""Every precision of a network through its gate; a head that loses too much keeps higher precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import onnxruntime

from rtface.calibrate.measure import HEADS, Figures, compare_to_fp32, figures
from rtface.engine import Engine, OrtEngine
from rtface.errors import RtfaceError
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry, find, load
from rtface.networks.gates import FILE, AccuracyGate, gates
from rtface.networks.speeds import installed_backends
from rtface.options import Options
from rtface.precision import fp16, graph, int8
from rtface.precision.ranges import Record
from rtface.system.files import write_text
from rtface.system.machine import runs_int8_fast
from rtface.tasks.parsing_scores import DECODERS

Say = Callable[[str], None]


class Gatekeeper:
    """Measures one network.

    Args:
        model: The fp32 network.
        data: The corpus.
        options: For the pipeline around it.
        limit: Most pictures a task.
        say: Told of each step.
    """

    def __init__(self, model: ModelEntry, data: Path, options: Options, limit: int | None, say: Say) -> None:
        self._model, self._data, self._limit, self._say = model, data, limit, say
        self._options = replace(options, iterations=model.iterations or 0)
        self._full: Figures = {}

    def measure(self, record: Record) -> tuple[Record, list[AccuracyGate]]:
        """The record with the layers that had to stay float, and the gates of every precision on every engine."""
        found = [*self.on_cpus(), self._half()]
        record, gate = self._symmetric(record)
        return record, [*found, gate]

    def on_cpus(self) -> list[AccuracyGate]:
        """The gates of the precisions that CPU engines have: all there are of a network that runs nowhere else."""
        self._full = self._figures(lambda: _ort(load(self._model), self._model.name, self._options.threads))
        heads = (
            f"{head.task} {head.metric}"
            for head in HEADS[self._model.role]
            if (head.task, head.metric) not in self._full
        )
        if unknown := ", ".join(heads):
            self._say(f"{self._model.name}: {unknown} not measured, as no picture of {self._data} is labelled for it")
        return list(self._shipped())

    def _shipped(self) -> Iterator[AccuracyGate]:
        """INT8 for x86 on ONNX Runtime and OpenVINO, and OpenVINO's 16-bit float."""
        runs: list[tuple[str, str, str, Callable[[], Engine]]] = []
        try:
            small = find(self._model.role, self._model.iterations, "int8", self._options.models_dir)
        except RtfaceError:
            small = None
        threads = self._options.threads
        if small is not None:
            data = load(small)
            runs.append(("onnx", "int8", small.sha256, lambda: _ort(data, small.name, threads)))
        if "openvino" in installed_backends():
            from rtface.engine.openvino import OpenVinoEngine

            if small is not None:
                runs.append(
                    (
                        "openvino",
                        "int8",
                        small.sha256,
                        lambda: OpenVinoEngine(data, small.name, threads, decoders=DECODERS),
                    )
                )
            full = load(self._model)
            half = lambda: OpenVinoEngine(full, self._model.name, threads, half=True, decoders=DECODERS)  # noqa: E731
            runs.append(("openvino", "fp16", self._model.sha256, half))
        for engine, precision, digest, opened in runs:
            try:
                facts = opened().describe()
                yield self._gate(engine, precision, opened, digest, f"{facts['engine']} {facts['version']}")
            except RtfaceError as error:  # this CPU has no 16-bit float
                self._say(str(error))

    def _half(self) -> AccuracyGate:
        data = fp16.to_fp16_bytes(load(self._model), self._model.name)
        return self._gate("trt", "fp16", lambda: _ort(data, self._model.name, self._options.threads))

    def _symmetric(self, record: Record) -> tuple[Record, AccuracyGate]:
        """INT8 for TensorRT; the heads that fail are kept in float, once, and measured again."""
        gate = self._int8(record)
        failed = {head["output"] for head in gate.failed}
        own = graph.own_layers(int8.folded(load(self._model), self._model.name))
        more = [layer for output in sorted(failed) for layer in own.get(output, ()) if layer not in record.float_layers]
        if not more:
            return record, gate
        self._say(
            f"{self._model.name} trt int8: {', '.join(sorted(failed))} lost too much; {len(more)} layers stay float"
        )
        mixed = replace(record, float_layers=(*record.float_layers, *more))
        return mixed, replace(self._int8(mixed), float_layers=tuple(more))

    def _int8(self, record: Record) -> AccuracyGate:
        data = int8.quantised(load(self._model), record.ranges, record.float_layers, self._model.name)
        return self._gate("trt", "int8", lambda: _ort(data, self._model.name, self._options.threads, exact=True))

    def _gate(
        self, engine: str, precision: str, opened: Callable[[], Engine], digest: str = "", by: str = ""
    ) -> AccuracyGate:
        heads = compare_to_fp32(self._model.role, self._full, self._figures(opened))
        gate = AccuracyGate(
            model=self._model.name,
            sha256=self._model.sha256,
            engine=engine,
            precision=precision,
            file_sha256=digest,
            float_layers=(),
            heads=heads,
            passed=bool(heads) and all(head["passed"] for head in heads),
            measured_by=(by or f"onnxruntime {onnxruntime.__version__} on the CPU") + _how(engine, precision),
        )
        self._say(f"{self._model.name} {engine} {precision}: {'passed' if gate.passed else 'NOT passed'}")
        return gate

    def _figures(self, opened: Callable[[], Engine]) -> Figures:
        size = self._model.size or CROP_SIZE
        return figures(self._model.role, opened, self._data, self._options, limit=self._limit, size=size)


def _how(engine: str, precision: str) -> str:
    if precision != "int8" or engine == "openvino":
        return ""
    return ", 8-bit numbers in float, as VNNI answers" if engine == "trt" or not runs_int8_fast() else ""


def write_gates(found: Sequence[AccuracyGate], folder: Path, command: str) -> Path:
    """Put gates into the folder's table; those of other networks and engines stay."""
    fresh = {(gate.model, gate.engine, gate.precision) for gate in found}
    kept = [gate for gate in gates(folder) if (gate.model, gate.engine, gate.precision) not in fresh]
    rows = sorted(
        (asdict(gate) for gate in [*kept, *found]), key=lambda row: (row["model"], row["engine"], row["precision"])
    )
    path = folder / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps({"command": command, "gates": rows}, indent=1) + "\n")
    return path


def table(found: Sequence[AccuracyGate]) -> list[tuple[str, str, str, str, str, str]]:
    """Rows for people: what, head, fp32, value, loss of limit, verdict."""
    rows = []
    for gate in found:
        what = f"{gate.model} {gate.engine} {gate.precision}" + (" mixed" if gate.float_layers else "")
        for head in gate.heads:
            full, value = ("-" if head[name] is None else f"{head[name]:.2f}" for name in ("fp32", "value"))
            loss = "-" if head["loss"] is None else f"{head['loss']:+.2f} of {head['limit']:g}"
            rows.append((what, head["name"], full, value, loss, "ok" if head["passed"] else "NO"))
    return rows


def _ort(data: bytes, name: str, threads: int | None, exact: bool = False) -> OrtEngine:
    """`exact`: on a CPU with VNNI too. There ONNX Runtime 1.32 joins float16 scales into its integer kernels and is off
    (mesh of 40 portraits 1.755 → 2.044 %, 1.757 when the same file's convolutions are computed in float)."""
    return OrtEngine(data, name, threads, decoders=DECODERS, exact_int8=exact or not runs_int8_fast())

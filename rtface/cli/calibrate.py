"""``rtface calibrate``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import groups
from rtface.errors import UsageError
from rtface.options import Options

if TYPE_CHECKING:
    from rtface.calibrate.collect import Seen
    from rtface.models import ModelEntry
    from rtface.precision.ranges import Record

calibrate = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface calibrate my-camera.mp4

  rtface calibrate pictures/ --out my-camera

  rtface calibrate corpus/ --data corpus/ --limit 300
"""


@calibrate.command(epilog=EXAMPLES)
@groups.spread
def calibrate_command(
    source: Annotated[
        str, typer.Argument(metavar="CLIP_OR_FOLDER", help="Your camera's pictures: a video, a folder, or a corpus.")
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where the text goes.")] = Path("calibration"),
    data: Annotated[
        Path | None, typer.Option("--data", metavar="CORPUS", help="Labelled pictures: measure the accuracy gates too.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most labelled pictures a task.")] = None,
    network: Annotated[
        list[str] | None, typer.Option("--network", metavar="NAME", help="Only this fp32 network; repeatable.")
    ] = None,
    *,
    options: Annotated[Options, groups.pipeline()],
) -> None:
    """Measure the ranges for INT8 on your own pictures, and with --data what every precision loses.

    Writes text only: NAME-ranges.json (hashes of the pictures, ranges of the tensors) and gates.json. No picture leaves
    its place. `rtface build --profile desktop-int8` then builds with them.
    """
    from rtface.calibrate.collect import look
    from rtface.calibrate.gatekeeper import Gatekeeper
    from rtface.errors import require
    from rtface.networks.roles import SMALL_ENGINE
    from rtface.precision.ranges import write_record

    require("onnx", "calibrate")
    models = _models(network, options)
    if data is None:
        if network and all(model.role == SMALL_ENGINE for model in models):
            raise UsageError(models[0].name, "has no ranges to measure, as no TensorRT runs it", "Pass --data CORPUS")
    elif not data.exists():
        raise UsageError(str(data), "is not there", "Name the folder with the labelled corpus, or leave --data out")
    seen = look(source, options)
    print(f"{source}: {len(seen.pictures)} pictures, {sum(map(len, seen.crops))} crops", file=sys.stderr)
    found = []
    for model in models:
        keeper = None if data is None else Gatekeeper(model, data, options, limit, _say)
        if model.role == SMALL_ENGINE:  # a CPU's rung of the quality ladder: no ranges for TensorRT
            found += keeper.on_cpus() if keeper else []
            continue
        record = _record(model, source, seen)
        if keeper is not None:
            record, gates = keeper.measure(record)
            found += gates
        print(write_record(record, out))
    if data is not None:
        _gated(found, out, source, data, limit, network or [])
    print(f"use them: rtface build --profile desktop-int8 --set calibration_dir={out}", file=sys.stderr)


def _models(names: list[str] | None, options: Options) -> list[ModelEntry]:
    from rtface.calibrate.measure import HEADS
    from rtface.models import entries, entry

    if not names:
        # The enhancer has one precision only.
        return [one for one in entries(options.models_dir) if one.precision == "fp32" and one.role in HEADS]
    models = [entry(name, options.models_dir) for name in names]
    for model in models:
        if model.role not in HEADS:
            raise UsageError(model.name, "has no gate of its own", "Name a detector or an engine: `rtface models list`")
        if model.precision != "fp32":
            raise UsageError(model.name, "is an int8 file already", "Name the fp32 network that it was made from")
    return models


def _record(model: ModelEntry, source: str, seen: Seen) -> Record:
    import onnxruntime

    from rtface.models import load
    from rtface.precision import graph, int8
    from rtface.precision.ranges import Record

    onnx = load(model)
    ranges = int8.measure(onnx, seen.batches(model.role), model.name)
    return Record(
        model=model.name,
        sha256=model.sha256,
        tool=f"onnxruntime.quantization {onnxruntime.__version__}",
        method="min-max of each batch, moving average; symmetric int8, weights per channel, convolutions only",
        source=Path(source).name,
        pictures=tuple(seen.pictures),
        float_layers=tuple(graph.last_layers(int8.folded(onnx, model.name))),
        ranges=ranges,
    )


def _gated(found: list, out: Path, source: str, data: Path, limit: int | None, names: list[str]) -> None:  # type: ignore[type-arg]
    from rtface.bench.report import table
    from rtface.calibrate.gatekeeper import table as rows
    from rtface.calibrate.gatekeeper import write_gates

    most = "" if limit is None else f" --limit {limit}"
    most += "".join(f" --network {name}" for name in names)
    print(write_gates(found, out, f"rtface calibrate {Path(source).name} --data {data.name}{most}"))
    print(table(("", "head", "fp32", "value", "loss", "gate"), rows(found)))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)

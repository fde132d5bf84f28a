"""``rtface models``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import flags

if TYPE_CHECKING:
    from rtface.models import ModelEntry

models = typer.Typer(add_completion=False, help="The networks that rtface runs.")


@models.command("list", epilog="Example:\n\n  rtface models list")
def list_command(
    models_dir: flags.ModelsDir = None,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each model.")] = False,
) -> None:
    """One line a model: name, role, size, hash, terms of the weights."""
    from rtface.models import entries

    for model in entries(models_dir):
        if as_json:
            row = {
                "name": model.name,
                "role": model.role,
                "bytes": model.bytes,
                "sha256": model.sha256,
                "code_licence": model.code_licence,
                "weights_licence": model.weights_licence,
                "metrics": {f"{metric.name} ({metric.data})": metric.value for metric in model.metrics},
            }
            print(json.dumps(row))
        else:
            size = f"{model.bytes / 1e6:.2f} MB"
            terms = model.weights_licence.partition(":")[0]
            print(f"{model.name:<22} {model.role:<17} {size:>9}  {model.sha256[:12]}  {terms}")


@models.command("show", epilog="Example:\n\n  rtface models show detector")
def show_command(
    name: Annotated[str, typer.Argument(help="A name from rtface models list.")], models_dir: flags.ModelsDir = None
) -> None:
    """A model's inputs, outputs, figures and the commands that measure them, then its card."""
    from rtface.models import card, entry

    model = entry(name, models_dir)
    print(f"{model.name}: {model.role}, {model.bytes} bytes, sha256 {model.sha256}")
    print(f"file: {model.path}")
    print(f"code: {model.code_licence}; weights: {model.weights_licence}")
    for label, lines in (("inputs", model.inputs), ("outputs", model.outputs)):
        print(f"{label}: {'; '.join(lines)}")
    for metric in model.metrics:
        print(f"{metric.name} = {metric.value:g} on {metric.data}: {metric.command}")
    if model.card_path is not None:
        print(f"\n{card(name, models_dir)}")


@models.command("verify", epilog="Example:\n\n  rtface models verify")
def verify_command(models_dir: flags.ModelsDir = None) -> None:
    """Check each model's file against the registry's size and hash; exit code 4 where one does not fit."""
    from rtface.models import verify

    failed = None
    for model, error in verify(models_dir):
        print(f"{'ok' if error is None else 'BAD':<4} {model.name}  {model.path}")
        if error is not None:
            failed = failed or error
    sys.stdout.flush()
    if failed is not None:
        raise failed


@models.command(
    "add", epilog="Example:\n\n  rtface models add mine.onnx --models-dir models --license MIT --data corpus"
)
def add_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file with a network of rtface's kind.")],
    models_dir: Annotated[Path, typer.Option("--models-dir", metavar="DIR", help="The folder that it goes into.")],
    licence: Annotated[str, typer.Option("--license", metavar="TEXT", help="Terms of its weights.")],
    name: Annotated[str | None, typer.Option("--name", help="In the registry.", show_default="the file's")] = None,
    iterations: Annotated[int, typer.Option(min=0, max=3, help="Rounds of interaction of a multi-task network.")] = 0,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="CORPUS", help="Labelled pictures: measure what INT8 loses."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Most labelled pictures a task.")] = None,
) -> None:
    """Register a network: its role is read off the file, which is tried once, hashed and copied into the folder.

    Roles that the folder has no network of are run by rtface's own.
    """
    from rtface.train.add_model import add_model

    model = add_model(file, models_dir, licence, name, iterations)
    print(f"{model.name}: {model.role}, {model.precision}, sha256 {model.sha256[:12]}, {model.weights_licence}")
    if data is not None:
        _gate(model, models_dir, data, limit)
    print(f"use it: rtface live --set models_dir={models_dir}", file=sys.stderr)


def _gate(model: ModelEntry, folder: Path, data: Path, limit: int | None) -> None:
    """Measure every precision that the folder has of the network, and keep what was found beside it."""
    from rtface.bench.report import table
    from rtface.calibrate import gatekeeper
    from rtface.errors import ModelError
    from rtface.models import entries
    from rtface.options import Options

    same = [one for one in entries(folder) if (one.role, one.iterations) == (model.role, model.iterations)]
    full = next((one for one in same if one.precision == "fp32"), None)
    if full is None:
        raise ModelError(model.name, "has no fp32 file beside it to compare with", "Add that first")
    options = Options.load(models_dir=folder)
    found = gatekeeper.Gatekeeper(full, data, options, limit, lambda line: print(line, file=sys.stderr)).on_cpus()
    gatekeeper.write_gates(found, folder / "calibration", f"rtface models add --data {data.name}")
    print(table(("", "head", "fp32", "value", "loss", "gate"), gatekeeper.table(found)))

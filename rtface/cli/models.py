"""``rtface models``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

models = typer.Typer(add_completion=False, help="The networks that rtface runs.")

ModelsDir = Annotated[
    Path | None,
    typer.Option(
        "--models-dir",
        metavar="DIR",
        envvar="RTFACE_MODELS_DIR",
        help="A folder with other models and their registry.toml.",
    ),
]


@models.command("list", epilog="Example:\n\n  rtface models list")
def list_command(
    models_dir: ModelsDir = None,
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
            print(f"{model.name:<22} {model.role:<9} {size:>9}  {model.sha256[:12]}  {terms}")


@models.command("show", epilog="Example:\n\n  rtface models show detector")
def show_command(
    name: Annotated[str, typer.Argument(help="A name from rtface models list.")], models_dir: ModelsDir = None
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
def verify_command(models_dir: ModelsDir = None) -> None:
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

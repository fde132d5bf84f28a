"""``rtface build``."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import groups
from rtface.errors import UsageError
from rtface.options import Options

if TYPE_CHECKING:
    from rtface.models import ModelEntry
    from rtface.networks.profiles import Profile

build = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface build

  rtface build --profile desktop-int8 --tasks all

  rtface build --profile my-box.toml --network engine-iter0
"""


@build.command(epilog=EXAMPLES)
@groups.spread
def build_command(
    network: Annotated[
        list[str] | None, typer.Option("--network", metavar="NAME", help="Only this network; repeatable.")
    ] = None,
    measure: Annotated[bool, typer.Option("--measure/--no-measure", help="Time the engines for --engine auto.")] = True,
    *,
    options: Annotated[Options, groups.pipeline("profile", "precision", "tasks")],
) -> None:
    """Get this machine ready ahead of time: TensorRT plans where TensorRT is, and a measurement for --engine auto.

    TensorRT-RTX builds without a GPU; TensorRT builds on the GPU that will run the plans.
    """
    from rtface.networks.selection import profile_for

    chosen = profile_for(options)
    if chosen.engine == "trt":
        for model in _models(network, options):
            _plan(model, chosen.precision, chosen, options)
    elif options.profile is None:
        print("no TensorRT here, so no plans to build", file=sys.stderr)
    if measure:
        _measure(options)


def _models(names: list[str] | None, options: Options) -> list[ModelEntry]:
    """The fp32 networks to build: those named, else the two that the options run."""
    from rtface.models import entry, find
    from rtface.networks.roles import DETECTOR, ENGINE, FULL_ENGINE, engine_role

    if not names:
        roles = ((DETECTOR, None), (engine_role(options.tasks), options.iterations))
        return [find(role, iterations, "fp32", options.models_dir) for role, iterations in roles]
    models = [entry(name, options.models_dir) for name in names]
    for model in models:
        if model.role not in (DETECTOR, ENGINE, FULL_ENGINE):
            raise UsageError(model.name, "runs on the CPU only", "Name a detector or an engine")
        if model.precision != "fp32":
            raise UsageError(
                model.name, "is an int8 file; plans are built from fp32 ones", "Add --precision int8 to it"
            )
    return models


def _plan(model: ModelEntry, precision: str, profile: Profile, options: Options) -> None:
    from rtface.engine.plan_cache import PlanCache
    from rtface.networks.tensorrt import make_plan, precision_for

    precision, began, said = precision_for(model, precision, options), time.monotonic(), [-1]

    def progress(phase: str, done: float) -> None:
        tenth = int(done * 10)
        if tenth != said[0]:
            said[0] = tenth
            print(f"{model.name} {precision}: {phase} {10 * tenth} %", file=sys.stderr, flush=True)

    key, built = make_plan(model, precision, profile, options, progress=progress)
    path = PlanCache().path(key)
    took = f"built in {time.monotonic() - began:.1f} s" if built else "was there already"
    print(f"{model.name} {precision}: {took}, {path.stat().st_size / 1e6:.2f} MB, {key.tensorrt}, {path}", flush=True)


def _measure(options: Options) -> None:
    from rtface.networks.selection import Catalogue, choose_backend
    from rtface.networks.speed_test import measure

    for speed in measure(options, say=lambda line: print(line, file=sys.stderr)):
        print(f"{speed.engine:<9} {speed.precision:<5} {speed.frame_ms:7.2f} ms a frame's networks", flush=True)
    backend = choose_backend(replace(options, engine="auto"), Catalogue.read(options))
    print(f"--engine auto runs {backend.name} {backend.precision}: {backend.why}", flush=True)

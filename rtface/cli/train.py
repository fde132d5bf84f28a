"""`rtface train detector|engine|heads|teacher|superfan|synth|caches`. Torch loads only once a command runs.

Each command's flags are the options of its configuration class (`rtface.train.config`), where they are declared.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.cli.groups import Group, flag_of, parameter, spread
from rtface.cli.synth import EXAMPLES as _SYNTH_EXAMPLES
from rtface.cli.synth import synth_command
from rtface.errors import UsageError, require
from rtface.train.config import (
    CACHE,
    DetectorConfig,
    EngineConfig,
    HeadsConfig,
    RunConfig,
    SuperFanConfig,
    TeacherConfig,
)
from rtface.train.settings import build

train = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train a network on a corpus of labelled pictures.",
    epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000",
)
SOURCE = parameter(
    "source",
    list[str] | None,
    typer.Option(
        "--source",
        metavar="PATH[=SHARE][:TASKS]",
        help="Draw from these files instead of --data's, e.g. wflw.parquet=12:landmarks,pose; repeatable.",
    ),
)
CONFIG = parameter(
    "config",
    Path | None,
    typer.Option("--config", metavar="TOML", help="Any of these options, and [[source]] tables: docs/training.md."),
)
_ENGINE_EXAMPLES = """
Example: rtface train engine --data corpus --run runs/engine --minutes 120

  rtface train engine --data corpus --run runs/next --steps 8400 --init runs/engine/last.pt
"""


def _shown(option: Field[Any]) -> str | None:
    """An option's default for the help; a switch's stands in its text."""
    default = option.default
    number = f"{default:g}" if isinstance(default, int | float) and not isinstance(default, bool) else None
    return option.metadata["shown"] or (default if isinstance(default, str) else number)


def training(kind: type[RunConfig]) -> Group:
    """The flags of a training's options, --source and --config, which make its configuration."""
    data, run, *others = (flag_of(one, _shown(one)) for one in fields(kind) if one.metadata.get("text"))
    return Group([data, run, SOURCE, CONFIG, *others], lambda given: _configured(kind, given))


@train.command("engine", epilog=_ENGINE_EXAMPLES)
@spread
def train_engine_command(*, config: Annotated[EngineConfig, training(EngineConfig)]) -> None:
    """Train the multi-task engine (landmarks, parsing, emotion, pose) on 128x128 crops.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    require("torch", extra="train")
    from rtface.train.multitask import train_engine

    if config.teacher is not None and config.teacher.suffix != ".pt":
        config.teacher /= "last.pt"
    typer.echo(train_engine(config))


@train.command("heads", epilog="Example: rtface train heads --data corpus --run runs/heads --minutes 90")
@spread
def train_heads_command(*, config: Annotated[HeadsConfig, training(HeadsConfig)]) -> None:
    """Train the heads of the tasks mesh and expression on a multi-task network that stays as it is.

    Learns from faces with a teacher's mesh and blend shapes: python -m benchmarks.mesh labels a corpus file.

    --part eyes --init RUN/last.pt teaches those heads a branch that looks at the eyes' pixels, and nothing else.

    --part gaze teaches the line of sight on the network that ships, which has heads with eyes.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    require("torch", extra="train")
    from rtface.train.eyes import train_eyes
    from rtface.train.gaze import train_gaze
    from rtface.train.heads import train_heads

    parts = {"heads": train_heads, "eyes": train_eyes, "gaze": train_gaze}
    typer.echo(parts[config.part](config))


@train.command("teacher", epilog="Example: rtface train teacher --data corpus --run runs/teacher --steps 5000")
@spread
def train_teacher_command(*, config: Annotated[TeacherConfig, training(TeacherConfig)]) -> None:
    """Train the emotion teacher on FER+'s 48x48 crops; `rtface train engine --teacher RUN` learns from it.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    require("torch", extra="train")
    from rtface.train.teacher import train_teacher

    typer.echo(train_teacher(config))


@train.command("detector", epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000")
@spread
def train_detector_command(*, config: Annotated[DetectorConfig, training(DetectorConfig)]) -> None:
    """Train the MOS-style detector (box, 5 points, head pose) on stitched and scaled scenes.

    Progress goes to stderr, losses to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    require("torch", extra="train")
    from rtface.train.detector import train_detector

    typer.echo(train_detector(config))


@train.command("superfan", epilog="Example: rtface train superfan --data corpus --run runs/superfan --minutes 120")
@spread
def train_superfan_command(*, config: Annotated[SuperFanConfig, training(SuperFanConfig)]) -> None:
    """Train the enhancer: small spoilt faces to clean ones, four times as large.

    The loss terms' weights are by default 1 (pixel), 0.1 (perceptual), 1 (heat map) and 0.001 (WGAN-GP). Of --source
    the files are read; shares and tasks do not matter here.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    require("torch", extra="train")
    from rtface.train.superfan import train_superfan

    typer.echo(train_superfan(config))


def _configured(kind: type[RunConfig], given: Mapping[str, Any]) -> RunConfig:
    """A run's configuration: flags over the TOML file, and the flags' sources instead of the file's."""
    from rtface.train.sources import from_flags, load

    flags = {name: value for name, value in given.items() if value is not None}
    file: Path | None = flags.pop("config", None)
    source = flags.pop("source", None)
    options, found = ({}, ()) if file is None else load(file)
    if source:
        found = from_flags(source)
    options = options | flags
    if found:
        options.setdefault("data", found[0].files[0].parent)
    if not options.keys() & {"minutes", "steps"}:
        raise UsageError("rtface train", "the length of the run is missing", "Pass --minutes N or --steps N")
    config = build(kind, options, "rtface train" if file is None else str(file), "source", sources=found)
    _offer_stale(config.cache)
    return config


def _offer_stale(cache: Path) -> None:
    """Say how much of the cache nobody needs any more."""
    from rtface.train.data.pixel_cache import stale_entries

    stale = sum(entry.bytes for entry in stale_entries(cache))
    if stale > 50_000_000:
        mend = f"rtface train caches --cache {cache} --delete"
        print(f"{cache}: {stale / 1e9:.1f} GB of pixels of files that changed or are gone; {mend}", file=sys.stderr)


train.command("synth", epilog=_SYNTH_EXAMPLES)(synth_command)


@train.command("caches", epilog="Example: rtface train caches --delete")
def train_caches_command(
    cache: Annotated[
        Path, typer.Option(help="Folder of decoded pixels.", show_default="~/.cache/rtface/corpus")
    ] = CACHE,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
) -> None:
    """List decoded pixels that nobody needs any more: their corpus file has changed or gone."""
    from rtface.train.data.pixel_cache import stale_entries

    for entry in stale_entries(cache):
        for file in entry.files if delete else ():
            file.unlink(missing_ok=True)
        print(f"{'deleted ' if delete else ''}{entry.files[0]}  {entry.bytes / 1e6:.0f} MB")

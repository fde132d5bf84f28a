"""`rtface train detector|engine|heads|teacher|superfan|synth|caches`. Torch loads only once a command runs.

Each command's flags are options of its network's configuration class, by the same names: what a flag, or the TOML file,
does not say is that class's default, which the help repeats.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli.synth import EXAMPLES as _SYNTH_EXAMPLES
from rtface.cli.synth import synth_command
from rtface.errors import UsageError, require
from rtface.system.files import cache_dir
from rtface.train.settings import build

if TYPE_CHECKING:
    from rtface.train.sources import Source

train = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train a network on a corpus of labelled pictures.",
    epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000",
)
Data = Annotated[Path | None, typer.Option(help="Folder of corpus files, whatever their names; see rtface import.")]
RunFolder = Annotated[Path | None, typer.Option(help="Folder of the run; it goes on where it stopped.")]
Sources = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="PATH[=SHARE][:TASKS]",
        help="Draw from these files instead of --data's, e.g. wflw.parquet=12:landmarks,pose; repeatable.",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(metavar="TOML", help="Any of these options, and [[source]] tables: see rtface.train.sources."),
]
# Flags without a value leave the option to the TOML file, then to the default that the help shows.
Cache = Annotated[
    Path | None, typer.Option(help="Folder for decoded pixels, about 3 GB.", show_default="~/.cache/rtface/corpus")
]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="Length of the schedule in minutes of training.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Its length in steps; with --minutes, what comes first.")]
Rate = Annotated[float | None, typer.Option(help="Peak learning rate (AdamW, warm-up, cosine).", show_default="0.002")]
Init = Annotated[
    Path | None,
    typer.Option(help="Begin with an exported network, e.g. rtface/models/detector.onnx, or another run's last.pt."),
]
Teacher = Annotated[Path | None, typer.Option(help="Run folder of `rtface train teacher`: learn emotion from it too.")]
Seed = Annotated[int | None, typer.Option(help="Seed of weights and augmentation.", show_default="0")]
Device = Annotated[str | None, typer.Option(help="auto, cpu or cuda.", show_default="auto")]
Threads = Annotated[int | None, typer.Option(min=1, help="Torch threads.", show_default="2")]
Workers = Annotated[
    int | None,
    typer.Option(min=0, help="Processes that make batches (Linux, macOS); 0 = a thread.", show_default="0"),
]
SkipBad = Annotated[
    bool | None, typer.Option("--skip-bad", help="Leave out pictures that do not decode, and say how many.")
]
OnlyOpen = Annotated[
    bool | None,
    typer.Option("--only-open", help="Refuse pictures and networks whose terms forbid commercial use."),
]

_ENGINE_EXAMPLES = """
Example: rtface train engine --data corpus --run runs/engine --minutes 120

  rtface train engine --data corpus --run runs/next --steps 8400 --init runs/engine/last.pt
"""
_CACHE = cache_dir() / "corpus"


@train.command("engine", epilog=_ENGINE_EXAMPLES)
def train_engine_command(
    ctx: typer.Context,
    data: Data = None,
    run: RunFolder = None,
    source: Sources = None,
    config: Config = None,
    cache: Cache = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.", show_default="64")] = None,
    rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    workers: Workers = None,
    skip_bad: SkipBad = None,
    only_open: OnlyOpen = None,
    init: Init = None,
    teacher: Teacher = None,
    network: Annotated[str | None, typer.Option(help="fast or ifan-paper (slow).", show_default="fast")] = None,
    iterations: Annotated[int | None, typer.Option(min=0, max=3, help="Rounds.", show_default="1")] = None,
    joint: Annotated[
        bool | None, typer.Option("--joint/--frozen", help="With interaction all learns on; default: it alone learns.")
    ] = None,
    reencode: Annotated[
        bool | None, typer.Option("--reencode/--no-reencode", help="Re-encode answers fed back; default on.")
    ] = None,
    residual: Annotated[
        bool | None, typer.Option("--residual/--no-residual", help="RMT-Net's corrections; default off.")
    ] = None,
    association: Annotated[
        bool | None, typer.Option("--association/--no-association", help="RMT-Net's guesses at missing labels.")
    ] = None,
    task_norm: Annotated[
        bool | None, typer.Option("--task-norm/--shared-norm", help="Batch norm by task in training; default shared.")
    ] = None,
    small_share: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Of the steps at 128 px, at 96 instead, for a ladder's engine.", show_default="0"
        ),
    ] = None,
) -> None:
    """Train the multi-task engine (landmarks, parsing, emotion, pose) on 128x128 crops.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    options, sources = _options(ctx, config, source)
    require("torch", extra="train")
    from rtface.train.multitask import EngineConfig, train_engine

    built = build(EngineConfig, options, _where(config), sources=sources)
    if built.teacher is not None:
        built.teacher /= "last.pt"
    typer.echo(train_engine(built))


@train.command("heads", epilog="Example: rtface train heads --data corpus --run runs/heads --minutes 90")
def train_heads_command(
    ctx: typer.Context,
    data: Data = None,
    run: RunFolder = None,
    source: Sources = None,
    config: Config = None,
    cache: Cache = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.", show_default="48")] = None,
    rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    workers: Workers = None,
    skip_bad: SkipBad = None,
    init: Annotated[Path | None, typer.Option(help="Begin with another run's last.pt, as far as it fits.")] = None,
    only_open: OnlyOpen = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of the network whose features are read.", show_default="rtface's own"),
    ] = None,
    small_share: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Of the steps, at 96 px, for a ladder's engine.", show_default="0.2"),
    ] = None,
) -> None:
    """Train the heads of the tasks mesh and expression on a multi-task network that stays as it is.

    Learns from faces with a teacher's mesh and blend shapes: python -m benchmarks.mesh labels a corpus file.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    options, sources = _options(ctx, config, source)
    require("torch", extra="train")
    from rtface.train.heads import HeadsConfig, train_heads

    typer.echo(train_heads(build(HeadsConfig, options, _where(config), sources=sources)))


@train.command("teacher", epilog="Example: rtface train teacher --data corpus --run runs/teacher --steps 5000")
def train_teacher_command(
    ctx: typer.Context,
    data: Data = None,
    run: RunFolder = None,
    source: Sources = None,
    config: Config = None,
    cache: Cache = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Crops a step.", show_default="128")] = None,
    rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    workers: Workers = None,
    skip_bad: SkipBad = None,
) -> None:
    """Train the emotion teacher on FER+'s 48x48 crops; `rtface train engine --teacher RUN` learns from it.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    options, sources = _options(ctx, config, source)
    require("torch", extra="train")
    from rtface.train.teacher import TeacherConfig, train_teacher

    typer.echo(train_teacher(build(TeacherConfig, options, _where(config), sources=sources)))


@train.command("detector", epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000")
def train_detector_command(
    ctx: typer.Context,
    data: Data = None,
    run: RunFolder = None,
    source: Sources = None,
    config: Config = None,
    cache: Cache = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Pictures a step.", show_default="32")] = None,
    rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    skip_bad: SkipBad = None,
    only_open: OnlyOpen = None,
    init: Init = None,
    cross_stitch: Annotated[
        bool | None,
        typer.Option("--cross-stitch/--no-cross-stitch", help="Mix the task stems by cross-stitch units; default on."),
    ] = None,
    uncertainty: Annotated[
        bool | None, typer.Option("--uncertainty/--no-uncertainty", help="Learn the task weights; default on.")
    ] = None,
    feedback: Annotated[
        bool | None, typer.Option("--feedback/--no-feedback", help="Online feedback sampling; default on.")
    ] = None,
) -> None:
    """Train the MOS-style detector (box, 5 points, head pose) on stitched and scaled scenes.

    Progress goes to stderr, losses to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    options, sources = _options(ctx, config, source)
    require("torch", extra="train")
    from rtface.train.detector import DetectorConfig, train_detector

    typer.echo(train_detector(build(DetectorConfig, options, _where(config), sources=sources)))


Weight = Annotated[float | None, typer.Option(min=0.0, help="Weight of this loss term; 0 leaves it out.")]


@train.command("superfan", epilog="Example: rtface train superfan --data corpus --run runs/superfan --minutes 120")
def train_superfan_command(
    ctx: typer.Context,
    data: Data = None,
    run: RunFolder = None,
    source: Sources = None,
    config: Config = None,
    cache: Cache = None,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Crops of the smallest size a step.", show_default="32")
    ] = None,
    rate: Rate = None,
    seed: Seed = None,
    device: Device = None,
    threads: Threads = None,
    workers: Workers = None,
    skip_bad: SkipBad = None,
    pixel: Weight = None,
    perceptual: Weight = None,
    heat: Weight = None,
    gan: Weight = None,
    gan_at: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of the run at which the critic begins.", show_default="0.8"),
    ] = None,
    sizes: Annotated[
        str | None, typer.Option(help="Small sides in px, comma-separated.", show_default="16,24,32")
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option(help="Exported float32 engine that the losses look through.", show_default="engine-iter1.onnx"),
    ] = None,
    clean: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of small faces only shrunk, not spoilt.", show_default="0"),
    ] = None,
    init: Annotated[
        Path | None, typer.Option(help="Begin with an exported enhancer.onnx, or another run's last.pt.")
    ] = None,
) -> None:
    """Train the enhancer: small spoilt faces to clean ones, four times as large.

    The loss terms' weights are by default 1 (pixel), 0.1 (perceptual), 1 (heat map) and 0.001 (WGAN-GP). Of --source
    the files are read; shares and tasks do not matter here.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    options, sources = _options(ctx, config, source)
    require("torch", extra="train")
    from rtface.train.superfan import SuperFanConfig, train_superfan

    typer.echo(train_superfan(build(SuperFanConfig, options, _where(config), sources=sources)))


def _options(
    ctx: typer.Context, config: Path | None, source_flags: list[str] | None
) -> tuple[dict[str, Any], tuple[Source, ...]]:
    """A run's options (flags over the TOML file) and its sources (the flags' instead of the file's)."""
    from rtface.train.sources import from_flags, load

    options, found = ({}, ()) if config is None else load(config)
    if source_flags:
        found = from_flags(source_flags)
    given = {name: value for name, value in ctx.params.items() if value is not None}
    defaults: dict[str, Any] = {"cache": _CACHE, "threads": 2}
    options = defaults | options | given
    for apart in ("config", "source"):
        options.pop(apart, None)
    if found:
        options.setdefault("data", found[0].files[0].parent)
    if not options.keys() & {"minutes", "steps"}:
        raise UsageError("rtface train", "the length of the run is missing", "Pass --minutes N or --steps N")
    _offer_stale(Path(options["cache"]))
    return {"minutes": None} | options, found


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
    ] = _CACHE,
    delete: Annotated[bool, typer.Option("--delete", help="Delete what is listed.")] = False,
) -> None:
    """List decoded pixels that nobody needs any more: their corpus file has changed or gone."""
    from rtface.train.data.pixel_cache import stale_entries

    for entry in stale_entries(cache):
        for file in entry.files if delete else ():
            file.unlink(missing_ok=True)
        print(f"{'deleted ' if delete else ''}{entry.files[0]}  {entry.bytes / 1e6:.0f} MB")


def _where(config: Path | None) -> str:
    return "rtface train" if config is None else str(config)

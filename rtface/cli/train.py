"""`rtface train detector|engine|teacher|superfan` and `rtface export detector|engine|superfan`.

Torch loads only once a command runs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.errors import UsageError, require
from rtface.train import sources
from rtface.train.settings import build

if TYPE_CHECKING:
    from rtface.train.export import Exported

train = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Train a network on a corpus of labelled pictures.",
    epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000",
)
export = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Write a trained network as ONNX and register it.",
    epilog="Example: rtface export detector --run runs/detector --out models",
)

Data = Annotated[Path | None, typer.Option(help="Folder with the corpus's parquet files.")]
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
CacheFolder = Annotated[Path, typer.Option(help="Folder for decoded pixels.", show_default="~/.cache/rtface/corpus")]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder of the training run; its last.pt is read.")]
OutFolder = Annotated[
    Path, typer.Option(help="Models folder: ONNX files and registry.toml.", show_default="rtface's own")
]
Int8 = Annotated[
    bool, typer.Option("--int8", help="Also write an INT8 file for x86, calibrated on --data; ./calibration says how.")
]
Calibration = Annotated[Path | None, typer.Option(help="Folder with the corpus's parquet files, for --int8.")]

_ENGINE_EXAMPLES = """
Example: rtface train engine --data corpus --run runs/engine --minutes 120

  rtface train engine --data corpus --run runs/next --steps 8400 --init runs/engine/last.pt
"""
_MODELS = Path(__file__).parent.parent / "models"
_CACHE = Path.home() / ".cache" / "rtface" / "corpus"
_MANIFESTS = Path("calibration")
_FROM_TORCH, _FROM_FLOAT = "largest difference from torch", "mean difference from float"
_COMPARED = {"fp32": _FROM_TORCH, "int8": _FROM_FLOAT}


@train.command("engine", epilog=_ENGINE_EXAMPLES)
def train_engine_command(
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
    flags: dict[str, Any] = {
        "data": data,
        "run": run,
        "cache": cache,
        "minutes": minutes,
        "steps": steps,
        "batch": batch,
    }
    flags |= {"rate": rate, "seed": seed, "device": device, "threads": threads, "init": init, "teacher": teacher}
    flags |= {"network": network, "iterations": iterations, "joint": joint, "reencode": reencode}
    flags |= {"residual": residual, "association": association, "task_norm": task_norm}
    flags |= {"small_share": small_share}
    options, sources = _options(config, source, flags)
    require("torch", extra="train")
    from rtface.train.multitask import EngineConfig, train_engine

    built = build(EngineConfig, options, _where(config), sources=sources)
    if built.teacher is not None:
        built.teacher /= "last.pt"
    typer.echo(train_engine(built))


@train.command("teacher", epilog="Example: rtface train teacher --data corpus --run runs/teacher --steps 5000")
def train_teacher_command(
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
) -> None:
    """Train the emotion teacher on FER+'s 48x48 crops; `rtface train engine --teacher RUN` learns from it.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    flags: dict[str, Any] = {"data": data, "run": run, "cache": cache, "minutes": minutes, "steps": steps}
    flags |= {"batch": batch, "rate": rate, "seed": seed, "device": device, "threads": threads}
    options, sources = _options(config, source, flags)
    require("torch", extra="train")
    from rtface.train.teacher import TeacherConfig, train_teacher

    typer.echo(train_teacher(build(TeacherConfig, options, _where(config), sources=sources)))


@train.command("detector", epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000")
def train_detector_command(
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
    flags: dict[str, Any] = {
        "data": data,
        "run": run,
        "cache": cache,
        "minutes": minutes,
        "steps": steps,
        "batch": batch,
    }
    flags |= {"rate": rate, "seed": seed, "device": device, "threads": threads, "init": init}
    flags |= {"cross_stitch": cross_stitch, "uncertainty": uncertainty, "feedback": feedback}
    options, sources = _options(config, source, flags)
    require("torch", extra="train")
    from rtface.train.detector import DetectorConfig, train_detector

    typer.echo(train_detector(build(DetectorConfig, options, _where(config), sources=sources)))


Weight = Annotated[float | None, typer.Option(min=0.0, help="Weight of this loss term; 0 leaves it out.")]


@train.command("superfan", epilog="Example: rtface train superfan --data corpus --run runs/superfan --minutes 120")
def train_superfan_command(
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
    flags: dict[str, Any] = {"data": data, "run": run, "cache": cache, "minutes": minutes, "steps": steps}
    flags |= {"batch": batch, "rate": rate, "seed": seed, "device": device, "threads": threads}
    flags |= {"pixel": pixel, "perceptual": perceptual, "heat": heat, "gan": gan, "gan_at": gan_at}
    flags |= {"sizes": sizes, "engine": engine, "clean": clean, "init": init}
    options, sources = _options(config, source, flags)
    require("torch", extra="train")
    from rtface.train.superfan import SuperFanConfig, train_superfan

    typer.echo(train_superfan(build(SuperFanConfig, options, _where(config), sources=sources)))


@export.command(
    "engine", epilog="Example: rtface export engine --run runs/engine --int8 --data corpus --rare-emotions 3"
)
def export_engine_command(
    run: CheckpointFolder,
    out: OutFolder = _MODELS,
    int8: Int8 = False,
    data: Calibration = None,
    cache: CacheFolder = _CACHE,
    iterations: Annotated[int, typer.Option(min=0, max=3, help="Most rounds of interaction: a file each.")] = 2,
    rare: Annotated[
        float,
        typer.Option(
            "--rare-emotions",
            min=0,
            max=12,
            metavar="PCT",
            help="Emotions rarer than this among --data's training faces are answered as though they were as common.",
        ),
    ] = 0.0,
) -> None:
    """Write engine-iter0.onnx, engine-iter1.onnx … and engine-96.onnx from RUN's averaged weights.

    The last is ITER 0 for crops of 96 px, a rung of the quality ladder; it runs well where training had --small-share.
    It comes without the weights that engine-iter0.onnx holds, and ITER 2 and 3 without those of engine-iter1.onnx.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    lifted = None
    if rare:
        from rtface.train.logit_adjustment import emotion_lift

        if data is None:
            raise UsageError("rtface export", "--rare-emotions counts training faces", "Pass --data FOLDER too")
        lifted = emotion_lift(data, cache, rare / 100)
    data = _needs_data(int8, data)
    require("torch", extra="train")
    from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
    from rtface.train import quantize as q
    from rtface.train.export import export_engine, share_weights
    from rtface.train.register import register

    def write(name: str, folder: Path, rounds: int, size: int) -> dict[str, Exported]:
        """The network in every precision, and what it was quantised on."""
        exported = export_engine(run / "last.pt", folder / f"{name}.onnx", rounds, lifted, size)
        if data is None:
            return {"fp32": exported}
        target, manifest = folder / f"{name}-int8.onnx", _MANIFESTS / f"{name}-int8.json"
        pictures = q.engine_batches(data, cache, size=size)
        small = q.quantize(exported.path, target, *pictures, q.FLOAT_ENGINE, manifest, q.SPLIT_ENGINE)
        return {"fp32": exported, "int8": small}

    def borrow(name: str, lender: str, role: str, rounds: int, size: int) -> None:
        """Write the network without the weights that the lender's files hold."""
        with tempfile.TemporaryDirectory() as folder:
            for precision, exported in write(name, Path(folder), rounds, size).items():
                lent = whole[_named(lender, precision)]
                shared = share_weights(exported, lent.path, out / exported.path.name)
                weights = {"weights": lent.path.stem, "weights_sha256": lent.sha256}
                register(out, _named(name, precision), role, shared, precision, rounds, size=size, **weights)
                _renamed(_MANIFESTS / f"{name}-int8.json", exported.sha256, shared.sha256)
                _say(shared, _COMPARED[precision])

    whole: dict[str, Exported] = {}  # those with weights, which they lend, by name
    for rounds in range(iterations + 1):
        name = f"engine-iter{rounds}"
        if rounds > 1:
            borrow(name, "engine-iter1", "engine", rounds, CROP_SIZE)
            continue
        for precision, exported in write(name, out, rounds, CROP_SIZE).items():
            whole[_named(name, precision)] = exported
            register(out, _named(name, precision), "engine", exported, precision, rounds, size=CROP_SIZE)
            _say(exported, _COMPARED[precision])
    borrow(f"engine-{SMALL_CROP_SIZE}", "engine-iter0", "small-engine", 0, SMALL_CROP_SIZE)


def _renamed(manifest: Path, whole: str, shared: str) -> None:
    """The hash of the file that ships in place of that of the same network with its weights."""
    if manifest.is_file():
        manifest.write_text(manifest.read_text("utf-8").replace(whole, shared), "utf-8")


def _named(name: str, precision: str) -> str:
    return name if precision == "fp32" else f"{name}-{precision}"


@export.command("detector", epilog="Example: rtface export detector --run runs/detector --int8 --data corpus")
def export_detector_command(
    run: CheckpointFolder,
    out: OutFolder = _MODELS,
    int8: Int8 = False,
    data: Calibration = None,
    cache: CacheFolder = _CACHE,
) -> None:
    """Write detector.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    data = _needs_data(int8, data)
    require("torch", extra="train")
    from rtface.train import quantize as q
    from rtface.train.export import export_detector
    from rtface.train.register import register

    exported = export_detector(run / "last.pt", out / "detector.onnx")
    register(out, "detector", "detector", exported, "fp32", None)
    _say(exported, _FROM_TORCH)
    if data is not None:
        target, manifest = out / "detector-int8.onnx", _MANIFESTS / "detector-int8.json"
        exported = q.quantize(exported.path, target, *q.detector_batches(data, cache), q.FLOAT_DETECTOR, manifest)
        register(out, target.stem, "detector", exported, "int8", None)
        _say(exported, _FROM_FLOAT)


@export.command("superfan", epilog="Example: rtface export superfan --run runs/superfan")
def export_superfan_command(run: CheckpointFolder, out: OutFolder = _MODELS) -> None:
    """Write enhancer.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    require("torch", extra="train")
    from rtface.train.export import export_superfan
    from rtface.train.register import register

    exported = export_superfan(run / "last.pt", out / "enhancer.onnx")
    register(out, "enhancer", "enhancer", exported, "fp32", None)
    _say(exported, _FROM_TORCH)


def _say(exported: Exported, measure: str) -> None:
    difference = ", ".join(f"{name} {value:.2g}" for name, value in exported.difference.items())
    typer.echo(f"{exported.path}  {exported.bytes} bytes  {measure}: {difference}")


def _options(
    config: Path | None, source_flags: list[str] | None, flags: Mapping[str, Any]
) -> tuple[dict[str, Any], tuple[sources.Source, ...]]:
    """A run's options (flags over the TOML file) and its sources (the flags' instead of the file's)."""
    options, chosen = ({}, ()) if config is None else sources.load(config)
    if source_flags:
        chosen = sources.from_flags(source_flags)
    given = {name: value for name, value in flags.items() if value is not None}
    options = {"cache": _CACHE, "threads": 2} | options | given
    if chosen:
        options.setdefault("data", chosen[0].files[0].parent)
    if not options.keys() & {"minutes", "steps"}:
        raise UsageError("rtface train", "the length of the run is missing", "Pass --minutes N or --steps N")
    return {"minutes": None} | options, chosen


def _where(config: Path | None) -> str:
    return "rtface train" if config is None else str(config)


def _needs_data(int8: bool, data: Path | None) -> Path | None:
    """The folder to calibrate on; None where no INT8 file is asked for."""
    if int8 and data is None:
        raise UsageError("rtface export", "--int8 needs pictures to calibrate on", "Pass --data FOLDER too")
    return data if int8 else None

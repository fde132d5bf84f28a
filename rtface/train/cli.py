"""`rtface train detector|engine|teacher|superfan` and `rtface export detector|engine|superfan`.

Torch loads only once a command runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.errors import UsageError, require

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

Data = Annotated[Path, typer.Option(help="Folder with the corpus's parquet files.")]
RunFolder = Annotated[Path, typer.Option(help="Folder of the run; it goes on where it stopped.")]
Cache = Annotated[
    Path, typer.Option(help="Folder for decoded pixels, about 3 GB.", show_default="~/.cache/rtface/corpus")
]
Minutes = Annotated[float | None, typer.Option(min=0.1, help="Length of the schedule in minutes of training.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Its length in steps; with --minutes, what comes first.")]
Batch = Annotated[int, typer.Option(min=1, help="Pictures or crops a step.")]
Rate = Annotated[float, typer.Option(help="Peak learning rate (AdamW, warm-up, cosine).")]
Init = Annotated[Path | None, typer.Option(help="Begin with an exported engine, e.g. rtface/models/engine-iter1.onnx.")]
Teacher = Annotated[Path | None, typer.Option(help="Run folder of `rtface train teacher`: learn emotion from it too.")]
Seed = Annotated[int, typer.Option(help="Seed of weights and augmentation.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int, typer.Option(min=1, help="Torch threads.")]
CheckpointFolder = Annotated[Path, typer.Option(help="Folder of the training run; its last.pt is read.")]
OutFolder = Annotated[
    Path, typer.Option(help="Models folder: ONNX files and registry.toml.", show_default="rtface's own")
]
Int8 = Annotated[
    bool, typer.Option("--int8", help="Also write an INT8 file for x86, calibrated on --data; ./calibration says how.")
]
Calibration = Annotated[Path | None, typer.Option(help="Folder with the corpus's parquet files, for --int8.")]

_MODELS = Path(__file__).parent.parent / "models"
_CACHE = Path.home() / ".cache" / "rtface" / "corpus"
_MANIFESTS = Path("calibration")
_FROM_TORCH, _FROM_FLOAT = "largest difference from torch", "mean difference from float"


@train.command("engine", epilog="Example: rtface train engine --data corpus --run runs/engine --minutes 120")
def train_engine_command(
    data: Data,
    run: RunFolder,
    cache: Cache = _CACHE,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Batch = 64,
    rate: Rate = 2e-3,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 2,
    init: Init = None,
    teacher: Teacher = None,
) -> None:
    """Train the multi-task engine (landmarks, parsing, emotion, pose) on 128x128 crops.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    _needs_length(minutes, steps)
    require("torch", extra="train")
    from rtface.train.engine import EngineConfig, train_engine

    config = EngineConfig(
        data,
        run,
        cache,
        minutes=minutes,
        steps=steps,
        batch=batch,
        rate=rate,
        seed=seed,
        device=device,
        threads=threads,
        init=init,
        teacher=None if teacher is None else teacher / "last.pt",
    )
    typer.echo(train_engine(config))


@train.command("teacher", epilog="Example: rtface train teacher --data corpus --run runs/teacher --steps 5000")
def train_teacher_command(
    data: Data,
    run: RunFolder,
    cache: Cache = _CACHE,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Batch = 128,
    rate: Rate = 2e-3,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 2,
) -> None:
    """Train the emotion teacher on FER+'s 48x48 crops; `rtface train engine --teacher RUN` learns from it.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    _needs_length(minutes, steps)
    require("torch", extra="train")
    from rtface.train.teacher import TeacherConfig, train_teacher

    config = TeacherConfig(
        data,
        run,
        cache,
        minutes=minutes,
        steps=steps,
        batch=batch,
        rate=rate,
        seed=seed,
        device=device,
        threads=threads,
    )
    typer.echo(train_teacher(config))


@train.command("detector", epilog="Example: rtface train detector --data corpus --run runs/detector --steps 20000")
def train_detector_command(
    data: Data,
    run: RunFolder,
    cache: Cache = _CACHE,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Batch = 32,
    rate: Rate = 2e-3,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 2,
    cross_stitch: Annotated[bool, typer.Option(help="Mix the task stems by cross-stitch units.")] = True,
    uncertainty: Annotated[bool, typer.Option(help="Learn the task weights.")] = True,
    feedback: Annotated[bool, typer.Option(help="Online feedback sampling.")] = True,
) -> None:
    """Train the MOS-style detector (box, 5 points, head pose) on stitched and scaled scenes.

    Progress goes to stderr, losses to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    _needs_length(minutes, steps)
    require("torch", extra="train")
    from rtface.train.detector import DetectorConfig, train_detector

    config = DetectorConfig(
        data,
        run,
        cache,
        minutes=minutes,
        steps=steps,
        batch=batch,
        rate=rate,
        seed=seed,
        device=device,
        threads=threads,
        cross_stitch=cross_stitch,
        uncertainty=uncertainty,
        feedback=feedback,
    )
    typer.echo(train_detector(config))


Weight = Annotated[float, typer.Option(min=0.0, help="Weight of this loss term; 0 leaves it out.")]


@train.command("superfan", epilog="Example: rtface train superfan --data corpus --run runs/superfan --minutes 120")
def train_superfan_command(
    data: Data,
    run: RunFolder,
    cache: Cache = _CACHE,
    minutes: Minutes = None,
    steps: Steps = None,
    batch: Batch = 32,
    rate: Rate = 1e-3,
    seed: Seed = 0,
    device: Device = "auto",
    threads: Threads = 2,
    pixel: Weight = 1.0,
    perceptual: Weight = 0.1,
    heat: Weight = 1.0,
    gan: Weight = 0.001,
    gan_at: Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of the run at which the critic begins.")] = 0.8,
    sizes: Annotated[str, typer.Option(help="Small sides in px, comma-separated.")] = "16,24,32",
    engine: Annotated[
        Path | None,
        typer.Option(
            help="Exported float32 engine that the losses look through.", show_default="rtface's engine-iter1.onnx"
        ),
    ] = None,
) -> None:
    """Train the enhancer: small spoilt faces to clean ones, four times as large.

    Progress goes to stderr, losses and validation figures to RUN/log.csv and RUN/log.png.

    Ctrl-C saves; the same command goes on.
    """
    _needs_length(minutes, steps)
    small = _whole_numbers("--sizes", sizes, 8, 64)
    require("torch", extra="train")
    from rtface.train.superfan import SHIPPED, SuperFanConfig, train_superfan
    from rtface.train.superfan_losses import Weights

    config = SuperFanConfig(
        data,
        run,
        cache,
        minutes=minutes,
        steps=steps,
        batch=batch,
        rate=rate,
        seed=seed,
        device=device,
        threads=threads,
        sizes=small,
        weights=Weights(pixel, perceptual, heat, gan),
        gan_at=gan_at,
        engine=engine or SHIPPED,
    )
    typer.echo(train_superfan(config))


@export.command("engine", epilog="Example: rtface export engine --run runs/engine --int8 --data corpus")
def export_engine_command(
    run: CheckpointFolder,
    out: OutFolder = _MODELS,
    int8: Int8 = False,
    data: Calibration = None,
    cache: Cache = _CACHE,
) -> None:
    """Write engine-iter0.onnx and engine-iter1.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    data = _needs_data(int8, data)
    require("torch", extra="train")
    from rtface.train import quantize as q
    from rtface.train.export import export_engine
    from rtface.train.registry import register

    pictures = q.engine_batches(data, cache) if data is not None else None
    for iterations in (0, 1):
        name = f"engine-iter{iterations}"
        exported = export_engine(run / "last.pt", out / f"{name}.onnx", iterations)
        register(out, name, "engine", exported, "fp32", iterations)
        _say(exported, _FROM_TORCH)
        if pictures is not None:
            target, manifest = out / f"{name}-int8.onnx", _MANIFESTS / f"{name}-int8.json"
            exported = q.quantize(exported.path, target, *pictures, q.FLOAT_ENGINE, manifest)
            register(out, target.stem, "engine", exported, "int8", iterations)
            _say(exported, _FROM_FLOAT)


@export.command("detector", epilog="Example: rtface export detector --run runs/detector --int8 --data corpus")
def export_detector_command(
    run: CheckpointFolder,
    out: OutFolder = _MODELS,
    int8: Int8 = False,
    data: Calibration = None,
    cache: Cache = _CACHE,
) -> None:
    """Write detector.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    data = _needs_data(int8, data)
    require("torch", extra="train")
    from rtface.train import quantize as q
    from rtface.train.export import export_detector
    from rtface.train.registry import register

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
    from rtface.train.registry import register

    exported = export_superfan(run / "last.pt", out / "enhancer.onnx")
    register(out, "enhancer", "enhancer", exported, "fp32", None)
    _say(exported, _FROM_TORCH)


def _whole_numbers(flag: str, text: str, low: int, high: int) -> tuple[int, ...]:
    """Ascending numbers of "16,24"; each a multiple of 4, which the critic and the engine's strides need."""
    try:
        numbers = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        numbers = ()
    if not numbers or any(n % 4 or not low <= n <= high for n in numbers):
        why = f"expected multiples of 4 from {low} to {high}, comma-separated, got {text!r}"
        raise UsageError(flag, why, "Write it as 16,24,32")
    return numbers


def _say(exported: Exported, measure: str) -> None:
    difference = ", ".join(f"{name} {value:.2g}" for name, value in exported.difference.items())
    typer.echo(f"{exported.path}  {exported.bytes} bytes  {measure}: {difference}")


def _needs_length(minutes: float | None, steps: int | None) -> None:
    if minutes is None and steps is None:
        raise UsageError("rtface train", "the length of the run is missing", "Pass --minutes N or --steps N")


def _needs_data(int8: bool, data: Path | None) -> Path | None:
    """The folder to calibrate on; None where no INT8 file is asked for."""
    if int8 and data is None:
        raise UsageError("rtface export", "--int8 needs pictures to calibrate on", "Pass --data FOLDER too")
    return data if int8 else None

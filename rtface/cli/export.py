"""`rtface export detector|engine|heads|superfan`. Torch loads only once a command runs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli.groups import record, spread
from rtface.errors import UsageError, require
from rtface.system.files import atomic_write, write_text
from rtface.train.config import CACHE

if TYPE_CHECKING:
    from rtface.datasets.labelled import LabelledImage
    from rtface.models import ModelEntry
    from rtface.train.manifest import Manifest
    from rtface.train.register import Exported
    from rtface.train.sources import Source

export = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Write a trained network as ONNX and register it.",
    epilog="Example: rtface export detector --run runs/detector --out models",
)

_INSTALLED = Path(__file__).parent.parent / "models"
_FROM_TORCH, _FROM_FLOAT = "largest difference from torch", "mean difference from float"
_SIGHT = "; line of sight: "  # before its own terms, behind those of the network that it is grafted onto
_COMPARED = {"fp32": _FROM_TORCH, "int8": _FROM_FLOAT}


@dataclass(frozen=True)
class _Target:
    """Where networks go, and what is said of them.

    Attributes:
        folder: The models folder.
        terms: Of the weights.
        manifest: Of the run; None when it has none.
        notes: Folder for the text that says how INT8 files were made.
    """

    folder: Path
    terms: str
    manifest: Manifest | None
    notes: Path

    def register(
        self,
        name: str,
        role: str,
        exported: Exported,
        precision: str,
        iterations: int | None = None,
        compared: str | None = None,
        **more: object,
    ) -> None:
        from rtface.train.register import register

        register(self.folder, name, role, exported, precision, iterations, terms=self.terms, **more)  # type: ignore[arg-type]
        _say(exported, compared or _COMPARED[precision])

    def write_card(self, role: str) -> None:
        from rtface.train.card import write_card

        path = write_card(self.folder, role, self.terms, self.manifest)
        if path is None:
            print(f"{self.folder}: the card of {role} was written by people and stays as it is", file=sys.stderr)


@dataclass(frozen=True)
class Destination:
    """What is exported, where to, and under which terms: flags of every export."""

    run: Annotated[Path, typer.Option("--run", help="Folder of the training run; its last.pt is read.")]
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Models folder: ONNX files, registry.toml, cards.",
            show_default="rtface's own, after a question",
        ),
    ] = None
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="TEXT", help="Terms of your own data, where the run's manifest has none."),
    ] = None
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Replace rtface's own networks without a question.")] = False

    @property
    def checkpoint(self) -> Path:
        """The run's."""
        return self.run / "last.pt"

    def open(self) -> _Target:
        """Where to write, once it is clear that it may be; and under which terms.

        Raises:
            ModelError: The run has no checkpoint, or no manifest and --license does not say the terms.
            UsageError: --out is a file, or whether to replace rtface's own networks was not answered by yes.
        """
        from rtface.errors import ModelError
        from rtface.system.package_data import package_data
        from rtface.train.manifest import read
        from rtface.train.run import read_checkpoint

        read_checkpoint(self.checkpoint, ("ema",))
        try:
            manifest = read(self.run)
        except ModelError:
            if self.licence is None:
                raise
            manifest = None
        terms = self.licence if manifest is None else manifest.terms(self.licence)
        assert terms is not None
        if self.out is None:
            _ask(self.yes)
            return _Target(_INSTALLED, terms, manifest, package_data("calibration"))
        out = self.out
        if out.suffix == ".onnx" or out.is_file():
            raise UsageError(
                str(out), "is a file's name; several files are written", f"Name a folder: --out {out.parent}"
            )
        return _Target(out, terms, manifest, out / "calibration")


def _ask(yes: bool) -> None:
    why = f"rtface's own networks in {_INSTALLED} would be replaced"
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("rtface export", why, "Pass --out FOLDER, or --yes to replace them")
    if not typer.confirm(f"{why}. Replace them?", default=False, err=True):
        raise UsageError("rtface export", "nothing was written", "Pass --out FOLDER")


@dataclass(frozen=True)
class Calibration:
    """Whether INT8 files are written too, and on what they are calibrated: flags of the exports that may."""

    int8: Annotated[
        bool,
        typer.Option("--int8", help="Also write INT8 files for x86, calibrated on --data; OUT/calibration says how."),
    ] = False
    data: Annotated[Path | None, typer.Option("--data", help="Folder of corpus files to calibrate on.")] = None
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="PATH", help="Calibrate on these files instead of --data's; repeatable."),
    ] = None
    cache: Annotated[
        Path, typer.Option("--cache", help="Folder for decoded pixels.", show_default="~/.cache/rtface/corpus")
    ] = CACHE

    def sources(self, useful: Callable[[LabelledImage], bool], rare: float = 0.0) -> tuple[Source, ...]:
        """What to calibrate on and count emotions in; nothing when neither is asked for."""
        from rtface.train.sources import from_flags, of_folder

        if not (self.int8 or rare):
            return ()
        if self.source:
            return from_flags(self.source)
        if self.data is not None:
            return of_folder(self.data, useful)
        what = "--int8 needs pictures to calibrate on" if self.int8 else "--rare-emotions counts training faces"
        raise UsageError("rtface export", what, "Pass --data FOLDER too")


To = Annotated[Destination, record(Destination)]
On = Annotated[Calibration, record(Calibration)]


@export.command(
    "engine",
    epilog="Example: rtface export engine --run runs/engine --out models --int8 --data corpus --rare-emotions 3",
)
@spread
def export_engine_command(
    *,
    to: To,
    on: On,
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
    It and ITER 1 come without the weights that engine-iter0.onnx holds, more rounds without those of engine-iter1.onnx.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    require("torch", extra="train")
    from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
    from rtface.train import quantize as q
    from rtface.train.data.samples import teaches
    from rtface.train.export import export_engine, share_weights
    from rtface.train.logit_adjustment import emotion_lift

    sources = on.sources(teaches, rare)
    lifted = emotion_lift(sources, rare / 100) if rare else None
    target = to.open()

    def write(name: str, folder: Path, rounds: int, size: int) -> dict[str, Exported]:
        """The network in every precision, and what it was quantised on."""
        exported = export_engine(to.checkpoint, folder / f"{name}.onnx", rounds, lifted, size)
        if not on.int8:
            return {"fp32": exported}
        small, note = folder / f"{name}-int8.onnx", target.notes / f"{name}-int8.json"
        pictures = q.engine_batches(sources, on.cache, size=size)
        return {
            "fp32": exported,
            "int8": q.quantize(exported.path, small, *pictures, q.FLOAT_ENGINE, note, q.SPLIT_ENGINE),
        }

    def borrow(name: str, lender: str, role: str, rounds: int, size: int) -> None:
        """Write the network without the weights that the lender's files hold."""
        for precision, exported in write(name, scratch, rounds, size).items():
            lent = _named(lender, precision)
            shared = share_weights(exported, whole[lent].path, target.folder / exported.path.name)
            weights = {"weights": lent, "weights_sha256": written[lent].sha256}
            target.register(_named(name, precision), role, shared, precision, rounds, size=size, **weights)
            _renamed(target.notes / f"{name}-int8.json", exported.sha256, shared.sha256)
            whole[_named(name, precision)], written[_named(name, precision)] = exported, shared

    # By name: files with all their weights, and what was written of each, which may lack those of another.
    whole: dict[str, Exported] = {}
    written: dict[str, Exported] = {}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for precision, exported in write("engine-iter0", target.folder, 0, CROP_SIZE).items():
            name = _named("engine-iter0", precision)
            whole[name] = written[name] = exported
            target.register(name, "engine", exported, precision, 0, size=CROP_SIZE)
        for rounds in range(1, iterations + 1):
            lender = "engine-iter0" if rounds == 1 else "engine-iter1"
            borrow(f"engine-iter{rounds}", lender, "engine", rounds, CROP_SIZE)
        borrow(f"engine-{SMALL_CROP_SIZE}", "engine-iter0", "small-engine", 0, SMALL_CROP_SIZE)
    target.write_card("engine")


def _renamed(note: Path, whole: str, shared: str) -> None:
    """The hash of the file that ships in place of that of the same network with its weights."""
    if note.is_file():
        write_text(note, note.read_text("utf-8").replace(whole, shared))


def _named(name: str, precision: str) -> str:
    return name if precision == "fp32" else f"{name}-{precision}"


@export.command("heads", epilog="Example: rtface export heads --run runs/heads --out models --int8 --data corpus")
@spread
def export_heads_command(
    *,
    to: To,
    on: On,
) -> None:
    """Write engine-full.onnx and engine-full-96.onnx: the multi-task network with RUN's heads grafted onto it.

    The network is the one in OUT (engine-iter0, engine-96), by default rtface's own; its answers stay what they are.
    The files come without the weights that it holds.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    require("torch", extra="train")
    from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
    from rtface.models import entry, load
    from rtface.networks.roles import FULL_ENGINE, SMALL_FULL_ENGINE
    from rtface.train import quantize as q
    from rtface.train.export import Batch
    from rtface.train.graft import export_heads
    from rtface.train.heads import BASES, teaches_heads

    sources = on.sources(teaches_heads)
    target = to.open()
    models = target.folder
    for precision in ("fp32", "int8") if on.int8 else ("fp32",):
        lender = _named(BASES[CROP_SIZE], precision)
        for size, role in ((CROP_SIZE, FULL_ENGINE), (SMALL_CROP_SIZE, SMALL_FULL_ENGINE)):
            name = _named("engine-full" if size == CROP_SIZE else f"engine-full-{size}", precision)
            base, pictures = _named(BASES[size], precision), list[Batch]()
            if precision == "int8":
                pictures, ids = q.engine_batches(sources, on.cache, size=size)
                full = entry(name.removesuffix("-int8"), models)
                q.note_calibration(target.notes / f"{name}.json", f"{name}.onnx", full.path.name, full.sha256, ids)
            lent = load(lender, models)
            exported = export_heads(to.checkpoint, models / f"{name}.onnx", base, size, models, pictures, lent)
            weights = {"weights": lender, "weights_sha256": entry(lender, models).sha256}
            target.register(name, role, exported, precision, 0, size=size, like=entry(base, models), **weights)
            lender = name  # the smaller one borrows the heads' weights too
    target.write_card("heads")


@export.command("gaze", epilog="Example: rtface export gaze --run runs/gaze --out models")
@spread
def export_gaze_command(
    *,
    to: To,
) -> None:
    """Write engine-full.onnx and its likes again, with RUN's line of sight grafted onto them.

    The networks are those in OUT, by default rtface's own, which have heads with eyes; their other answers stay what
    they are. INT8 files get it as it is. Run it again after `rtface export heads`, whose files have no line of sight.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3; then no file has changed.
    """
    require("torch", extra="train")
    from rtface.geometry.crop import CROP_SIZE, SMALL_CROP_SIZE
    from rtface.models import entries, entry, load
    from rtface.models.onnx_bytes import with_weights
    from rtface.train.gaze import BASES
    from rtface.train.graft import export_sight

    target = to.open()
    models = target.folder
    entry(BASES[CROP_SIZE], models)  # refuses a folder without it
    old = {one.name: one for one in entries(models)}
    # All are read before the first is written: the smaller ones borrow from the larger.
    wholes = {name: load(name, models) for name in old if name.partition("-int8")[0] in BASES.values()}
    made: dict[str, tuple[Exported, str]] = {}  # by name, beside who lends it its weights
    with tempfile.TemporaryDirectory() as folder:  # one that is refused leaves all files as they are
        for precision in _COMPARED:
            lender, lent = "", None
            for size in (CROP_SIZE, SMALL_CROP_SIZE):
                name = _named(BASES[size], precision)
                if name not in wholes:
                    continue
                if not lender and (lender := old[name].weights or ""):  # what `rtface models add` added holds its own
                    lent = load(lender, models)
                exported = export_sight(to.checkpoint, Path(folder) / old[name].path.name, wholes[name], size, lent)
                made[name] = exported, lender
                data = exported.path.read_bytes()
                lender, lent = name, data if lent is None else with_weights(data, lent)
        for name, (exported, _) in made.items():
            with atomic_write(old[name].path) as file:
                file.write(exported.path.read_bytes())
    for name, (exported, lender) in made.items():
        like = old[name]
        weights = {"weights": lender, "weights_sha256": _sha256(lender, made, old)} if lender else {}
        terms = f"{like.weights_licence.partition(_SIGHT)[0]}{_SIGHT}{target.terms}"
        mixed, more = replace(target, terms=terms), {"size": like.size, "like": like, "gaze": True, **weights}
        there = replace(exported, path=like.path)
        mixed.register(name, like.role, there, like.precision, 0, _FROM_TORCH, **more)
        full = name.removesuffix("-int8")
        if full != name and full in made:  # the note on how it was made names the float file
            _renamed(target.notes / f"{name}.json", old[full].sha256, made[full][0].sha256)
    target.write_card("heads")


def _sha256(name: str, made: Mapping[str, tuple[Exported, str]], old: Mapping[str, ModelEntry]) -> str:
    """Hash of a network's file, as it was just made or as it was before."""
    return made[name][0].sha256 if name in made else old[name].sha256


@export.command(
    "detector", epilog="Example: rtface export detector --run runs/detector --out models --int8 --data corpus"
)
@spread
def export_detector_command(
    *,
    to: To,
    on: On,
) -> None:
    """Write detector.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    require("torch", extra="train")
    from rtface.train import quantize as q
    from rtface.train.export import export_detector

    sources = on.sources(lambda row: row.emotion_votes is None)
    target = to.open()
    exported = export_detector(to.checkpoint, target.folder / "detector.onnx")
    target.register("detector", "detector", exported, "fp32")
    if on.int8:
        file, note = target.folder / "detector-int8.onnx", target.notes / "detector-int8.json"
        exported = q.quantize(exported.path, file, *q.detector_batches(sources, on.cache), q.FLOAT_DETECTOR, note)
        target.register(file.stem, "detector", exported, "int8")
    target.write_card("detector")


@export.command("superfan", epilog="Example: rtface export superfan --run runs/superfan --out models")
@spread
def export_superfan_command(
    *,
    to: To,
) -> None:
    """Write enhancer.onnx from RUN's averaged weights.

    Refuses to write where ONNX Runtime and torch differ by more than 1e-3.
    """
    require("torch", extra="train")
    from rtface.train.export import export_superfan

    target = to.open()
    target.register("enhancer", "enhancer", export_superfan(to.checkpoint, target.folder / "enhancer.onnx"), "fp32")
    target.write_card("enhancer")


def _say(exported: Exported, measure: str) -> None:
    difference = ", ".join(f"{name} {value:.2g}" for name, value in exported.difference.items())
    typer.echo(f"{exported.path}  {exported.bytes} bytes  {measure}: {difference}")

"""``rtface train synth``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.datasets.files import corpus_file
from rtface.errors import OptionError, OutputError, UsageError
from rtface.system.files import make_folder

if TYPE_CHECKING:
    from rtface.train.synth.scenes import Plan

SPLITS = ("train", "val", "test")
EXAMPLES = """
Examples:

  rtface train synth --assets makehuman_head_assets.tar.xz --sheet look.png            look first

  rtface train synth --assets makehuman_head_assets.tar.xz --out corpus/synth.parquet --count 20000 --workers 8

  rtface train engine --run runs/next --steps 9000 --source corpus/landmarks.parquet=3 --source corpus/synth.parquet=1

docs/synthetic.md says where the assets come from and what the labels mean.
"""


def synth_command(
    assets: Annotated[Path, typer.Option("--assets", metavar="FILE", help="The archive of head assets.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FOLDER", help="The corpus' folder, for synth.parquet there, or the file: NAME.parquet."
        ),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Pictures.")] = 5000,
    side: Annotated[
        int,
        typer.Option("--side", min=64, max=1024, help="Of a picture of one head, px; scenes are up to twice as wide."),
    ] = 192,
    scenes: Annotated[float, typer.Option("--scenes", min=0, max=1, help="Share of pictures of several heads.")] = 0.15,
    backgrounds: Annotated[
        Path | None,
        typer.Option(
            "--backgrounds", metavar="FILE", help="Corpus file: its pictures without faces are put behind the heads."
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same pictures.")] = 0,
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="train, val or test.")] = "train",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Processes.")] = 1,
    sheet: Annotated[
        Path | None,
        typer.Option("--sheet", metavar="PNG", help="Draw 30 pictures and their labels; without --out only that."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Overwrite a file that exists.")] = False,
) -> None:
    """Make labelled faces from head assets: points, mesh, masks, pose, gaze and blend shapes are exact.

    Needs `pip install 'rtface[synth,eval]'` and an OpenGL driver with EGL: a GPU's, or Mesa's on a CPU.

    Ctrl-C loses little: the same command goes on. The file appears when it is whole.
    """
    from rtface.cli.progress_bar import progress_bar
    from rtface.train.synth.assets import unpack
    from rtface.train.synth.make import write_corpus
    from rtface.train.synth.scenes import Plan

    if split not in SPLITS:
        raise OptionError("--split", f"expected {', '.join(SPLITS)}, got {split!r}", "See rtface train synth --help")
    if out is None and sheet is None:
        raise UsageError("rtface train synth", "there is nothing to write", "Pass --out FILE, or --sheet look.png")
    out = None if out is None else corpus_file(out, "synth")
    for path in filter(None, (out, sheet)):
        if path.exists() and not overwrite:
            raise OutputError(str(path), "exists already", "Use --overwrite, or another name")
    for path in filter(None, (out, sheet)):
        make_folder(path.parent)
    folder = unpack(assets)
    plan = Plan(side, scenes, seed, split)
    if sheet is not None:
        _draw(folder, plan, backgrounds, min(count, _SHOWN), sheet)
    if out is None:
        return
    with progress_bar("train synth", count) as step:
        write_corpus(folder, plan, count, out, backgrounds, workers, step)
    print(f"{out}  {count} pictures  {out.stat().st_size / 1e6:.1f} MB")


_SHOWN = 30


def _draw(folder: Path, plan: Plan, backgrounds: Path | None, count: int, path: Path) -> None:
    from rtface.datasets.contact_sheet import contact_sheet
    from rtface.system.images import write_png
    from rtface.train.synth.make import Maker

    maker = Maker(folder, plan, backgrounds)
    drawn = contact_sheet([maker.picture(index) for index in range(count)], count)
    assert drawn is not None
    write_png(path, drawn)
    print(f"{path}: {count} pictures with their labels")

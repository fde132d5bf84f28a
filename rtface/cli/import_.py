"""``rtface import``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import flags
from rtface.datasets.files import corpus_file
from rtface.datasets.registry import FORMATS
from rtface.errors import OptionError, OutputError, UsageError, require
from rtface.system.files import make_folder

if TYPE_CHECKING:
    from rtface.datasets.labelled import LabelledImage

importing = typer.Typer(add_completion=False)

SPLITS = ("train", "val", "test", "unlabelled")
SHOWN = 5

LAYOUTS = "\n\n".join(f"  {name:<11} {about}" for name, about in FORMATS.items())
EXAMPLES = f"""
Layouts:

{LAYOUTS}

Examples:

  rtface import pts 300w/helen --out corpus/

  rtface import wider WIDER/ --out corpus/ --max-side 1024

  rtface import lapa LaPa/ --check lapa.png            look at the labels before anything is written

  rtface import folder mine/labels.csv --out corpus/mine.parquet --split val --license "CC-BY-4.0"

The files are what rtface train and rtface eval read; each layout is described in its module of rtface.datasets.
"""


@importing.command(epilog=EXAMPLES)
def import_command(
    layout: Annotated[str, typer.Argument(metavar="FORMAT", help="The set's layout, one of those below.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The set's folder, as it was published.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FOLDER", help="The corpus' folder, or the file to write: NAME.parquet."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the file, FOLDER/NAME.parquet; default FORMAT.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            "--check", metavar="PNG", help="Draw pictures and their labels on a sheet; without --out only that."
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option("--license", metavar="TEXT", help="Terms of pictures and labels; cards of networks name them."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", metavar="NAME", help="train, val, test, unlabelled: where the layout says none.")
    ] = "train",
    max_side: Annotated[
        int, typer.Option("--max-side", min=0, metavar="PX", help="Shrink larger pictures to this; 0 = never.")
    ] = 640,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N pictures.")] = None,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out pictures that are missing or do not decode.")
    ] = False,
    overwrite: flags.Overwrite = False,
) -> None:
    """A public data set, from its own layout into a parquet file of the corpus.

    Ctrl-C loses nothing: the same command goes on. The file appears when it is whole.
    """
    from rtface.cli.progress_bar import progress_bar
    from rtface.datasets.registry import read
    from rtface.datasets.writer import Settings, write

    if split not in SPLITS:
        raise OptionError("--split", f"expected {', '.join(SPLITS)}, got {split!r}", "See rtface import --help")
    if out is None and check is None:
        raise UsageError("rtface import", "there is nothing to write", "Pass --out FOLDER, or --check sheet.png")
    file = None if out is None else corpus_file(out, name or layout)
    for path_out in filter(None, (file, check)):
        if path_out.exists() and not overwrite:
            raise OutputError(str(path_out), "exists already", "Use --overwrite, or another name")
    if file is not None:
        require("pyarrow", "eval")  # before labels are read for minutes
    images = read(layout, path)[:limit]
    if check is not None:
        _draw(images, check)
    if file is None:
        return
    make_folder(file.parent)
    with progress_bar(f"import {layout}", len(images)) as step:
        left_out = write(images, file, Settings(max_side, split, skip_bad, licence), step)
    for line in left_out[:SHOWN]:
        print(f"left out: {line}", file=sys.stderr)
    more = f", {len(left_out)} left out" if left_out else ""
    print(f"{file}  {len(images) - len(left_out)} pictures{more}  {file.stat().st_size / 1e6:.1f} MB")


def _draw(images: Sequence[LabelledImage], path: Path) -> None:
    from rtface.datasets.contact_sheet import contact_sheet
    from rtface.system.images import write_png

    sheet = contact_sheet(images)
    if sheet is not None:
        make_folder(path.parent)
        write_png(path, sheet)
        print(f"{path}: look at it: on faces that look at you, blue points lie on the picture's right", file=sys.stderr)

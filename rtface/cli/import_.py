"""``rtface import``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rtface.datasets.registry import FORMATS
from rtface.errors import OptionError, OutputError

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

  rtface import folder mine/labels.csv --out corpus/ --name mine --split val

The files are what rtface train and rtface eval read; each layout is described in its module of rtface.datasets.
"""


@importing.command(epilog=EXAMPLES)
def import_command(
    layout: Annotated[str, typer.Argument(metavar="FORMAT", help="The set's layout, one of those below.")],
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The set's folder, as it was published.")],
    out: Annotated[Path, typer.Option("--out", metavar="FOLDER", help="The corpus' folder.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Of the file, FOLDER/NAME.parquet; default FORMAT.")
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
    overwrite: Annotated[bool, typer.Option("--overwrite", "-y", help="Overwrite a file that exists.")] = False,
) -> None:
    """A public data set, from its own layout into a parquet file of the corpus.

    Ctrl-C loses nothing: the same command goes on. The file appears when it is whole.
    """
    from rtface.cli.progress_bar import steps
    from rtface.datasets.registry import read
    from rtface.datasets.writer import Settings, write

    if split not in SPLITS:
        raise OptionError("--split", f"expected {', '.join(SPLITS)}, got {split!r}", "See rtface import --help")
    file = out / f"{name or layout}.parquet"
    if file.exists() and not overwrite:
        raise OutputError(str(file), "exists already", "Use --overwrite, or another --name")
    records = read(layout, path)[:limit]
    _make(out)
    with steps(f"import {layout}", len(records)) as step:
        left_out = write(records, file, Settings(max_side, split, skip_bad), step)
    for line in left_out[:SHOWN]:
        print(f"left out: {line}", file=sys.stderr)
    more = f", {len(left_out)} left out" if left_out else ""
    print(f"{file}  {len(records) - len(left_out)} pictures{more}  {file.stat().st_size / 1e6:.1f} MB")


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(str(folder), error.strerror or "cannot be made", "Name a folder that can be made") from error

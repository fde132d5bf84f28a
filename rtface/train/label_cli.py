"""``rtface label``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli import flags
from rtface.errors import OutputError

label = typer.Typer(add_completion=False)

PARQUET = "parquet"
UNSURE = ": no label"
EXAMPLES = """
Examples:

  rtface label holiday/ --out corpus/own.parquet

  rtface label corpus/detection.parquet --format parquet --out corpus/own.parquet --set models_dir=runs/teacher-models

  rtface train engine --run runs/next --minutes 60 --source corpus/landmarks.parquet=3 --source corpus/own.parquet
"""


@label.command(epilog=EXAMPLES)
def label_command(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder of pictures, or what --format says.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The corpus file to write.")],
    layout: Annotated[
        str,
        typer.Option("--format", metavar="NAME", help="parquet, or a layout of rtface import; labels are not read."),
    ] = "pictures",
    min_quality: Annotated[
        float, typer.Option("--min-quality", min=0, max=1, help="Leave out faces of less quality.")
    ] = 0.5,
    max_spread: Annotated[
        float, typer.Option("--max-spread", min=0, metavar="PCT", help="And faces whose looks lie further apart.")
    ] = 4.0,
    max_side: Annotated[int, typer.Option("--max-side", min=0, metavar="PX", help="Shrink larger pictures.")] = 640,
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N pictures.")] = None,
    skip_bad: Annotated[bool, typer.Option("--skip-bad", help="Leave out pictures that do not decode.")] = False,
    overwrite: flags.Overwrite = False,
    threads: flags.Threads = None,
    config: flags.Config = None,
    settings: flags.Set = None,
) -> None:
    """Label pictures by the own networks (points, pose, parsing), to train the next network on.

    Ten looks a face; where they disagree the label weighs less or is left out. fp32 networks unless --set says else.
    Ctrl-C loses little: the same command goes on.
    """
    from rtface.analyzer import Analyzer
    from rtface.cli.steps import steps
    from rtface.formats.choose import read
    from rtface.formats.parquet import Settings, write
    from rtface.train.label import Labeller, corpus_pictures

    if out.exists() and not overwrite:
        raise OutputError(str(out), "exists already", "Use --overwrite, or another --out")
    if not out.parent.is_dir():
        raise OutputError(str(out), "its folder does not exist", f"mkdir -p {out.parent}")
    named = any(setting.partition("=")[0].strip() == "precision" for setting in settings or [])
    options = flags.options_from(config, settings, threads=threads, precision=None if named else "fp32")
    records = (corpus_pictures(path) if layout == PARQUET else read(layout, path))[:limit]
    with Analyzer(options) as analyzer, steps("label", len(records)) as step:
        labeller = Labeller(analyzer, min_quality, max_spread)
        by = json.dumps([analyzer.describe()["models"], min_quality, max_spread])
        left_out = write(records, out, Settings(max_side, "unlabelled", skip_bad), step, labeller, by)
    bad = [line for line in left_out if not line.endswith(UNSURE)]
    for line in bad[:5]:
        print(f"left out: {line}", file=sys.stderr)
    print(f"{out}  {len(records) - len(left_out)} pictures, {len(left_out) - len(bad)} without a sure face")

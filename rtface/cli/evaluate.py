"""``rtface eval``."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.cli import flags, groups
from rtface.errors import ModelError, SourceError
from rtface.options import Options
from rtface.system.files import write_text

if TYPE_CHECKING:
    from rtface.evaluate.measure import Measure
    from rtface.evaluate.report import Report
    from rtface.evaluate.samples import Samples
    from rtface.evaluate.worst import HardestCases

evaluate = typer.Typer(add_completion=False)

WORST = 30

TASKS_HELP = (
    "landmarks, points5, parsing, emotion, pose, mesh, expression, gaze, detection, or all; or returned: detection "
    "as analyze returns it, not over all scores."
)

EXAMPLES = """
Examples:

  rtface eval landmarks --data corpus/ --source afw --worst worst.png

  rtface eval detection --data corpus/detection.parquet --limit 100

  rtface eval returned --data corpus/detection.parquet --set still_score_threshold=0.5

  rtface eval all --data corpus/ --json figures.jsonl

  rtface eval landmarks --data 300w/afw --format pts

  rtface eval emotion --data corpus/ --set iterations=0
"""


@evaluate.command(epilog=EXAMPLES)
@groups.spread
def evaluate_command(
    task: Annotated[str, typer.Argument(help=TASKS_HELP)],
    data: Annotated[
        Path, typer.Option(metavar="PATH", help="A parquet file of the corpus, a folder of them, or --format's.")
    ],
    layout: Annotated[
        str | None,
        typer.Option("--format", metavar="NAME", help="Read a public set's own layout: see rtface import --help."),
    ] = None,
    source: Annotated[str | None, typer.Option(metavar="NAME", help="Only rows of this source, e.g. afw.")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="train, val, any …; default val (all of FASSEG), and with --format all but train."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N pictures a task.")] = None,
    worst: Annotated[Path | None, typer.Option(metavar="PNG", help=f"A picture of the {WORST} worst cases.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="The JSON lines to a file too.")
    ] = None,
    overwrite: flags.Overwrite = False,
    *,
    options: Annotated[Options, groups.pipeline("still_max_faces", "threads", "engine", "precision")],
) -> None:
    """Accuracy on labelled pictures, end to end: a table, then one JSON line for each task.

    What each figure is exactly, and where its definition comes from, stands in the docstrings of rtface.evaluate.
    """
    from rtface.evaluate.registry import measures_for
    from rtface.evaluate.worst import HardestCases
    from rtface.outputs.open import check_writable

    measures = measures_for(task)
    pictures = _worst_paths(worst, [kind.name for kind in measures])
    for path in [*pictures.values(), *([json_file] if json_file else [])]:
        check_writable(path, overwrite)
    reports: list[Report] = []
    missing: ModelError | None = None
    for kind in measures:
        measure = kind(HardestCases(WORST if pictures else 0))
        try:
            report = _report(measure, _samples(measure, data, layout, source, split, limit), options)
        except ModelError as error:  # a folder of own networks need not have one for every task
            if len(measures) == 1:
                raise
            print(f"{measure.name}: left out: {error}", file=sys.stderr)
            missing = missing or error
            continue
        if report is None:
            continue
        _show(report)
        reports.append(report)
        if pictures:
            _save_worst(measure.worst, pictures[report.task])
    if not reports:
        raise missing or SourceError(str(data), f"has no rows for {task} with that source and split", "Try --split any")
    if json_file is not None:
        write_text(json_file, "".join(json.dumps(report.to_dict()) + "\n" for report in reports))


def _worst_paths(path: Path | None, tasks: list[str]) -> dict[str, Path]:
    """Where each task's picture goes: with several tasks each has its name in the file's."""
    if path is None:
        return {}
    return {task: path if len(tasks) == 1 else path.with_stem(f"{path.stem}-{task}") for task in tasks}


def _samples(
    measure: Measure, data: Path, layout: str | None, source: str | None, split: str | None, limit: int | None
) -> Samples:
    """The pictures to measure a task on."""
    from rtface.datasets.registry import PARQUET
    from rtface.evaluate.measure import wanted, wanted_of_layout
    from rtface.evaluate.samples import Samples

    layout = layout or PARQUET
    choose = wanted if layout == PARQUET else wanted_of_layout
    return Samples(data, choose(measure, source, split), limit, layout, measure.without)


def _report(measure: Measure, samples: Samples, options: Options) -> Report | None:
    """Measure one task; None where the data has nothing for it."""
    from rtface.analyzer import Analyzer
    from rtface.cli.progress_bar import progress_bar
    from rtface.evaluate.measure import evaluate as run

    if not len(samples):
        return None
    with Analyzer(replace(options, **measure.options)) as analyzer, progress_bar(measure.name, len(samples)) as step:
        return run(measure, samples, analyzer, lambda: step(1))


def _show(report: Report) -> None:
    from rtface.bench.report import table

    measured = ", ".join(f"{rows}: {count} pictures" for rows, count in report.data.items())
    print(f"{report.task} on {measured}")
    print(table(("", "value", "count"), report.rows()))
    print(json.dumps(report.to_dict()), flush=True)


def _save_worst(worst: HardestCases, path: Path) -> None:
    from rtface.system.images import write_png

    sheet = worst.sheet()
    if sheet is None:
        print(f"{path}: not written, there is no wrong case", file=sys.stderr)
        return
    write_png(path, sheet)
    print(f"{path}: the worst cases, truth green, ours red", file=sys.stderr)

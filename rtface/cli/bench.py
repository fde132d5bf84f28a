"""``rtface bench``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli import flags, groups
from rtface.errors import BudgetMissed, OptionError, SourceError
from rtface.option_rules import parse_ms
from rtface.options import Options
from rtface.system.files import write_text

if TYPE_CHECKING:
    from rtface.bench.harness import Measured

bench = typer.Typer(add_completion=False)

#: Frames of a source that does not say how many it has.
FRAMES = 300

EXAMPLES = """
Examples:

  rtface bench

  rtface bench visit.mp4 --frames 600 --json bench.json

  rtface bench demo --assert-p95 33ms

  rtface bench --live --faces 0..8 --load 5s --budget 33ms --timeline age.png

  rtface bench --live --cameras 4 --budget 33ms
"""


LIVE_ONLY = ("seconds", "fps", "faces", "cameras", "load", "budget_ms", "timeline", "max_level", "priority")
STAGES_ONLY = ("frames", "warmup")


@bench.command(epilog=EXAMPLES)
@groups.spread
def bench_command(
    context: typer.Context,
    source: Annotated[
        str, typer.Argument(help="A video, a folder of pictures, a URL, a camera index, or demo.")
    ] = "demo",
    frames: Annotated[int | None, typer.Option(min=1, metavar="N", help="Frames to measure; default the clip.")] = None,
    warmup: Annotated[int, typer.Option(min=0, metavar="N", help="Frames to run first, not counted.")] = 20,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="The JSON line to a file too.")
    ] = None,
    overwrite: flags.Overwrite = False,
    assert_p95: Annotated[
        str | None, typer.Option(metavar="TIME", help="Exit with 5 when the p95 of a frame's analysis is longer.")
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="A live run on a simulated camera that shows the clip's face.")
    ] = False,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=86400, metavar="S", help="Live: length; 2 s before do not count.")
    ] = 20.0,
    fps: Annotated[float, typer.Option(min=1.0, max=1000.0, help="Live: frames a second.")] = 30.0,
    faces: Annotated[str, typer.Option(metavar="N", help="Live: faces in a frame; 0,3,8 or 0..8 = 3 s of each.")] = "1",
    cameras: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Live: so many cameras on one set of networks.")
    ] = 1,
    load: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Live: a second process takes a core for TIME, then rests for TIME; or always."
        ),
    ] = None,
    timeline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Live: a picture (.png) of age and level over time.")
    ] = None,
    *,
    options: Annotated[Options, groups.pipeline(*flags.LIVE, *flags.ANALYSIS)],
) -> None:
    """How long each stage takes: a table of percentiles, then one JSON line.

    Every frame is analysed, in one thread, without a deadline. `total` is the whole analysis of a frame; `capture`,
    reading or decoding it, comes on top.

    With --live a simulated camera shows SOURCE's face at --fps in real time, through all threads of a live run: age of
    the results from grab to hand-over, late and dropped frames, levels of quality, CPU time and memory.
    """
    _refuse_the_other_kind(context, live)
    limit_ms = None if assert_p95 is None else parse_ms(assert_p95)
    from rtface.outputs.open import check_writable

    for file in (json_file, timeline):
        if file is not None:
            check_writable(file, overwrite)
    if timeline is not None and (not live or timeline.suffix.lower() != ".png"):
        raise OptionError("--timeline", "expected a .png file and --live", "rtface bench --live --timeline age.png")
    if timeline is not None and cameras > 1:
        raise OptionError("--timeline", "is of one camera", "Leave it out, or --cameras")
    if live:
        from rtface.cli.bench_live import cameras_figures, live_figures

        if cameras > 1:
            record, text = cameras_figures(source, options, seconds, fps, faces, load, cameras)
        else:
            record, text = live_figures(source, options, seconds, fps, faces, load, timeline)
        what, p95 = "a result's age", record["age_ms"]["p95"]
    else:
        record = _record(source, frames, warmup, options)
        text, what, p95 = _text(record), "a frame's analysis", record["stages"]["total"]["p95_ms"]
    line = json.dumps(record)
    print(text)
    print(line, flush=True)
    if json_file is not None:
        write_text(json_file, line + "\n")
    if limit_ms is not None and p95 > limit_ms:
        why = f"p95 of {what} is {p95:.1f} ms, not within {limit_ms:g} ms"
        raise BudgetMissed(source, why, "Try --tasks, --max-faces, --set iterations=0 or --set detect_width=256")


def _refuse_the_other_kind(context: typer.Context, live: bool) -> None:
    """What would be ignored is a mistake. Raises OptionError."""
    for name in STAGES_ONLY if live else LIVE_ONLY:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            flag = next(one.opts[0] for one in context.command.params if one.name == name)
            expected = "is for a run without --live" if live else "is for a simulated camera"
            raise OptionError(flag, expected, "Leave it out" if live else f"rtface bench --live {flag} …")


def _record(name: str, frames: int | None, warmup: int, options: Options) -> dict[str, Any]:
    """Measure, and say all that a figure needs beside it."""
    from rtface.analyzer import Analyzer
    from rtface.bench import report
    from rtface.capture.open import open_source
    from rtface.system import machine
    from rtface.version import __version__

    # Before anything runs: a figure's machine is the machine without us.
    facts = machine.facts()
    with open_source(name) as source, Analyzer(options) as analyzer:
        count = frames or source.frame_count or FRAMES
        measured = _measure(source, name, analyzer, count, warmup)
        if not len(measured.faces):
            raise SourceError(name, f"ended after {measured.warmup} frames of warm-up", "Give --warmup 0")
        return {
            "schema": report.SCHEMA,
            "version": __version__,
            "source": name,
            "size_wh_px": list(source.size_wh),
            **report.summary(measured),
            "peak_rss_mb": machine.peak_resident_mb(),
            "tasks": list(options.tasks),
            "analyzer": analyzer.describe(),
            "machine": facts,
        }


def _measure(source: Any, name: str, analyzer: Any, count: int, warmup: int) -> Measured:
    from rtface.bench.harness import analysis_of, frames_of, measure
    from rtface.capture.open import open_source

    frames = frames_of(source, lambda: open_source(name), count + warmup)
    return measure(frames, analysis_of(source, analyzer), warmup=warmup)


def _text(record: dict[str, Any]) -> str:
    from rtface.bench import report

    rows = report.stage_rows(record["stages"])
    peak = record["peak_rss_mb"]
    notes = [
        f"{record['frames']} frames of {record['source']}, {record['faces_per_frame']:.1f} faces a frame",
        f"{record['fps']} fps ({record['fps_with_capture']} with capture)",
        "peak memory unknown" if peak is None else f"peak memory {peak:.0f} MB",
        f"{record['machine']['cpu']}, {record['machine']['cores']} cores",
    ]
    return "\n".join([report.table(("ms a frame", "p50", "p95", "p99"), rows), "; ".join(notes)])

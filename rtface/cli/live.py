"""``rtface live``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rtface.cli import flags, groups
from rtface.errors import UsageError
from rtface.options import Options

live = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface live

  rtface live --camera 1 --budget 33ms

  rtface live rtsp://camera.local/stream --no-show -o faces.jsonl

  rtface live 0 1 door=rtsp://door.local/stream --budget 66ms -o '{camera}.jsonl'

  rtface live demo --no-show --max-frames 100

  rtface live -o opentrack:// -o mqtt://broker.local/rtface/door
"""


@live.command(epilog=EXAMPLES)
@groups.spread
def live_command(
    source: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="A URL, a camera, a video that plays as one would, or demo. Several run side by side, NAME=SOURCE "
            "names one.",
        ),
    ] = None,
    cameras: flags.CamerasFile = None,
    camera: Annotated[int | None, typer.Option("--camera", min=0, metavar="INDEX", help="A camera; default 0.")] = None,
    show: Annotated[bool, typer.Option("--show/--no-show", help="A window; Esc or q ends the run.")] = True,
    full_screen: Annotated[
        bool, typer.Option("--full-screen", help="The window fills the screen; f in the window does, too.")
    ] = False,
    output: flags.Outputs = None,
    columns: flags.Columns = None,
    overwrite: flags.Overwrite = False,
    max_frames: flags.MaxFrames = None,
    *,
    options: Annotated[Options, groups.pipeline(*flags.LIVE, *flags.ANALYSIS, *flags.AUDIENCE, *flags.CAMERA, "loop")],
) -> None:
    """Analyse a camera or stream as it comes, or several; the newest frame wins.

    Shows a window, and writes to each -o. With --no-show and without -o, JSON lines go to stdout.

    Several cameras share the networks and one quality level. An -o with {camera} in its name is one for each.
    """
    if source and camera is not None:
        raise UsageError("rtface live", "both a SOURCE and --camera are given", "Give one of them")
    several = cameras is not None or len(source or ()) > 1 or any(map(is_named, source or ()))
    from rtface.outputs.sink import Sink

    outputs: list[str | Sink] = [*(flags.with_columns(output, columns) or ([] if show else ["-"]))]
    outputs += flags.service_outputs()
    given: dict[str, Any] = {
        "options": options,
        "outputs": outputs,
        "overwrite": overwrite,
        "max_frames": max_frames,
        "on_event": flags.print_event,
    }
    if several:
        _run_several(source or [], cameras, show, given, full_screen)
    else:
        _run_one(source[0] if source else camera or 0, show, given, full_screen)


def is_named(source: str) -> bool:
    """Whether a camera is given as NAME=SOURCE."""
    from rtface.capture.named import named

    return bool(named(source).name)


def _run_one(source: int | str, show: bool, given: dict[str, Any], full_screen: bool) -> None:
    from rtface.stream import Stream

    if show:
        from rtface.outputs.window import WindowSink

        given["outputs"].append(WindowSink(full_screen=full_screen))
    stream = Stream(source, live=True, **given)
    with stream:
        flags.say_notes(stream.source)
        for _ in stream:
            pass
    print(_line(stream.summary), file=sys.stderr)


def _run_several(sources: list[str], file: Path | None, show: bool, given: dict[str, Any], full_screen: bool) -> None:
    from rtface.cameras import Cameras

    if show:
        from rtface.outputs.wall import WallSink

        given["outputs"].append(WallSink(full_screen=full_screen))
    with Cameras(sources, file=file, **given) as cameras:
        for _ in cameras:
            pass
    summary = cameras.summary
    for name, one in summary["cameras"].items():
        print(f"{name}: {_line(one)}", file=sys.stderr)
    print(f"all: {_line(summary)}, {summary['level_moves']} level moves", file=sys.stderr)


def _line(summary: dict[str, Any]) -> str:
    age = summary["age_ms"]
    return (
        f"{flags.format_summary(summary)}, age p50 {age['p50']} p95 {age['p95']} p99 {age['p99']} ms, "
        f"{summary['late']} late, {summary['dropped']} dropped"
    )

"""``rtface live``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rtface.cli import flags
from rtface.errors import UsageError

live = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface live

  rtface live --camera 1 --budget 33ms

  rtface live rtsp://camera.local/stream --no-show -o faces.jsonl

  rtface live demo --no-show --max-frames 100

  rtface live -o opentrack:// -o mqtt://broker.local/rtface/door
"""


@live.command(epilog=EXAMPLES)
def live_command(
    source: Annotated[
        str | None, typer.Argument(metavar="[SOURCE]", help="A URL, a video that plays as a camera would, or demo.")
    ] = None,
    camera: Annotated[int | None, typer.Option("--camera", min=0, metavar="INDEX", help="A camera; default 0.")] = None,
    show: Annotated[bool, typer.Option("--show/--no-show", help="A window; Esc or q ends the run.")] = True,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="From grab to result, e.g. 33ms; default none.")
    ] = None,
    level: flags.Level = None,
    max_level: flags.MaxLevel = None,
    priority: flags.Priority = None,
    output: flags.Outputs = None,
    columns: flags.Columns = None,
    overwrite: flags.Overwrite = False,
    tasks: flags.Tasks = None,
    max_faces: flags.MaxFaces = None,
    max_frames: flags.MaxFrames = None,
    threads: flags.Threads = None,
    detector: flags.Detector = None,
    engine: flags.Engine = None,
    precision: flags.Precision = None,
    smooth: flags.Smooth = None,
    enhance: flags.Enhance = None,
    audience: flags.Audience = None,
    privacy: flags.Privacy = None,
    size: flags.Size = None,
    fps: flags.Fps = None,
    fourcc: flags.Fourcc = None,
    rotate: flags.Rotate = None,
    mirror: flags.Mirror = None,
    loop: flags.Loop = None,
    wait: flags.Wait = None,
    config: flags.Config = None,
    settings: flags.Set = None,
) -> None:
    """Analyse a camera or stream as it comes; the newest frame wins.

    Shows a window, and writes to each -o. With --no-show and without -o, JSON lines go to stdout.
    """
    if source is not None and camera is not None:
        raise UsageError("rtface live", "both a SOURCE and --camera are given", "Give one of them")
    options = flags.options_from(
        config,
        settings,
        tasks=tasks,
        max_faces=max_faces,
        threads=threads,
        detector=detector,
        engine=engine,
        precision=precision,
        smooth=smooth,
        enhance=enhance,
        audience=audience,
        privacy=privacy,
        camera_size=size,
        camera_fps=fps,
        camera_fourcc=fourcc,
        rotate=rotate,
        mirror=mirror,
        wait=wait,
        loop=loop,
        budget_ms=budget,
        level=level,
        max_level=max_level,
        priority=priority,
    )
    from rtface.outputs.sink import Sink
    from rtface.stream import Stream

    outputs: list[str | Sink] = [*(flags.with_columns(output, columns) or ([] if show else ["-"]))]
    outputs += flags.service_outputs()
    if show:
        from rtface.outputs.window import WindowSink

        outputs.append(WindowSink())
    stream = Stream(
        source if source is not None else camera or 0,
        live=True,
        options=options,
        outputs=outputs,
        overwrite=overwrite,
        max_frames=max_frames,
        on_event=flags.print_event,
    )
    with stream:
        flags.say_notes(stream.source)
        for _ in stream:
            pass
    summary = stream.summary
    age = summary["age_ms"]
    print(
        f"{flags.format_summary(summary)}, age p50 {age['p50']} p95 {age['p95']} p99 {age['p99']} ms, "
        f"{summary['late']} late, {summary['dropped']} dropped",
        file=sys.stderr,
    )

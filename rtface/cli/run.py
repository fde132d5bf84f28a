"""``rtface run``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from rtface.cli import flags

run = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface run demo -o faces.jsonl -o faces.mp4

  rtface run group.jpg -o group-faces.jpg

  rtface run holiday/ --tasks emotion,pose | jq .faces

  rtface run visit.mp4 -o visit.jsonl -y --max-frames 100

  rtface run visit.mp4 -o visit.csv --columns openface
"""


@run.command(epilog=EXAMPLES)
def run_command(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A video, a picture, a folder of pictures, a URL, a camera index, or demo."
        ),
    ],
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
    wait: flags.Wait = None,
    config: flags.Config = None,
    settings: flags.Set = None,
) -> None:
    """Analyse every frame of SOURCE; drop none.

    Results go to each -o: JSON lines (.jsonl), an annotated video (.mp4), or, where SOURCE is one picture, an annotated
    picture (.jpg, .png). Without -o, JSON lines go to stdout.
    """
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
    )
    if options.budget_ms is not None:
        print("rtface: budget_ms is left out: run keeps no deadline; `rtface live --budget` does", file=sys.stderr)
    from rtface.outputs.sink import Sink
    from rtface.stream import Stream

    outputs: list[str | Sink] = [*(flags.with_columns(output, columns) or ["-"])]
    if sys.stderr.isatty():
        from rtface.cli.progress import ProgressSink

        outputs.append(ProgressSink(max_frames))
    stream = Stream(
        source,
        live=False,
        options=options,
        outputs=outputs,
        overwrite=overwrite,
        max_frames=max_frames,
        on_event=flags.say,
    )
    with stream:
        flags.say_notes(stream.source)
        for _ in stream:
            pass
    flags.say_left_out(stream.summary)
    print(f"{stream.source.name}: {flags.figures(stream.summary)}", file=sys.stderr)

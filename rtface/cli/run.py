"""``rtface run``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rtface.archive.names import has_fields
from rtface.cli import flags, groups
from rtface.cli.ray_command import RayCommand
from rtface.options import Options

run = typer.Typer(add_completion=False)

EXAMPLES = """
Examples:

  rtface run demo -o faces.jsonl -o faces.mp4

  rtface run group.jpg -o group-faces.jpg

  rtface run holiday/ --recursive --tasks emotion,pose | jq '[.source, .faces]'

  rtface run holiday/*.jpg album/*.png -o faces.jsonl

  rtface run visit.mp4 -o visit.jsonl -y --max-frames 100

  rtface run visit.mp4 -o visit.csv --columns openface

  rtface run visit.mp4 -o visit.jsonl --started-at 2026-11-30T10:00:00+01:00

  rtface run 'visits/**/*.mp4' list.txt -o 'out/{stem}.jsonl' -o 'out/{stem}.parquet' --jobs 4

  rtface run archive/ -r -o 'out/{parent}/{stem}.jsonl'     # the same again goes on where it broke off

  rtface run archive/ -r -o 'out/{stem}.parquet' --ray head:6379     # on many machines, with shared folders

  rtface run archive/ -r -o faces.parquet/ --ray head:6379     # all rows in one folder of Parquet files
"""


@run.command(epilog=EXAMPLES, cls=RayCommand)
@groups.spread
def run_command(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="A video, a picture, a folder of pictures, a URL, a camera index, or demo; or several pictures. "
            "With {stem} in -o also many videos, folders, patterns and .txt lists.",
        ),
    ],
    output: flags.Outputs = None,
    columns: flags.Columns = None,
    overwrite: flags.Overwrite = False,
    max_frames: flags.MaxFrames = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Also pictures in sub-folders.")] = False,
    started_at: Annotated[
        str | None,
        typer.Option("--started-at", metavar="TIME", help="When a video's first frame was recorded, ISO 8601."),
    ] = None,
    *,
    options: Annotated[Options, groups.pipeline(*flags.ANALYSIS, *flags.AUDIENCE, *flags.CAMERA)],
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs", "-j", metavar="N", min=1, help="Processes, with {stem} in -o; default one a core, 8 at most."
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option("--state", metavar="FILE", help="What is done; default .rtface-archive beside the outputs."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            "--ray", metavar="[ADDRESS]", help="On a Ray cluster: auto, head:6379, ray://head:10001; or here."
        ),
    ] = None,
) -> int:
    """Analyse every frame of SOURCE; drop none.

    Results go to each -o: JSON lines (.jsonl), an annotated video (.mp4), or, where SOURCE is one picture, an annotated
    picture (.jpg, .png). Without -o, JSON lines go to stdout.

    {stem}, {parent} or {index} in -o: each file has outputs of its own, named after its name, its folder or its number;
    several processes share the work, and the same command goes on where an earlier one broke off.
    """
    if options.budget_ms is not None:
        print("rtface: budget_ms is left out: run keeps no deadline; `rtface live --budget` does", file=sys.stderr)
    if any(flag is not None for flag in (jobs, state, ray)) or any(map(has_fields, output or [])):
        from rtface.cli.archive import archive

        return archive(
            sources,
            flags.with_columns(output, columns),
            options=options,
            jobs=jobs,
            recursive=recursive,
            overwrite=overwrite,
            max_frames=max_frames,
            started_at=started_at,
            state=state,
            ray=ray,
        )
    from rtface.capture.files import one_source
    from rtface.outputs.sink import Sink
    from rtface.stream import Stream

    outputs: list[str | Sink] = [*(flags.with_columns(output, columns) or ["-"])]
    if sys.stderr.isatty():
        from rtface.cli.progress import ProgressSink

        outputs.append(ProgressSink(max_frames))
    stream = Stream(
        one_source(sources, recursive=recursive),
        live=False,
        options=options,
        outputs=outputs,
        overwrite=overwrite,
        max_frames=max_frames,
        on_event=flags.print_event,
        started_at=started_at,
    )
    with stream:
        flags.say_notes(stream.source)
        for _ in stream:
            pass
    flags.say_left_out(stream.summary)
    print(f"{stream.source.name}: {flags.format_summary(stream.summary)}", file=sys.stderr)
    return 0

"""The flags that verbs share, and the options that they make."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.errors import OptionError
from rtface.labels import TASKS
from rtface.options import ENGINES, PRECISIONS

if TYPE_CHECKING:
    from rtface.capture.source import Source
    from rtface.options import Options
    from rtface.types import Event

Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="OUT",
        help="A file (.jsonl, .csv, .mp4, …), an address (mqtt://, osc://, …) or - for stdout; repeatable. "
        "rtface outputs lists them.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="NAME", help="Of .csv and .parquet: rtface, openface or pyfeat; default rtface."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", "-y", help="Overwrite outputs that exist.")]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="TASKS",
        autocompletion=lambda: TASKS,
        help="Some of landmarks,parsing,emotion,pose; default all.",
    ),
]
MaxFaces = Annotated[int | None, typer.Option("--max-faces", metavar="N", help="Most faces in a frame.")]
MaxFrames = Annotated[int | None, typer.Option("--max-frames", metavar="N", min=1, help="End after N frames.")]
Threads = Annotated[int | None, typer.Option("--threads", metavar="N", help="Threads of the inference engine.")]
Engine = Annotated[
    str | None,
    typer.Option(
        "--engine",
        metavar="NAME",
        autocompletion=lambda: ENGINES,
        help="auto, onnx, openvino, trt, onnx-cuda or onnx-trt; default auto.",
    ),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision",
        metavar="NAME",
        autocompletion=lambda: ("auto", *PRECISIONS),
        help="auto, fp32, fp16 or int8; default auto.",
    ),
]
Detector = Annotated[
    str | None, typer.Option("--detector", metavar="NAME", help="mos; mediapipe says what to do instead.")
]
Smooth = Annotated[bool | None, typer.Option("--smooth/--no-smooth", help="Smooth values along each track.")]
Enhance = Annotated[
    bool | None, typer.Option("--enhance/--no-enhance", help="Super-resolve faces under 36 px first; default no.")
]
Size = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Picture size that a camera is asked for, e.g. 1280x720.")
]
Fps = Annotated[float | None, typer.Option("--fps", metavar="N", help="Frame rate that a camera is asked for.")]
Fourcc = Annotated[
    str | None,
    typer.Option("--fourcc", metavar="CODE", help="How a camera packs its pictures, e.g. MJPG for 1080p over USB."),
]
Rotate = Annotated[
    int | None, typer.Option("--rotate", metavar="DEGREES", help="Turn every picture clockwise by 90, 180 or 270.")
]
Mirror = Annotated[bool | None, typer.Option("--mirror/--no-mirror", help="Mirror every picture, after turning it.")]
Wait = Annotated[
    bool | None, typer.Option("--wait/--no-wait", help="Wait for a camera or stream that is not there yet.")
]
Loop = Annotated[bool | None, typer.Option("--loop/--no-loop", help="Begin a file again when it has ended.")]
Level = Annotated[int | None, typer.Option("--level", metavar="N", min=0, help="Stay at this quality level; 0 = full.")]
Floor = Annotated[
    int | None,
    typer.Option("--floor", metavar="N", min=0, help="Lowest quality level a missed budget may lead to."),
]
Priority = Annotated[
    str | None, typer.Option("--priority", metavar="TASKS", help="Tasks that matter most, first, e.g. parsing,pose.")
]
Audience = Annotated[
    bool | None, typer.Option("--audience/--no-audience", help="Events of who comes, looks, smiles and leaves.")
]
Privacy = Annotated[
    str | None, typer.Option("--privacy", metavar="MODE", help="full, blur (faces) or aggregate; default full.")
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Options from a TOML file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any option by name, e.g. --set iterations=0; repeatable."),
]


def options_from(config: Path | None, settings: list[str] | None, **flags: Any) -> Options:
    """Options of flags, ``--set``, RTFACE_* variables and the TOML file.

    Raises:
        OptionError: One is unknown or wrong.
    """
    from rtface.options import Options

    given = {name: value for name, value in flags.items() if value is not None}
    for setting in settings or []:
        name, equals, value = setting.partition("=")
        if not equals:
            raise OptionError("--set", f"expected NAME=VALUE, got {setting!r}", "Write it as --set max_faces=4")
        given.setdefault(name.strip().replace("-", "_"), value.strip())
    return Options.load(config, **given)


def with_columns(outputs: list[str] | None, columns: str | None) -> list[str]:
    """The outputs, tables among them with the layout of ``--columns`` unless they name one themselves."""
    named = outputs or []
    if columns is None:
        return named
    tables = (".csv", ".parquet")
    return [f"{output}?columns={columns}" if output.lower().endswith(tables) else output for output in named]


def say(event: Event) -> None:
    """A lost source, and that it is back, for people."""
    if event.kind == "source_lost":
        print(f"rtface: the source is lost ({event.what}); trying again", file=sys.stderr, flush=True)
    elif event.kind == "source_awaited":
        print(f"rtface: {event.what}; waiting for it", file=sys.stderr, flush=True)
    elif event.kind == "source_frozen":
        print(f"rtface: the source seems frozen ({event.what})", file=sys.stderr, flush=True)
    elif event.kind == "source_back":
        print(f"rtface: the source is back after {event.duration_s:.1f} s", file=sys.stderr, flush=True)
    elif event.kind == "part_left":
        print(f"rtface: {event.what}", file=sys.stderr, flush=True)
    elif event.kind == "output_lost":
        print(f"rtface: output {event.what}", file=sys.stderr, flush=True)
    elif event.kind == "output_back":
        print(f"rtface: output {event.what} is back after {event.duration_s:.1f} s", file=sys.stderr, flush=True)


def say_notes(source: Source) -> None:
    """What people should know of an open source: a size that it does not give."""
    for note in source.notes:
        print(f"rtface: {source.name}: {note}", file=sys.stderr, flush=True)


def say_left_out(summary: dict[str, Any], most: int = 3) -> None:
    """Which pictures of a folder could not be read, and why: the first of them."""
    for line in summary["unreadable"][:most]:
        print(f"rtface: left out {line}", file=sys.stderr)


def figures(summary: dict[str, Any]) -> str:
    """A run's summary in one line for people."""
    parts = [f"{summary['frames']} frames", f"{summary['faces']} faces"]
    if summary["fps"]:
        parts.append(f"{summary['fps']:.1f} fps")
    if summary["work_ms"]["p50"] is not None:
        parts.append(f"{summary['work_ms']['p50']:.1f} ms a frame (p95 {summary['work_ms']['p95']:.1f})")
    if summary["corrupt"]:
        parts.append(f"{summary['corrupt']} could not be decoded and were skipped")
    return ", ".join(parts)

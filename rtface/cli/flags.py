"""Flags that verbs share one by one, and what verbs say."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.cli.groups import flag
from rtface.options import OPTIONS

if TYPE_CHECKING:
    from rtface.capture.source import Source
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
MaxFrames = Annotated[int | None, typer.Option("--max-frames", metavar="N", min=1, help="End after N frames.")]
ModelsDir = Annotated[Path | None, flag(OPTIONS["models_dir"], envvar="RTFACE_MODELS_DIR")]
CamerasFile = Annotated[
    Path | None,
    typer.Option("--cameras", metavar="FILE", help="A TOML file that lists cameras; what changes in it is taken over."),
]

#: Options of the pipeline whose flags stand together, for `rtface.cli.groups.pipeline`.
LIVE = ("budget_ms", "level", "max_level", "priority")
ANALYSIS = ("tasks", "max_faces", "threads", "detector", "engine", "precision", "smooth", "enhance")
AUDIENCE = ("audience", "privacy")
CAMERA = ("camera_size", "camera_fps", "camera_fourcc", "rotate", "mirror", "wait")


def service_outputs() -> list[Any]:
    """The output that tells systemd how it goes, where systemd started this process and asked for it."""
    from rtface.system.sd_notify import notify_socket

    if notify_socket() is None:
        return []
    from rtface.outputs.systemd import SystemdSink

    return [SystemdSink()]


def with_columns(outputs: list[str] | None, columns: str | None) -> list[str]:
    """The outputs, tables among them with the layout of ``--columns`` unless they name one themselves."""
    named = outputs or []
    if columns is None:
        return named
    tables = (".csv", ".parquet")
    return [f"{output}?columns={columns}" if output.lower().endswith(tables) else output for output in named]


def print_event(event: Event) -> None:
    """What happened to a source or an output, for people; nothing of faces."""
    lasted = f" after {event.duration_s or 0.0:.1f} s"
    said = {
        "source_lost": f"the source is lost ({event.what}); trying again",
        "source_awaited": f"{event.what}; waiting for it",
        "source_frozen": f"the source seems frozen ({event.what})",
        "source_back": f"the source is back{lasted}",
        "camera_on": "on",
        "camera_off": "off",
        "camera_removed": "removed",
        "camera_moved": f"moved {event.what}{lasted}",
        "camera_failed": f"given up ({event.what})",
        "cameras_unread": event.what,
        "part_left": event.what,
        "output_lost": f"output {event.what}",
        "output_back": f"output {event.what} is back{lasted}",
    }.get(event.kind)
    if said is not None:
        print(f"rtface: {f'{event.camera}: ' * bool(event.camera)}{said}", file=sys.stderr, flush=True)


def say_notes(source: Source) -> None:
    """What people should know of an open source: a size that it does not give."""
    for note in source.notes:
        print(f"rtface: {source.name}: {note}", file=sys.stderr, flush=True)


def say_left_out(summary: dict[str, Any], most: int = 3) -> None:
    """Which pictures of a folder could not be read, and why: the first of them."""
    for line in summary["unreadable"][:most]:
        print(f"rtface: left out {line}", file=sys.stderr)


def format_summary(summary: dict[str, Any]) -> str:
    """A run's summary in one line for people."""
    parts = [f"{summary['frames']} frames", f"{summary['faces']} faces"]
    if summary["fps"]:
        parts.append(f"{summary['fps']:.1f} fps")
    if summary["work_ms"]["p50"] is not None:
        parts.append(f"{summary['work_ms']['p50']:.1f} ms a frame (p95 {summary['work_ms']['p95']:.1f})")
    if summary["corrupt"]:
        parts.append(f"{summary['corrupt']} could not be decoded and were skipped")
    return ", ".join(parts)

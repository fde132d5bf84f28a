"""The flags that verbs share, and the options that they make."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtface.errors import OptionError
from rtface.options import OPTIONS

if TYPE_CHECKING:
    from rtface.capture.source import Source
    from rtface.options import Options
    from rtface.types import Event


_MODULE = re.compile(r" \(`rtface\.[\w.]+`\)")


def help_of(text: str) -> str:
    """What an option says to Python's users, for those of a terminal: no None, and no module to look into."""
    return _MODULE.sub("", text).replace("None = ", "default: ")


def option(name: str) -> Any:
    """The flag of an option, as `rtface.options` declares it."""
    about = OPTIONS[name].metadata
    text = help_of(about["text"])
    flag = about["flag"] or f"--{name.replace('_', '-')}"
    if isinstance(OPTIONS[name].default, bool):
        return typer.Option(f"{flag}/--no-{flag.removeprefix('--')}", help=text)
    old = [f"--{about['was']}"] if about["was"] else []
    complete = (lambda: about["choices"]) if about["choices"] else None
    return typer.Option(flag, *old, metavar=about["metavar"], help=text, autocompletion=complete)


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
Tasks = Annotated[str | None, option("tasks")]
MaxFaces = Annotated[int | None, option("max_faces")]
MaxFrames = Annotated[int | None, typer.Option("--max-frames", metavar="N", min=1, help="End after N frames.")]
Threads = Annotated[int | None, option("threads")]
Engine = Annotated[str | None, option("engine")]
Precision = Annotated[str | None, option("precision")]
Detector = Annotated[str | None, option("detector")]
Smooth = Annotated[bool | None, option("smooth")]
Enhance = Annotated[bool | None, option("enhance")]
Size = Annotated[str | None, option("camera_size")]
Fps = Annotated[float | None, option("camera_fps")]
Fourcc = Annotated[str | None, option("camera_fourcc")]
Rotate = Annotated[int | None, option("rotate")]
Mirror = Annotated[bool | None, option("mirror")]
Wait = Annotated[bool | None, option("wait")]
Loop = Annotated[bool | None, option("loop")]
Level = Annotated[int | None, option("level")]
MaxLevel = Annotated[int | None, option("max_level")]
Budget = Annotated[str | None, option("budget_ms")]
Priority = Annotated[str | None, option("priority")]
Audience = Annotated[bool | None, option("audience")]
Privacy = Annotated[str | None, option("privacy")]
CamerasFile = Annotated[
    Path | None,
    typer.Option("--cameras", metavar="FILE", help="A TOML file that lists cameras; what changes in it is taken over."),
]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Options from a TOML file.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any option by name, e.g. --set iterations=0; repeatable."),
]


def service_outputs() -> list[Any]:
    """The output that tells systemd how it goes, where systemd started this process and asked for it."""
    from rtface.system.sd_notify import notify_socket

    if notify_socket() is None:
        return []
    from rtface.outputs.systemd import SystemdSink

    return [SystemdSink()]


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

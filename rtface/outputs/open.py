"""Which output a path means, and whether it may be written, before anything is opened or overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from rtface.errors import OutputError, UsageError
from rtface.outputs.jsonl import JsonlSink
from rtface.outputs.sink import Sink
from rtface.outputs.video import PictureSink, VideoSink

KINDS = ".jsonl, .mp4, .jpg or .png, or - for JSON lines on stdout"


def choose(
    outputs: Iterable[str | Path | Sink], *, source: int | str | Path, overwrite: bool = False
) -> tuple[Sink, ...]:
    """The sinks for paths by their endings; a ``Sink`` is taken as it is.

    Args:
        outputs: Paths ending in .jsonl, .mp4, .jpg, .png; "-" for JSON lines on stdout; or sinks.
        source: Where the frames come from, which must not be overwritten.
        overwrite: Whether files that are there may be replaced.

    Raises:
        UsageError: An ending is unknown, or a path is named twice or is the source.
        OutputError: A path is a folder, is there already, or cannot be written.
    """
    sinks: list[Sink] = []
    seen = {Path(str(source)).expanduser().resolve(): "is the source itself"}
    for output in outputs:
        if isinstance(output, Sink):
            sinks.append(output)
        elif str(output) == "-":
            sinks.append(JsonlSink(None))
        else:
            path = Path(output).expanduser()
            if path.resolve() in seen:
                raise UsageError(str(path), seen[path.resolve()], "Name another path")
            seen[path.resolve()] = "is named twice"
            sinks.append(_for_path(path, overwrite))
    return tuple(sinks)


def _for_path(path: Path, overwrite: bool) -> Sink:
    suffix = path.suffix.lower()
    if suffix not in (".jsonl", ".mp4", ".jpg", ".jpeg", ".png"):
        if path.is_dir():
            raise _folder(path)
        raise UsageError(str(path), f"no output is written to {suffix or 'a name without an ending'}", f"Use {KINDS}")
    check_writable(path, overwrite)
    if suffix == ".jsonl":
        return JsonlSink(path, overwrite=overwrite)
    return VideoSink(path) if suffix == ".mp4" else PictureSink(path)


def check_writable(path: Path, overwrite: bool) -> None:
    """Make sure that a file may be written, without touching it.

    Raises:
        OutputError: It is a folder, is there already, has no folder to be in, or may not be written.
    """
    if path.is_dir():
        raise _folder(path)
    if path.exists() and not overwrite:
        raise OutputError(str(path), "exists already", "-y (overwrite=True in Python) overwrites it")
    folder = path.parent
    if not folder.is_dir():
        raise OutputError(str(path), f"cannot be written: there is no folder {folder}", f"mkdir -p {folder}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise OutputError(str(path), "cannot be written (permission denied)", "Name another path, or change the rights")


def _folder(path: Path) -> OutputError:
    return OutputError(str(path), "is a folder", f"Name a file in it, such as {path / 'faces.jsonl'}")

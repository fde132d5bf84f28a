"""Which output a path means, and whether it may be written, before anything is opened or overwritten."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain
from pathlib import Path

from rtface.errors import OutputError, UsageError, not_one
from rtface.outputs.jsonl import JsonlSink
from rtface.outputs.output_url import OutputUrl, parse_output_url, split_settings
from rtface.outputs.registry import OutputKind, find, refuse_missing_slashes
from rtface.outputs.sink import Sink
from rtface.system.addresses import shown_address
from rtface.system.paths import expanded, is_folder, is_there

SOURCE = "is the source itself, or a part of it"


def choose(
    outputs: Iterable[str | Path | Sink],
    *,
    source: int | str | Path,
    files: Iterable[Path] = (),
    overwrite: bool = False,
) -> tuple[Sink, ...]:
    """The sinks for paths by their endings and for addresses by their schemes; a ``Sink`` is taken as it is.

    Args:
        outputs: Paths such as "faces.jsonl" or "faces.csv?columns=openface", "-" for JSON lines on stdout, addresses
            such
            as "mqtt://broker/door", or sinks; ``rtface outputs`` lists them.
        source: Where the frames come from, which must not be overwritten.
        files: The same of a source that reads these.
        overwrite: Whether files that are there may be replaced.

    Raises:
        UsageError: An ending or a scheme is unknown, what it needs is not installed, or an output is named twice or is
            the source.
        OutputError: A path is a folder, is there already, or cannot be written.
    """
    sinks: list[Sink] = []
    seen = dict.fromkeys(chain.from_iterable(map(_source_files, (source, *files))), SOURCE)
    for output in outputs:
        if isinstance(output, Sink):
            sinks.append(output)
        elif not isinstance(output, (str, os.PathLike)):
            raise UsageError("output", not_one(output, Sink, "a path, an address"), "Derive it from rtface.Sink")
        elif str(output) == "-":
            sinks.append(JsonlSink(None))
        else:
            sinks.append(_named(output, seen, overwrite))
    return tuple(sinks)


CAMERA = "{camera}"


def is_for_each_camera(output: str | Path) -> bool:
    """Whether an output is opened once for each of several cameras: its name has ``{camera}`` in it."""
    return CAMERA in str(output)


def for_camera(output: str, camera: str, session: int = 1) -> str:
    """The output's name for one camera.

    Args:
        output: With ``{camera}`` in it.
        camera: Name of the camera.
        session: How often the camera was opened in this run, this time among it: a file of before is left alone, and
            the next one is called door-2.
    """
    first = output.replace(CAMERA, camera)
    if session == 1 or not find(first).is_file or find(first).continues:
        return first
    while True:
        name = output.replace(CAMERA, f"{camera}-{session}")
        if not is_there(expanded(split_settings(name)[0])):
            return name
        session += 1


def _named(output: str | Path, seen: dict[object, str], overwrite: bool) -> Sink:
    folder = str(output).endswith(("/", os.sep))
    kind = None if is_folder(output) and not folder else find(str(output))
    if kind is not None and not kind.is_file:
        _once(seen, str(output), shown_address(str(output)))
        refuse_missing_slashes(str(output), kind)
        sink: Sink = kind.load().open_output(parse_output_url(str(output)))
        return sink
    name, settings = split_settings(output)
    path = expanded(name)
    for key in _identities(path):
        _once(seen, key, str(path))
    if folder and any(seen.get(key) == SOURCE for one in path.glob("frame_*.jpg") for key in _identities(one)):
        raise UsageError(str(path), "has a source among its pictures", "Name another folder")
    if not folder:
        check_writable(path, overwrite or (kind is not None and kind.continues))
    assert kind is not None  # a folder was refused
    return _for_path(path, kind, settings, overwrite)


def _identities(path: Path) -> list[object]:
    """What a file is known by: where it is, and if it is there which one it is, whatever links lead to it."""
    identities: list[object] = []
    with suppress(OSError, ValueError):
        identities.append(path.resolve())
        facts = path.stat()
        if facts.st_ino:  # some file systems of Windows have no such number
            identities.append((facts.st_dev, facts.st_ino))
    return identities


def _source_files(source: int | str | Path) -> Iterator[object]:
    """Identities of a source and of the files that it is made of: a folder's pictures, a playlist's parts."""
    path = expanded(str(source))
    yield from _identities(path)
    with suppress(OSError, ValueError):
        if path.is_dir():
            for one in path.iterdir():
                if one.suffix.lower() in (".jpg", ".jpeg", ".png", ".gif") and one.is_file():
                    yield from _identities(one)
        elif path.suffix.lower() in (".m3u8", ".m3u"):
            for line in path.read_text("utf-8", "replace").splitlines():
                if line and not line.startswith("#"):
                    yield from _identities(path.parent / line.strip())


def _once(seen: dict[object, str], key: object, shown: str) -> None:
    if key in seen:
        raise UsageError(shown, seen[key], "Name another path")
    seen[key] = "is named twice"


def _for_path(path: Path, kind: OutputKind, settings: OutputUrl, overwrite: bool) -> Sink:
    module = kind.load()
    if kind.module != "jsonl":
        sink: Sink = module.open_file(path, settings, overwrite=overwrite)
        return sink
    settings.only()
    return JsonlSink(path, overwrite=overwrite)


def check_writable(path: Path, overwrite: bool) -> None:
    """Make sure that a file may be written, without touching it.

    Raises:
        OutputError: It is a folder, is there already, has no folder to be in, or may not be written.
    """
    if is_folder(path):
        raise _folder(path)
    if os.path.lexists(path) and not overwrite:  # a link that leads nowhere is something, too
        raise OutputError(str(path), "exists already", "-y (overwrite=True in Python) overwrites it")
    folder = path.parent
    if not is_folder(folder):
        shown, where = shown_address(str(path)), shown_address(str(folder))  # it may be an address with a slip in it
        raise OutputError(shown, f"cannot be written: there is no folder {where}", f"mkdir -p {where}")
    try:
        os.lstat(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:  # too long, or with a NUL in it
        why = f"cannot be written ({getattr(error, 'strerror', None) or error})"
        raise OutputError(str(path), why, "Name another path") from error
    if not os.access(path if is_there(path) else folder, os.W_OK):
        raise OutputError(str(path), "cannot be written (permission denied)", "Name another path, or change the rights")


def _folder(path: Path) -> OutputError:
    return OutputError(str(path), "is a folder", f"Name a file in it, such as {path / 'faces.jsonl'}")

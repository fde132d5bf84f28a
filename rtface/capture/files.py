"""Which files a name means: a pattern's, a folder's with or without its sub-folders, a list's."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from rtface.capture.images import SUFFIXES, PictureSource, natural, pictures_in
from rtface.capture.source import Source, check_source
from rtface.errors import SourceError, UsageError
from rtface.system.clock import Clock, SystemClock
from rtface.system.paths import expanded, is_folder, is_there

#: What counts as a video in a folder; a file that is named itself may end as it likes.
VIDEOS = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".avi", ".divx", ".mkv", ".webm", ".ogv", ".flv", ".f4v"),
        *(".mpg", ".mpeg", ".vob", ".ts", ".mts", ".m2ts", ".wmv", ".asf", ".mxf", ".dv", ".y4m", ".mjpeg", ".mjpg"),
    }
)

Named = int | str | Path | Source


def expand(source: Named | Iterable[Named], *, recursive: bool = False, videos: bool = True) -> list[Named]:
    """Every source that was named, in order: files of patterns and folders by name, ``img2`` before ``img10``.

    Args:
        source: A source as ``rtface.run`` takes it, a pattern such as ``"holiday/*.jpg"``, a .txt file with a source a
            line, or several of those.
        recursive: Also the sub-folders of folders; ``**`` in a pattern means them too.
        videos: Also the videos of folders, not only their pictures.

    Raises:
        SourceError: A folder or a pattern has no such file.
        UsageError: Something is no source.
    """
    if isinstance(source, (int, str, os.PathLike, Source)) or not isinstance(source, Iterable):
        return _expanded(check_source(source), recursive, videos)
    found = [one for item in source for one in _expanded(check_source(item), recursive, videos)]
    if not found:
        raise UsageError("source", "none was given", "Name a file, a folder or a pattern")
    return found


def _expanded(source: Named, recursive: bool, videos: bool) -> list[Named]:
    if isinstance(source, (int, Source)):
        return [source]
    path = expanded(source)
    if is_list(path):
        return [one for name in _listed(path) for one in _expanded(name, recursive, videos)]
    if is_folder(path):
        suffixes = SUFFIXES | VIDEOS if videos else SUFFIXES
        return list(pictures_in(path, recursive=recursive, suffixes=suffixes))
    name = str(source)
    if "://" in name or not glob.has_magic(name) or is_there(path):
        return [source]
    matches = sorted(glob.glob(str(path), recursive=True), key=_natural_name)  # noqa: PTH207, absolute ones too
    if not matches:
        raise SourceError(name, "matches no file", "Check the pattern; quote it, or the shell expands it")
    return [one for match in matches for one in _expanded(Path(match), recursive, videos)]


def is_list(source: object) -> bool:
    """Whether it is a text file that names sources, a line each."""
    if not isinstance(source, (str, os.PathLike)):
        return False
    path = expanded(str(source))
    return path.suffix.lower() == ".txt" and os.path.isfile(path)  # noqa: PTH113


def _listed(path: Path) -> list[str]:
    """The sources that a list names, as if they stood on the command line; # begins a comment.

    Raises:
        SourceError: It cannot be read, names none, or names a list.
    """
    try:
        lines = path.read_text("utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise SourceError(str(path), f"cannot be read ({error.strerror})", "Check its permissions") from error
    names = [name for line in lines if (name := line.strip()) and not name.startswith("#")]
    if not names:
        raise SourceError(str(path), "names no source", "Write the path of a file on each line")
    for name in names:
        if is_list(name):
            raise SourceError(str(path), f"names another list, {name}", "Name both lists on the command line")
    return names


def _names_something(name: str) -> bool:
    return "://" in name or glob.has_magic(name) or os.path.lexists(expanded(name))


def one_source(sources: Named | Sequence[Named], *, recursive: bool = False, clock: Clock | None = None) -> Named:
    """One source of what was named: several pictures, patterns and folders become one source of all their pictures.

    Raises:
        SourceError: A folder or a pattern has no picture, or none of the pictures can be read.
        UsageError: There are several, and not all are pictures.
    """
    single = isinstance(sources, (int, str, os.PathLike, Source)) or not isinstance(sources, Sequence)
    several: list[Named] = [check_source(sources)] if single else list(sources)  # type: ignore[arg-type, list-item]
    found = expand(several, recursive=recursive, videos=False)
    if len(several) == 1 and (len(found) == 1 or not recursive) and _plain(several[0]):
        return several[0]  # a folder too: its source knows what to say of it
    if len(found) == 1:
        return found[0]
    others = [one for one in found if not is_picture(one)]
    if others:
        mend = "Give each an output of its own: -o 'out/{stem}.jsonl' (rtface.frames in Python)"
        raise UsageError(f"{len(found)} sources", f"not all are pictures ({others[0]})", mend)
    name = str(several[0]) if len(several) == 1 else f"{len(found)} pictures"
    return PictureSource(name, [Path(str(one)) for one in found], clock or SystemClock())


def is_picture(source: object) -> bool:
    """Whether it is a path that ends like a picture's."""
    if not isinstance(source, (str, os.PathLike)) or "://" in str(source):
        return False
    return Path(source).suffix.lower() in SUFFIXES


def _plain(source: Named) -> bool:
    """No pattern and no list; what is there by that name is no pattern, and a text that names no file is no list."""
    if is_list(source) and any(_names_something(name) for name in _listed(expanded(str(source)))):
        return False
    return isinstance(source, (int, Source)) or not glob.has_magic(str(source)) or is_there(expanded(source))


def _natural_name(path: str) -> list[list[tuple[int, str]]]:
    return natural(Path(path))

"""Finding files of a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from rtface.errors import OutputError, SourceError

PICTURES = (".jpg", ".png", ".jpeg", ".bmp", ".JPG", ".PNG", ".JPEG")


def corpus_file(out: Path, name: str) -> Path:
    """The corpus file that an --out means: itself where it says .parquet, else NAME.parquet in that folder.

    Raises:
        OutputError: It is named like a file of another kind, and is no folder.
    """
    if re.fullmatch(r"\.[A-Za-z][A-Za-z0-9]{1,6}", out.suffix) and out.suffix != ".parquet" and not out.is_dir():
        raise OutputError(str(out), "a corpus file is a .parquet file", f"Pass --out {out.with_suffix('.parquet')}")
    return out if out.suffix == ".parquet" else out / f"{name}.parquet"


def folder(path: Path) -> Path:
    """The path, if it is a folder. Raises SourceError."""
    if not path.is_dir():
        why = "is not a folder" if path.exists() else "does not exist"
        raise SourceError(str(path), why, "Give the set's folder as it was published")
    return path


def picture_of(stem: Path) -> Path:
    """The picture with this name and any usual extension; where there is none, the .jpg that is missing."""
    for extension in PICTURES:
        path = stem.with_name(stem.name + extension)
        if path.is_file():
            return path
    return stem.with_name(stem.name + PICTURES[0])


def first_of(root: Path, names: Sequence[str]) -> Path:
    """The first of these relative paths that exists. Raises SourceError where none does."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise SourceError(str(root), f"has none of {', '.join(names)}", "Give the set's folder as it was published")


def some(root: Path, pattern: str) -> list[Path]:
    """Files below a folder that match, sorted. Raises SourceError where there are none."""
    found = sorted(folder(root).rglob(pattern))
    if not found:
        raise SourceError(str(root), f"has no {pattern} in it", "Give the set's folder as it was published")
    return found

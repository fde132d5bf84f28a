"""A folder of pictures without labels, for `rtface label`; in a corpus they would count as pictures without faces."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtface.datasets.files import PICTURES, folder
from rtface.datasets.labelled import LabelledImage


def read(path: Path) -> Iterator[LabelledImage]:
    """Every picture below a folder, in the order of their names."""
    endings = {ending.lower() for ending in PICTURES} | {".webp"}
    for file in sorted(folder(path).rglob("*")):
        if file.suffix.lower() in endings:
            yield LabelledImage(f"pictures-{file.relative_to(path).as_posix()}", "pictures", file, split="unlabelled")

"""rtface's own corpus files (see `rtface.datasets.corpus`): one parquet file, or a folder of them.

Read again to be labelled, checked on a contact sheet, or written with other settings.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rtface.datasets import corpus
from rtface.datasets.labelled import LabelledImage


def read(path: Path) -> Iterator[LabelledImage]:
    """All pictures of the file or folder."""
    return corpus.read(path)

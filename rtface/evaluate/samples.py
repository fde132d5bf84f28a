"""Labelled pictures to measure on: of the corpus, or straight from a public set's own layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from rtface.datasets import corpus
from rtface.datasets.labelled import Array, LabelledImage
from rtface.datasets.registry import PARQUET, read


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A picture and its labels.

    Attributes:
        row: What is known of it.
        image: (H, W, 3) uint8 BGR.
        parsing: (H, W) uint8 class ids of the row's scheme, 255 = unknown; None = no mask.
    """

    row: LabelledImage
    image: Array
    parsing: Array | None = None


class Samples:
    """The pictures of a data set that a task can use; each is decoded when its turn comes.

    Args:
        path: Where the set is: a corpus file, a folder of them, or what the layout says.
        wanted: Says whether a picture is of use.
        limit: Most pictures; None = all.
        layout: Of `rtface.datasets.registry.FORMATS`.
        without: Labels of faces that need not be read.

    Raises:
        SourceError: The path is missing, or a file of it is missing, truncated or of another kind.
        UsageError: There is no such layout, or pyarrow is not installed.
    """

    def __init__(
        self,
        path: str | Path,
        wanted: Callable[[LabelledImage], bool],
        limit: int | None = None,
        layout: str = PARQUET,
        without: Sequence[str] = ("mesh478",),
    ) -> None:
        if layout == PARQUET:
            rows = corpus.read(Path(path), wanted, without=without)
        else:
            rows = (row for row in read(layout, path) if wanted(row))
        self._rows = list(islice(rows, limit))

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Sample]:
        for row in self._rows:
            yield Sample(row, *row.load())

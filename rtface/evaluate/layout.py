"""Labelled pictures straight from a public set's own layout, as the corpus gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.corpus import Row, Sample, Truth
from rtface.datasets.registry import read
from rtface.datasets.sample import FaceRecord, Record
from rtface.evaluate.measure import Measure


class Layout:
    """The records of a data set that a task can use; see `rtface.datasets`.

    Args:
        name: The layout, of `rtface.datasets.registry.FORMATS`.
        path: Where the set is.
        wanted: Says whether a row is of use.
        limit: Most rows; None = all.

    Raises:
        SourceError: The path is missing, or a file of it is missing, truncated or of another kind.
        UsageError: There is no such layout.
    """

    def __init__(self, name: str, path: str | Path, wanted: Callable[[Row], bool], limit: int | None = None) -> None:
        rows = ((_row(record), record) for record in read(name, path))
        self._chosen = [(row, record) for row, record in rows if wanted(row)][:limit]

    def __len__(self) -> int:
        return len(self._chosen)

    def __iter__(self) -> Iterator[Sample]:
        for row, record in self._chosen:
            yield Sample(row, *record.load())


def wanted(measure: Measure, source: str | None = None, split: str | None = None) -> Callable[[Row], bool]:
    """Which rows of a layout to measure: those with labels for the task, of a source and split.

    Without a split: all that the set does not give for training. With one, a set that names none counts as any.
    """

    def is_wanted(row: Row) -> bool:
        fits = row.split != "train" if split is None else split == "any" or row.split in ("", split)
        return fits and source in (None, row.source) and measure.accepts(row)

    return is_wanted


def _row(record: Record) -> Row:
    return Row(
        id=record.id,
        source=record.source,
        split=record.split,
        faces=tuple(_truth(face) for face in record.faces),
        parsing_scheme=record.parsing_scheme,
        parsing_source=record.parsing_source,
        emotion_votes=record.emotion_votes,
        ignored=record.ignored,
    )


def _truth(face: FaceRecord) -> Truth:
    def wide(values: np.ndarray | None) -> np.ndarray | None:
        return None if values is None else np.asarray(values, np.float64)

    return Truth(
        box_xyxy=wide(face.box_xyxy),
        box_source=face.box_source,
        points5=wide(face.points5),
        points5_source=face.points5_source,
        landmarks68=wide(face.landmarks68),
        pose=wide(face.pose),
        yaw_true=face.yaw_true,
    )

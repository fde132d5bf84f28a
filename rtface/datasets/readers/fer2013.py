"""FER2013 (Goodfellow et al., 2013) with its own seven labels; FER+'s votes are much cleaner (`ferplus`).

::

    fer2013.csv       emotion,pixels,Usage                    pixels: 2304 numbers in a cell

Emotions: 0 anger, 1 disgust, 2 fear, 3 happiness, 4 sadness, 5 surprise, 6 neutral.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import Array, FaceLabel, LabelledImage, votes_for
from rtface.datasets.text import bad, table

SIDE = 48
SPLITS = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}
EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")


def read(path: Path) -> Iterator[LabelledImage]:
    """A record a row."""
    file = first_of(path, ["fer2013.csv"])
    for at, (number, row) in enumerate(table(file, ("emotion", "pixels", "Usage"))):
        if row["emotion"] not in map(str, range(len(EMOTIONS))):
            raise bad(file, number, f"expected an emotion of 0 to 6, got {row['emotion']!r}")
        if row["Usage"] not in SPLITS:
            raise bad(file, number, f"expected a Usage of {', '.join(SPLITS)}, got {row['Usage']!r}")
        yield LabelledImage(
            id=f"fer2013-{at:07d}",
            source="fer2013",
            picture=pixels(row["pixels"], file, number),
            faces=(FaceLabel(box_xyxy=np.array((0, 0, SIDE, SIDE), np.float32), box_source="crop"),),
            split=SPLITS[row["Usage"]],
            emotion_votes=votes_for(EMOTIONS[int(row["emotion"])]),
        )


def pixels(cell: str, file: Path, number: int) -> Array:
    """(48, 48) uint8 of a cell of 2304 numbers. Raises SourceError."""
    words = cell.split()
    if len(words) != SIDE * SIDE:
        raise bad(file, number, f"expected {SIDE * SIDE} pixels, got {len(words)}")
    try:
        values = np.array(words, np.int64)
    except ValueError as error:
        raise bad(file, number, "a pixel is no number") from error
    if values.min() < 0 or values.max() > 255:
        raise bad(file, number, "a pixel is not within 0 to 255")
    return values.astype(np.uint8).reshape(SIDE, SIDE)

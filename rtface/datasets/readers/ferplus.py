"""FER+ (Barsoum et al., ICMI 2016): ten votes for each 48×48 grey picture of FER2013.

::

    fer2013.csv       emotion,pixels,Usage                    pixels: 2304 numbers in a cell
    fer2013new.csv    Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF

Both have the same rows in the same order. Rows without an image name were struck out by the authors. Usage gives the
split: Training, PublicTest = val, PrivateTest = test.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.readers.fer2013 import SIDE, SPLITS, pixels
from rtface.datasets.sample import FaceRecord, Record
from rtface.datasets.text import bad, numbers, table

VOTES = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)


def read(path: Path) -> Iterator[Record]:
    """A record a row that has an image name."""
    pictures, votes = first_of(path, ["fer2013.csv"]), first_of(path, ["fer2013new.csv"])
    pairs = zip_longest(
        table(pictures, ("pixels", "Usage")), table(votes, ("Usage", "Image name", *VOTES)), fillvalue=None
    )
    for at, (picture, vote) in enumerate(pairs):
        if picture is None or vote is None:
            short = pictures if picture is None else votes
            raise bad(short, at + 2, "ends before the other file: one of them is cut short")
        if picture[1]["Usage"] != vote[1]["Usage"] or vote[1]["Usage"] not in SPLITS:
            raise bad(votes, vote[0], f"Usage is {vote[1]['Usage']!r}, that of fer2013.csv {picture[1]['Usage']!r}")
        if vote[1]["Image name"].strip():
            counts = numbers([vote[1][name] for name in VOTES], len(VOTES), votes, vote[0], "votes")
            yield Record(
                id=f"ferplus-{at:07d}",
                source="ferplus",
                picture=pixels(picture[1]["pixels"], pictures, picture[0]),
                faces=(FaceRecord(box_xyxy=np.array((0, 0, SIDE, SIDE), np.float32), box_source="crop"),),
                split=SPLITS[vote[1]["Usage"]],
                emotion_votes=np.asarray(counts, np.int64),
            )

"""FER+ (Barsoum et al., ICMI 2016): ten votes for each 48×48 grey picture of FER2013.

::

    fer2013.csv       emotion,pixels,Usage                    pixels: 2304 numbers in a cell
    fer2013new.csv    Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF

Both have the same rows in the same order; or, as the authors' own script leaves them::

    fer2013new.csv                                            with or without it
    FER2013Train/fer0000000.png …  FER2013Valid/  FER2013Test/     the pictures, in any folder below
    FER2013Train/label.csv …       fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0

Rows without an image name were struck out by the authors. Usage (or the folder) gives the split: Training, PublicTest
(Valid) = val, PrivateTest = test.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of, some
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.readers.fer2013 import SIDE, SPLITS, pixels
from rtface.datasets.text import bad, numbers, table
from rtface.errors import SourceError

VOTES = (
    *("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt"),
    *("unknown", "NF"),
)


_FOLDERS = {"FER2013Train": "train", "FER2013Valid": "val", "FER2013Test": "test"}
_LABELS = "label.csv"


def read(path: Path) -> Iterator[LabelledImage]:
    """A picture for each row that has an image name."""
    if (path / "fer2013.csv").is_file():
        yield from _of_pixels(path / "fer2013.csv", first_of(path, ["fer2013new.csv"]))
    elif (path / "fer2013new.csv").is_file():
        yield from _of_files(path / "fer2013new.csv", path)
    else:
        lists = [file for file in some(path, _LABELS) if file.parent.name in _FOLDERS]
        if not lists:
            mend = "Give the set's folder as it was published"
            raise SourceError(str(path), f"has no {_LABELS} in {', '.join(_FOLDERS)}, and no fer2013new.csv", mend)
        for file in lists:
            yield from _of_folder(file)


def _of_files(votes: Path, root: Path) -> Iterator[LabelledImage]:
    """Pictures are files, their votes rows of fer2013new.csv."""
    files = {file.name: file for file in some(root, "fer*.png")}
    for number, row in table(votes, ("Usage", "Image name", *VOTES)):
        name = row["Image name"].strip()
        if row["Usage"] not in SPLITS:
            raise bad(votes, number, f"expected a Usage of {', '.join(SPLITS)}, got {row['Usage']!r}")
        if name:
            picture = files.get(name, root / name)  # one that is missing is named when it is loaded
            yield _image(Path(name).stem, picture, SPLITS[row["Usage"]], [row[n] for n in VOTES], votes, number)


def _of_folder(file: Path) -> Iterator[LabelledImage]:
    """Pictures and their votes lie in one folder, whose name says the split."""
    columns = ("name", "box", *VOTES)
    for number, row in table(file, columns, header=columns):
        name = row["name"].strip()
        split = _FOLDERS[file.parent.name]
        yield _image(Path(name).stem, file.parent / name, split, [row[n] for n in VOTES], file, number)


def _image(name: str, picture: Path, split: str, votes: list[str], file: Path, number: int) -> LabelledImage:
    return LabelledImage(
        id=f"ferplus-{name}",
        source="ferplus",
        picture=picture,
        faces=(FaceLabel(box_xyxy=np.array((0, 0, SIDE, SIDE), np.float32), box_source="crop"),),
        split=split,
        emotion_votes=np.asarray(numbers(votes, len(VOTES), file, number, "votes"), np.int64),
    )


def _of_pixels(pictures: Path, votes: Path) -> Iterator[LabelledImage]:
    """Pictures are cells of fer2013.csv, their votes the same rows of fer2013new.csv."""
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
            yield LabelledImage(
                id=f"ferplus-{at:07d}",
                source="ferplus",
                picture=pixels(picture[1]["pixels"], pictures, picture[0]),
                faces=(FaceLabel(box_xyxy=np.array((0, 0, SIDE, SIDE), np.float32), box_source="crop"),),
                split=SPLITS[vote[1]["Usage"]],
                emotion_votes=np.asarray(counts, np.int64),
            )

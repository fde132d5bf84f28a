"""AffectNet, manually annotated (Mollahosseini et al., IEEE Transactions on Affective Computing 2017).

::

    training.csv, validation.csv, or in Manually_Annotated_file_lists/
        subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal
    Manually_Annotated_Images/1/….jpg, or Manually_Annotated/Manually_Annotated_Images/…

or, as it is handed out at present::

    train_set/images/0.jpg          val_set/…            cut faces
    train_set/annotations/0_exp.npy (and _val, _aro, _lnd)

Expressions: 0 neutral, 1 happiness, 2 sadness, 3 surprise, 4 fear, 5 disgust, 6 anger, 7 contempt; 8 none, 9
uncertain and 10 no face are left out. The picture is cut around the face's box. The points come from a detector and
are left out; so are valence and arousal. validation.csv has been published without its header: both forms are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.crops import cut_around
from rtface.datasets.files import first_of, picture_of, some
from rtface.datasets.labelled import FaceLabel, LabelledImage, votes_for
from rtface.datasets.text import bad, numbers, table
from rtface.errors import SourceError

COLUMNS = (
    *("subDirectory_filePath", "face_x", "face_y", "face_width", "face_height"),
    *("facial_landmarks", "expression", "valence", "arousal"),
)
EMOTIONS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
_ALL = 11
_SPLITS = {"training.csv": "train", "validation.csv": "val"}
_LISTS, _IMAGES = "Manually_Annotated_file_lists", "Manually_Annotated_Images"


_SETS = {"train_set": "train", "val_set": "val"}


def read(path: Path) -> Iterator[LabelledImage]:
    """A picture for each row (or file of annotations) with one of the eight emotions, of the parts that are there."""
    parts = [(path / name, split) for name, split in _SETS.items() if (path / name).is_dir()]
    for part, split in parts:
        for file in some(part / "annotations", "*_exp.npy"):
            expression = _expression(file)
            if expression < len(EMOTIONS):
                name = file.name.removesuffix("_exp.npy")
                yield LabelledImage(
                    id=f"affectnet-{part.name}/{name}",
                    source="affectnet",
                    picture=picture_of(part / "images" / name),
                    split=split,
                    emotion_votes=votes_for(EMOTIONS[expression]),
                )
    if not parts:
        yield from _of_lists(path)


def _expression(file: Path) -> int:
    """The number in a file of annotations, which holds it as a number or as text."""
    try:
        value = int(np.load(file, allow_pickle=False).item())
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(str(file), f"is not an array with one expression ({error})", "Copy it again") from error
    if not 0 <= value < _ALL:
        raise SourceError(str(file), f"expected an expression of 0 to 10, got {value}", "Copy it again")
    return value


def _of_lists(path: Path) -> Iterator[LabelledImage]:
    """A picture for each row of the lists that are there."""
    files = {path / inner / name: split for name, split in _SPLITS.items() for inner in ("", _LISTS)}
    first_of(path, [file.relative_to(path).as_posix() for file in files])
    images = first_of(path, [f"Manually_Annotated/{_IMAGES}", _IMAGES])
    for file, split in files.items():
        if file.is_file():
            yield from _records(file, images, split)


def _records(file: Path, images: Path, split: str) -> Iterator[LabelledImage]:
    for number, row in table(file, COLUMNS[:5] + COLUMNS[6:7], header=COLUMNS):
        expression = row["expression"]
        if expression not in map(str, range(_ALL)):
            raise bad(file, number, f"expected an expression of 0 to 10, got {expression!r}")
        if int(expression) >= len(EMOTIONS):
            continue
        x, y, width, height = numbers([row[name] for name in COLUMNS[1:5]], 4, file, number, "the face's box")
        if width <= 0 or height <= 0:
            raise bad(file, number, f"expected a box of some size, got {width:g} x {height:g}")
        box = np.array((x, y, x + width, y + height))
        cut, face = cut_around(FaceLabel(box_xyxy=box, box_source="teacher"))
        name = row[COLUMNS[0]]
        yield LabelledImage(
            id=f"affectnet-{Path(name).with_suffix('').as_posix()}",
            source="affectnet",
            picture=images / name,
            faces=(face,),
            split=split,
            cut=cut,
            emotion_votes=votes_for(EMOTIONS[int(expression)]),
        )

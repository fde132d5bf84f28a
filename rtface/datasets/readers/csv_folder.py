"""Your own pictures: a CSV file with a header, beside them. Only ``image`` must be there; an empty cell is unknown.

=====================  =====================================================================================
image                  path of the picture from the CSV file's folder; several rows of one picture are faces of it
split                  train, val, test or unlabelled; else --split decides
source                 the name that `rtface eval --source` and a training's [[source]] know the rows by
x0 y0 x1 y1            box in four columns, px, forehead to chin
points5                10 numbers x y x y …: eye left in the image, eye right, nose tip, mouth left, mouth right
landmarks68            136 numbers x y x y …, iBUG-68 order; or one column each:
x_0 … x_67 y_0 … y_67  the same in 136 columns, as OpenFace and py-feat write them
yaw pitch roll         degrees: + nose towards the image's right, + nose up, + clockwise in the image
emotion                one of `rtface.EMOTIONS`
neutral … contempt,    FER+ votes in ten columns, instead of ``emotion``
unknown, no_face
parsing                path of a PNG of CelebAMask-HQ's 19 class ids, 255 = unknown, as large as the picture
=====================  =====================================================================================

``file``, ``filename``, ``path`` and ``input`` mean ``image`` too. Numbers in a cell are separated by spaces. Pixel
centres are at integers, the first is 0. A picture without any label is one without faces when its split is train or
val. A row with an emotion is cut around its box, when it has one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rtface.datasets.crops import cut_around
from rtface.datasets.files import first_of
from rtface.datasets.labelled import Array, FaceLabel, LabelledImage, face_of_landmarks, read_image, votes_for
from rtface.datasets.text import bad, numbers, table
from rtface.errors import SourceError
from rtface.labels import EMOTIONS, PARSING_CLASSES

NAME = "labels.csv"
BOX, POSE = ("x0", "y0", "x1", "y1"), ("yaw", "pitch", "roll")
VOTES = (*EMOTIONS, "unknown", "no_face")
POINTS = tuple(f"{axis}_{at}" for at in range(68) for axis in "xy")
PICTURE = ("image", "file", "filename", "path", "input")  # what the picture's column may be called
COLUMNS = ("image", "split", "source", "points5", "landmarks68", "emotion", "parsing", *BOX, *POSE, *VOTES)
SPLITS = ("train", "val", "test", "unlabelled", "")

_Row = dict[str, str]


def read(path: Path) -> Iterator[LabelledImage]:
    """Pictures of a CSV file, or of labels.csv in a folder."""
    file = first_of(path, [NAME]) if path.is_dir() else path
    pictures: dict[str, list[tuple[int, _Row]]] = {}
    for number, row in table(file, ()):
        column = next((name for name in PICTURE if name in row), None)
        if column is None:
            raise bad(file, 1, f"lacks the column image (or {', '.join(PICTURE[1:])})")
        odd = next((name for name in row if name not in (*COLUMNS, *POINTS, column)), None)
        if odd is not None:
            raise bad(file, 1, f"column {odd!r} is unknown; known are {', '.join(COLUMNS)}, x_0 … y_67")
        pictures.setdefault(row[column], []).append((number, {k: v.strip() for k, v in row.items() if v.strip()}))
    for name, rows in pictures.items():
        yield _record(name, rows, file)


def _record(name: str, rows: list[tuple[int, _Row]], file: Path) -> LabelledImage:
    number, first = rows[0]
    split = first.get("split", "")
    if split not in SPLITS:
        raise bad(file, number, f"expected a split of {', '.join(filter(None, SPLITS))}, got {split!r}")
    faces = tuple(face for face in (_face(row, file, number) for number, row in rows) if face is not None)
    mask = first.get("parsing")
    record = LabelledImage(
        id=f"{first.get('source', 'folder')}-{Path(name).with_suffix('').as_posix()}",
        source=first.get("source", "folder"),
        picture=file.parent / name,
        faces=faces,
        split=split,
        mask=partial(_mask, file.parent / mask) if mask else None,
        parsing_scheme="celebamask19" if mask else None,
        parsing_source="human" if mask else None,
        emotion_votes=_votes(first, file, number),
    )
    return record if record.emotion_votes is None else _cut(record, len(rows), file, number)


def _cut(record: LabelledImage, rows: int, file: Path, number: int) -> LabelledImage:
    if rows > 1:
        raise bad(file, number, "a picture with an emotion has one row: save its faces as pictures of their own")
    if not record.faces or record.faces[0].box_xyxy is None:
        return record
    if record.mask is not None:
        raise bad(file, number, "a row has either an emotion with a box or a mask: a cut picture has none")
    cut, face = cut_around(record.faces[0])
    return replace(record, cut=cut, faces=(face,))


def _face(row: _Row, file: Path, number: int) -> FaceLabel | None:
    box = _together(row, BOX, file, number)
    if box is not None and (box[2:] <= box[:2]).any():
        raise bad(file, number, f"expected x0 < x1 and y0 < y1, got {' '.join(f'{v:g}' for v in box)}")
    five = _points(row, "points5", 5, file, number)
    many = _points(row, "landmarks68", 68, file, number)
    if many is None and (single := _together(row, POINTS, file, number)) is not None:
        many = single.reshape(68, 2)
    pose = _together(row, POSE, file, number)
    if box is None and five is None and many is None and pose is None:
        return None
    face = FaceLabel() if many is None else face_of_landmarks(many)
    if five is not None:
        face = replace(face, points5=five, points5_source="human")
    return replace(face, box_xyxy=box, box_source=None if box is None else "human", pose=pose)


def _together(row: _Row, names: tuple[str, ...], file: Path, number: int) -> Array | None:
    """The numbers of columns that belong together; None where all are empty."""
    given = [row[name] for name in names if name in row]
    return np.array(numbers(given, len(names), file, number, " ".join(names)), np.float32) if given else None


def _points(row: _Row, name: str, count: int, file: Path, number: int) -> Array | None:
    if name not in row:
        return None
    return np.array(numbers(row[name].split(), 2 * count, file, number, name), np.float32).reshape(count, 2)


def _votes(row: _Row, file: Path, number: int) -> Array | None:
    if "emotion" in row:
        if row["emotion"] not in EMOTIONS:
            raise bad(file, number, f"expected an emotion of {', '.join(EMOTIONS)}, got {row['emotion']!r}")
        return votes_for(row["emotion"])
    if not any(name in row for name in VOTES):
        return None
    return np.asarray(numbers([row.get(name, "0") for name in VOTES], 10, file, number, "votes"), np.int64)


def _mask(file: Path) -> Array:
    labels = read_image(file, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or (labels[labels != 255] >= len(PARSING_CLASSES)).any():
        raise SourceError(
            str(file), "expected one channel of class ids 0 to 18 and 255", "See rtface.datasets.readers.csv_folder"
        )
    return labels

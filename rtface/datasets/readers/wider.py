"""WIDER FACE (Yang et al., CVPR 2016): boxes in text files.

::

    wider_face_split/wider_face_train_bbx_gt.txt   (and _val_)
    WIDER_train/images/0--Parade/….jpg

    0--Parade/….jpg            picture
    2                          faces (where there are none, a line of zeros follows all the same)
    x y w h blur expression illumination invalid occlusion pose

Faces marked invalid are no truth: a score neither asks for them nor forbids them, and a detector is taught neither that
they are faces nor that they are none (`LabelledImage.ignore_xyxy`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.text import bad, lines, numbers

_INVALID = 7  # column
_FOLDER = "wider_face_split"


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of the train and val lists, of those that are there."""
    names = {split: f"{_FOLDER}/wider_face_{split}_bbx_gt.txt" for split in ("train", "val")}
    first_of(path, list(names.values()))
    for split, name in names.items():
        if (path / name).is_file():
            yield from _records(path / name, first_of(path, [f"WIDER_{split}/images", f"WIDER_{split}"]), split)


def _records(file: Path, images: Path, split: str) -> Iterator[LabelledImage]:
    left = lines(file)
    for number, name in left:
        count = _count(left, file, number)
        rows: list[list[float]] = []
        for _ in range(max(count, 1)):
            at, line = next(left, (number, ""))
            if not line:
                raise bad(file, number, f"expected {count} faces of {name}, got {len(rows)}: the file is cut short")
            rows.append(numbers(line.split(), 10, file, at, "x y w h and six attributes"))
        yield _record(name, np.array(rows[:count]).reshape(-1, 10), images, split)


def _count(left: Iterator[tuple[int, str]], file: Path, number: int) -> int:
    at, line = next(left, (number, "nothing"))
    if not line.isdecimal():
        raise bad(file, at, f"expected the number of faces, got {line[:40]!r}")
    return int(line)


def _record(name: str, rows: np.ndarray, images: Path, split: str) -> LabelledImage:
    boxes = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], 1)
    area, valid = (rows[:, 2:4] > 0).all(1), rows[:, _INVALID] == 0
    faces = tuple(FaceLabel(box_xyxy=box, box_source="human") for box in boxes[area & valid])
    stem = Path(name).with_suffix("").as_posix()
    return LabelledImage(f"wider-{stem}", "wider", images / name, faces, split, ignore_xyxy=boxes[area & ~valid])

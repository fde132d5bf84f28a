"""WIDER FACE with the five points that RetinaFace's authors added (Deng et al., CVPR 2020, retinaface_gt).

::

    train/label.txt   (and val/)
    train/images/0--Parade/….jpg, or WIDER_train/images/… as WIDER FACE has it

    # 0--Parade/….jpg
    x y w h  x0 y0 f0 … x4 y4 f4  blur      a face a line; all −1 = no points; val has boxes only

Points are eye left in the image, eye right, nose, mouth left, mouth right; a flag of 1 marks a hidden one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.text import bad, lines, numbers

_BOX_ONLY, _WITH_POINTS = 4, (19, 20)


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of the train and val lists, of those that are there."""
    first_of(path, ["train/label.txt", "val/label.txt"])
    for split in ("train", "val"):
        file = path / split / "label.txt"
        if file.is_file():
            images = first_of(path, [f"{split}/images", f"WIDER_{split}/images"])
            for name, faces in _pictures(file).items():
                stem = Path(name).with_suffix("").as_posix()
                yield LabelledImage(f"wider-{stem}", "wider", images / name, tuple(faces), split)


def _pictures(file: Path) -> dict[str, list[FaceLabel]]:
    pictures: dict[str, list[FaceLabel]] = {}
    faces: list[FaceLabel] | None = None
    for number, line in lines(file):
        if line.startswith("#"):
            faces = pictures.setdefault(line[1:].strip(), [])
        elif faces is None:
            raise bad(file, number, "expected a picture's name after #")
        else:
            face = _face(line.split(), file, number)
            faces += [face] if face is not None else []
    return pictures


def _face(words: list[str], file: Path, number: int) -> FaceLabel | None:
    """None where the box is empty."""
    if len(words) != _BOX_ONLY and len(words) not in _WITH_POINTS:
        raise bad(file, number, f"expected 4, 19 or 20 numbers, got {len(words)}")
    values = np.array(numbers(words, len(words), file, number, "box and points"))
    if (values[2:4] <= 0).any():
        return None
    box = np.concatenate([values[:2], values[:2] + values[2:4]])
    points = values[4:19].reshape(-1, 3)
    if not len(points) or (points[:, :2] < 0).all():
        return FaceLabel(box_xyxy=box, box_source="human")
    return FaceLabel(box_xyxy=box, box_source="human", points5=points[:, :2], points5_source="human")

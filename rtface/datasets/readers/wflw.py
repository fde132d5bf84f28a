"""WFLW (Wu et al., "Look at Boundary", CVPR 2018): 98 points, of which 68 are brought to iBUG's order.

::

    WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt   (and _test.txt)
    WFLW_images/0--Parade/….jpg

A line is a face: 98 × (x y), the rectangle x0 y0 x1 y1, six attributes, the picture's name; a picture may have
several lines. The rectangle lies tight around the points, unlike a detector's box, and is not taken over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage, face_of_landmarks
from rtface.datasets.text import bad, lines, numbers

_LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test"

#: The WFLW point that is each of the 68. Of the 33 of the outline every other one; of each brow the upper edge (iBUG's
#: run along the brow's middle: a slight difference); of each eye 6 of 8, the lids' middles being left out.
POINT_OF_68 = np.array(
    [
        *range(0, 33, 2),
        *range(33, 38),
        *range(42, 47),
        *range(51, 60),
        *(60, 61, 63, 64, 65, 67),
        *(68, 69, 71, 72, 73, 75),
        *range(76, 96),
    ]
)


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of both lists, one for each picture of a list."""
    images = first_of(path, ["WFLW_images"])
    lists = [path / _LISTS / f"list_98pt_rect_attr_{split}.txt" for split in ("train", "test")]
    if not any(file.is_file() for file in lists):
        first_of(path, [f"{_LISTS}/{lists[0].name}"])  # says what is missing
    for file, split in zip(lists, ("train", "test"), strict=True):
        if file.is_file():
            for name, faces in _pictures(file).items():
                stem = Path(name).with_suffix("").as_posix()
                yield LabelledImage(f"wflw-{split}-{stem}", "wflw", images / name, tuple(faces), split)


def _pictures(file: Path) -> dict[str, list[FaceLabel]]:
    pictures: dict[str, list[FaceLabel]] = {}
    for number, line in lines(file):
        words = line.split(maxsplit=206)
        if len(words) != 207:
            raise bad(file, number, f"expected 206 numbers and a picture's name, got {len(words)} words")
        points = np.array(numbers(words[:196], 196, file, number, "98 points")).reshape(98, 2)
        pictures.setdefault(words[206], []).append(face_of_landmarks(points[POINT_OF_68]))
    return pictures

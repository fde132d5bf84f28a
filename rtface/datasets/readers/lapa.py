"""LaPa (Liu et al., "A New Dataset and Boundary-Attention Semantic Segmentation for Face Parsing", AAAI 2020).

::

    train/images/….jpg      (and val/, test/)
    train/labels/….png      11 classes
    train/landmarks/….txt   106, then 106 lines x y

Of the 106 points 68 are iBUG's (see `POINT_OF_68`). Classes: 0 background, 1 skin, 2 3 brows, 4 5 eyes, 6 nose, 7
upper lip, 8 inner mouth, 9 lower lip, 10 hair. Its background holds ears, neck, hats and cloth, which rtface tells
apart, so background becomes unknown (255): a score on LaPa does not see skin or hair that runs out into it. Sides are
set from the face's axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rtface.datasets.files import folder, picture_of, some
from rtface.datasets.masks import UNKNOWN, set_sides
from rtface.datasets.sample import Array, Record, face_of_landmarks, read_image
from rtface.datasets.text import bad, lines, numbers
from rtface.errors import SourceError

#: The point of the 106 that is each of the 68: every other one of the outline's 33, the brows' upper edges, nose,
#: eyes without the lids' middles and the pupils, mouth.
POINT_OF_68 = np.array(
    [*range(0, 33, 2), *range(33, 43), *range(43, 52), *range(52, 58), *range(58, 64), *range(84, 104)]
)
#: LaPa's 11 classes → the 19.
TO_19 = np.full(256, UNKNOWN, np.uint8)
TO_19[1:11] = (1, 6, 7, 4, 5, 2, 11, 10, 12, 13)
_CLASSES = 11


def read(path: Path) -> Iterator[Record]:
    """Records of the three parts, of those that are there."""
    folder(path)
    parts = [split for split in ("train", "val", "test") if (path / split).is_dir()]
    if not parts:
        raise SourceError(str(path), "has no folder train, val or test", "Give the set's folder as it was published")
    for split in parts:
        for file in some(path / split / "landmarks", "*.txt"):
            yield Record(
                id=f"lapa-{split}-{file.stem}",
                source="lapa",
                picture=picture_of(path / split / "images" / file.stem),
                faces=(face_of_landmarks(read_106(file)[POINT_OF_68]),),
                split=split,
                mask=partial(_mask, path / split / "labels" / f"{file.stem}.png"),
                parsing_scheme="celebamask19",
                parsing_source="human",
            )


def read_106(file: Path) -> Array:
    """(106, 2) px. Raises SourceError where the count is another."""
    rows = list(lines(file))
    if not rows or rows[0][1] != "106" or len(rows) != 107:
        said = rows[0][1] if rows else "nothing"
        raise bad(file, len(rows), f"expected 106 and as many points, got {said} and {max(len(rows) - 1, 0)}")
    return np.array([numbers(line.split(), 2, file, number, "x y") for number, line in rows[1:]])


def _mask(file: Path) -> Array:
    labels = read_image(file, cv2.IMREAD_UNCHANGED)
    if labels.ndim != 2 or labels.max(initial=0) >= _CLASSES:
        raise SourceError(str(file), "expected one channel of classes 0 to 10", "Copy it again")
    return set_sides(TO_19[labels])

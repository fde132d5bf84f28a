"""LaPa (Liu et al., "A New Dataset and Boundary-Attention Semantic Segmentation for Face Parsing", AAAI 2020).

::

    train/images/….jpg      (and val/, test/)
    train/labels/….png      11 classes
    train/landmarks/….txt   106, then 106 lines x y

The 106 points: 0-32 outline, 33-41 and 42-50 brows (five along the upper edge, four back along the lower), 51-54
bridge, 55-65 nose (side, wing, seven along the base, wing, side), 66-73 and 75-82 eyes with their middles 74 and 83,
84-103 mouth as in iBUG-68, 104 and 105 pupils. `PAIRS_OF_68` says where iBUG's 68 lie among them.

Classes: 0 background, 1 skin, 2 3 brows, 4 5 eyes, 6 nose, 7 upper lip, 8 inner mouth, 9 lower lip, 10 hair. Its
background holds ears, neck, hats and cloth, which rtface tells apart, so background becomes unknown (255): a score on
LaPa does not see skin or hair that runs out into it. Sides are set from the face's axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rtface.datasets.files import folder, picture_of, some
from rtface.datasets.labelled import Array, LabelledImage, face_of_landmarks, read_image
from rtface.datasets.masks import UNKNOWN, set_sides
from rtface.datasets.text import bad, lines, numbers
from rtface.errors import SourceError

#: (68, 2) Each of the 68 is the middle of two of the 106 (or one of them, twice): of the outline every other point, of
#: a brow the upper edge, of the nose's base seven points brought to five, of an eye eight brought to six.
PAIRS_OF_68 = np.array(
    [
        *((at, at) for at in (*range(0, 33, 2), *range(33, 38), *range(42, 47), *range(51, 55))),
        *((57, 57), (58, 59), (60, 60), (61, 62), (63, 63)),
        *((66, 66), (67, 68), (68, 69), (70, 70), (71, 72), (72, 73)),
        *((75, 75), (76, 77), (77, 78), (79, 79), (80, 81), (81, 82)),
        *((at, at) for at in range(84, 104)),
    ]
)
#: LaPa's 11 classes → the 19.
TO_19 = np.full(256, UNKNOWN, np.uint8)
TO_19[1:11] = (1, 6, 7, 4, 5, 2, 11, 10, 12, 13)
_CLASSES = 11


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of the three parts, of those that are there."""
    folder(path)
    parts = [split for split in ("train", "val", "test") if (path / split).is_dir()]
    if not parts:
        raise SourceError(str(path), "has no folder train, val or test", "Give the set's folder as it was published")
    for split in parts:
        for file in some(path / split / "landmarks", "*.txt"):
            yield LabelledImage(
                id=f"lapa-{split}-{file.stem}",
                source="lapa",
                picture=picture_of(path / split / "images" / file.stem),
                faces=(face_of_landmarks(read_106(file)[PAIRS_OF_68].mean(1)),),
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

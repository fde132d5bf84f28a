"""Helen's masks (Smith et al., "Exemplar-Based Face Parsing", CVPR 2013), SmithCVPR2013_dataset_resized.

::

    images/100032540_1.jpg
    labels/100032540_1/100032540_1_lbl00.png … _lbl10.png     how sure, 0 to 255, of each of 11 classes
    exemplars.txt, tuning.txt, testing.txt                    1 , 100032540_1

Classes: 0 background, 1 skin, 2 3 brows, 4 5 eyes, 6 nose, 7 upper lip, 8 inner mouth, 9 lower lip, 10 hair. A pixel
is the class that is surest there, unknown (255) where none reaches half. Background, which holds ears, neck and cloth,
becomes unknown as in `lapa`. Sides are set from the face's axis. Hair was made by matting, and is rough.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rtface.datasets.files import first_of, picture_of
from rtface.datasets.labelled import Array, LabelledImage, read_image
from rtface.datasets.masks import UNKNOWN, set_sides
from rtface.datasets.readers.lapa import TO_19
from rtface.datasets.text import bad, lines
from rtface.errors import SourceError

_LISTS = {"exemplars.txt": "train", "tuning.txt": "val", "testing.txt": "test"}
_CLASSES = 11  # numbered as LaPa's
_SURE = 128


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of the three lists, of those that are there."""
    first_of(path, list(_LISTS))
    for list_name, split in _LISTS.items():
        for number, line in lines(path / list_name) if (path / list_name).is_file() else ():
            _, comma, name = (word.strip() for word in line.partition(","))
            if not (comma and name):
                raise bad(path / list_name, number, "expected a number, a comma and a name")
            yield LabelledImage(
                id=f"helenmask-{name}",
                source="helenmask",
                picture=picture_of(path / "images" / name),
                split=split,
                mask=partial(compose, path / "labels" / name),
                parsing_scheme="celebamask19",
                parsing_source="human",
            )


def compose(labels: Path) -> Array:
    """One mask (H, W) of a picture's eleven."""
    files = [labels / f"{labels.name}_lbl{number:02d}.png" for number in range(_CLASSES)]
    sure = [read_image(file, cv2.IMREAD_GRAYSCALE) for file in files]
    if len({layer.shape for layer in sure}) > 1:
        raise SourceError(str(labels), "its eleven masks differ in size", "Copy them again")
    stack = np.stack(sure)
    mask = TO_19[stack.argmax(0)]
    mask[stack.max(0) < _SURE] = UNKNOWN
    return set_sides(mask)

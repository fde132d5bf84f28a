"""CelebAMask-HQ (Lee et al., "MaskGAN", CVPR 2020): a PNG for each part of each face.

::

    CelebA-HQ-img/0.jpg …                                1024×1024
    CelebAMask-HQ-mask-anno/0/00000_skin.png …           512×512, a part that is not seen has no file
    CelebA-HQ-to-CelebA-mapping.txt                      idx orig_idx orig_file; gives the split

The split is CelebA's own, by the number of the original picture. Where parts overlap the later of `PARTS` lies on
top, as in the set's own script. Sides are set from the face's axis.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from rtface.datasets.files import first_of, some
from rtface.datasets.labelled import Array, LabelledImage, read_image
from rtface.datasets.masks import set_sides
from rtface.datasets.text import bad, lines
from rtface.errors import SourceError

#: The files' part names, in order: class 1, 2, … of the 19; 0 is background.
PARTS = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip"),
    *("hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
_VAL_FROM, _TEST_FROM = 162770, 182637  # CelebA's list_eval_partition


def read(path: Path) -> Iterator[LabelledImage]:
    """A record for each face that has part files."""
    images = first_of(path, ["CelebA-HQ-img"])
    masks = first_of(path, ["CelebAMask-HQ-mask-anno"])
    splits = _splits(path / "CelebA-HQ-to-CelebA-mapping.txt")
    parts: dict[int, list[Path]] = defaultdict(list)
    for file in some(masks, "*_*.png"):
        face, part = file.stem.split("_", 1)
        if not face.isdecimal() or part not in PARTS:
            raise SourceError(str(file), f"expected a name like 00000_{PARTS[0]}.png", "Move it out of the folder")
        parts[int(face)].append(file)
    for number, files in sorted(parts.items()):
        yield LabelledImage(
            id=f"celebamask-{number}",
            source="celebamask",
            picture=images / f"{number}.jpg",
            split=splits.get(number, ""),
            mask=partial(compose, files),
            parsing_scheme="celebamask19",
            parsing_source="human",
        )


def compose(files: list[Path]) -> Array:
    """One mask (H, W) of the part files of a face."""
    labels: Array | None = None
    for file in sorted(files, key=lambda file: PARTS.index(_part(file))):
        part = read_image(file, cv2.IMREAD_GRAYSCALE)
        if labels is None:
            labels = np.zeros(part.shape, np.uint8)
        if part.shape != labels.shape:
            why = f"is {part.shape[1]}x{part.shape[0]} px, other parts {labels.shape[1]}x{labels.shape[0]}"
            raise SourceError(str(file), why, "Copy it again")
        labels[part > 127] = 1 + PARTS.index(_part(file))
    assert labels is not None
    return set_sides(labels)


def _part(file: Path) -> str:
    return file.stem.split("_", 1)[1]


def _splits(file: Path) -> dict[int, str]:
    if not file.is_file():
        return {}
    splits = {}
    for number, line in lines(file):
        words = line.split()
        if number == 1 and not words[0].isdecimal():
            continue  # the header
        if len(words) < 2 or not (words[0].isdecimal() and words[1].isdecimal()):
            raise bad(file, number, "expected idx orig_idx orig_file")
        original = int(words[1])
        splits[int(words[0])] = "train" if original < _VAL_FROM else "val" if original < _TEST_FROM else "test"
    return splits

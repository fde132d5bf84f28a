"""MTFL (Zhang et al., "Facial Landmark Detection by Deep Multi-task Learning", ECCV 2014).

::

    training.txt, testing.txt    one face a line: path x1 … x5 y1 … y5 gender smile glasses pose
    lfw_5590\\….jpg  net_7876\\….jpg  AFLW\\….jpg

Points: eye, eye, nose tip, mouth corner, mouth corner, left in the image first. Pose: 1 left profile, 2 left, 3
frontal, 4 right, 5 right profile. The set does not say from which number px count; they are taken as they stand.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import numpy as np

from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.text import bad, lines, numbers

_LISTS = {"training.txt": "train", "testing.txt": "test"}
POSES = range(1, 6)


def read(path: Path) -> Iterator[LabelledImage]:
    """Records of both lists, of those that are there."""
    first_of(path, list(_LISTS))
    for name, split in _LISTS.items():
        if (path / name).is_file():
            yield from _records(path / name, split)


def _records(file: Path, split: str) -> Iterator[LabelledImage]:
    for number, line in lines(file):
        words = line.split()
        values = numbers(words[1:], 14, file, number, "5 x, 5 y, gender, smile, glasses, pose")
        pose = int(values[13])
        if pose not in POSES:
            raise bad(file, number, f"expected a pose class of 1 to 5, got {words[14]}")
        face = FaceLabel(points5=np.array(values[:10]).reshape(2, 5).T, points5_source="human")
        inner = PureWindowsPath(words[0])
        picture = file.parent / inner.as_posix()
        yield LabelledImage(
            f"mtfl-{inner.with_suffix('').as_posix()}", "mtfl", picture, (face,), split, pose_class=pose
        )

"""RAF-DB, basic emotions (Li et al., "Reliable Crowdsourcing and Deep Locality-Preserving Learning", CVPR 2017).

::

    basic/EmoLabel/list_patition_label.txt               train_00001.jpg 5
    basic/Image/aligned/train_00001_aligned.jpg          100×100, or
    basic/Image/original/train_00001.jpg with basic/Annotation/boundingbox/train_00001_boundingbox.txt (x0 y0 x1 y1)

Labels: 1 surprise, 2 fear, 3 disgust, 4 happiness, 5 sadness, 6 anger, 7 neutral. Aligned pictures are taken where
they are there, else the originals are cut around the box.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.datasets.crops import cut_around
from rtface.datasets.files import first_of
from rtface.datasets.labelled import FaceLabel, LabelledImage, votes_for
from rtface.datasets.text import bad, lines, numbers

EMOTIONS = ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")  # from 1
_ALIGNED, _ORIGINAL, _BOXES = "Image/aligned", "Image/original", "Annotation/boundingbox"


def read(path: Path) -> Iterator[LabelledImage]:
    """A record a line of the list."""
    file = first_of(path, ["basic/EmoLabel/list_patition_label.txt", "EmoLabel/list_patition_label.txt"])
    root = file.parent.parent
    aligned = first_of(root, [_ALIGNED, _ORIGINAL]) == root / _ALIGNED
    for number, line in lines(file):
        name, _, label = line.partition(" ")
        stem, split = Path(name).stem, name.partition("_")[0]
        if label not in map(str, range(1, 8)) or split not in ("train", "test"):
            raise bad(file, number, f"expected a name like train_00001.jpg and a label of 1 to 7, got {line[:40]!r}")
        record = LabelledImage(
            id=f"rafdb-{stem}",
            source="rafdb",
            picture=root / _ALIGNED / f"{stem}_aligned.jpg",
            split=split,
            emotion_votes=votes_for(EMOTIONS[int(label) - 1]),
        )
        yield record if aligned else _cut(record, root, stem)


def _cut(record: LabelledImage, root: Path, stem: str) -> LabelledImage:
    file = root / _BOXES / f"{stem}_boundingbox.txt"
    box = [word for _, line in lines(file) for word in line.split()]
    face = FaceLabel(box_xyxy=np.array(numbers(box, 4, file, 1, "x0 y0 x1 y1")), box_source="human")
    cut, face = cut_around(face)
    return LabelledImage(
        id=record.id,
        source=record.source,
        picture=root / _ORIGINAL / f"{stem}.jpg",
        faces=(face,),
        split=record.split,
        cut=cut,
        emotion_votes=record.emotion_votes,
    )

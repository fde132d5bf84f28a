"""Which reader a layout's name means. A reader is a module with ``read(path) -> Iterator[LabelledImage]``."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

from rtface.datasets.labelled import LabelledImage
from rtface.errors import SourceError, UsageError, unknown

PARQUET = "parquet"
#: Name → what it reads, in a line; the module of that name describes the layout.
FORMATS = {
    "pts": "300-W, Helen, LFPW, AFW, iBUG: .pts files beside pictures",
    "wflw": "WFLW: list_98pt_rect_attr_*.txt, 98 points brought to 68",
    "aflw2000": "AFLW2000-3D, 300W-LP: .mat files with pose and 68 points",
    "mtfl": "MTFL: training.txt and testing.txt, 5 points and pose class",
    "wider": "WIDER FACE: wider_face_*_bbx_gt.txt",
    "retinaface": "WIDER FACE with RetinaFace's five points: */label.txt",
    "celebamask": "CelebAMask-HQ: a PNG a part",
    "lapa": "LaPa: 106 points brought to 68, masks of 11 classes",
    "helenmask": "Helen parsing (Smith et al. 2013): eleven PNGs a picture",
    "ferplus": "FER+: fer2013.csv and fer2013new.csv, or folders of PNGs",
    "fer2013": "FER2013 with its own labels: fer2013.csv",
    "rafdb": "RAF-DB basic: EmoLabel/list_patition_label.txt",
    "affectnet": "AffectNet: training.csv and validation.csv, or train_set and val_set with *_exp.npy",
    "cocowholebody": "COCO-WholeBody faces: coco_wholebody_*.json, 68 points",
    "parquet": "rtface's own corpus: a parquet file or a folder of them",
    "pictures": "A folder of pictures without labels, for rtface label",
    "folder": "Your own pictures: a CSV of labels beside them (columns in rtface.datasets.readers.csv_folder)",
}

#: Layouts whose module has a clearer name than the word that users type.
_MODULES = {"folder": "csv_folder", "pictures": "unlabelled", "parquet": "corpus_files"}


def read_module(name: str) -> Any:
    """The module that reads layout `name`: its ``read(path)`` gives the pictures."""
    return import_module(f"rtface.datasets.readers.{_MODULES.get(name, name)}")


def read(name: str, path: str | Path) -> list[LabelledImage]:
    """All pictures of a data set in layout `name`.

    Raises:
        UsageError: There is no such layout.
        SourceError: The path is missing, or a file of it is missing, truncated or of another kind.
    """
    if name not in FORMATS:
        raise unknown("format", name, FORMATS, UsageError)
    images = list(read_module(name).read(Path(path)))
    if not images:
        raise SourceError(str(path), f"holds no picture in the layout {name}", "rtface import --help lists layouts")
    twice = [id for id, count in Counter(image.id for image in images).items() if count > 1]
    if twice:
        raise SourceError(str(path), f"names {twice[0]} more than once", "Import its parts one by one")
    return images

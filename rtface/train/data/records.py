"""A corpus file's pictures as records, to be labelled anew: decoded one by one, with what is known of their faces."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.datasets.parquet import read_columns
from rtface.datasets.sample import Array, FaceRecord, Record
from rtface.errors import SourceError

_SHAPES = {"box_xyxy": (4,), "points5": (5, 2), "landmarks68": (68, 2), "mesh478": (478, 2), "pose": (3,)}
_COLUMNS = ("id", "source", "split", "image", "faces")


def corpus_pictures(path: Path) -> list[Record]:
    """Pictures of a corpus file and their faces, without masks and votes; val and test are left alone.

    Raises:
        SourceError: The file is missing, damaged or no corpus file.
        UsageError: pyarrow is not installed.
    """
    table = read_columns(path, _COLUMNS)
    return [
        Record(name, source, partial(_decoded, table["image"], at, name), _faces(table["faces"][at]), "unlabelled")
        for at, (name, source, split) in enumerate(
            zip(*(table[column].to_pylist() for column in ("id", "source", "split")), strict=True)
        )
        if split not in ("val", "test")
    ]


def _faces(faces: Any) -> tuple[FaceRecord, ...]:
    return tuple(_face(face) for face in faces.as_py() or ())


def _face(raw: dict[str, Any]) -> FaceRecord:
    arrays: dict[str, Any] = {
        name: np.asarray(raw[name], np.float32).reshape(shape)
        for name, shape in _SHAPES.items()
        if raw.get(name) is not None
    }
    sources = {name: raw.get(name) for name in ("box_source", "points5_source", "landmarks68_source")}
    return FaceRecord(**arrays, **sources)


def _decoded(images: Any, at: int, name: str) -> Array:
    data = images[at].as_py()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise SourceError(name, "its bytes do not decode", "Leave the row out, or --skip-bad")
    return np.asarray(image)

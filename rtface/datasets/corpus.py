"""Labelled pictures from the corpus' parquet files (one row a picture; the columns are in `COLUMNS`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import SourceError, require

Array = NDArray[Any]

#: What a file must have. `faces` is a list of structs; of those, fields that are not in `FACE_FIELDS` are not read.
COLUMNS = (
    "id",
    "source",
    "split",
    "image",
    "faces",
    "parsing",
    "parsing_scheme",
    "parsing_source",
    "emotion_votes",
)
FACE_FIELDS = ("box_xyxy", "box_source", "points5", "points5_source", "landmarks68", "pose", "yaw_true")
HEAVY = ("image", "parsing")


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """What is known of one face, px of the picture; None = not labelled.

    Attributes:
        box_xyxy: (4,) forehead to chin; ``box_source`` human, teacher, landmarks or crop (the whole picture).
        points5: (5, 2) as `rtface.types.Face.points5`; ``points5_source`` human, semi-automatic or teacher.
        landmarks68: (68, 2) iBUG-68 order.
        pose: (3,) yaw, pitch, roll in degrees, by teachers (in AFLW2000-3D by a fitted model).
        yaw_true: Measured yaw in degrees.
    """

    box_xyxy: Array | None = None
    box_source: str | None = None
    points5: Array | None = None
    points5_source: str | None = None
    landmarks68: Array | None = None
    pose: Array | None = None
    yaw_true: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """A row's labels, without its picture: enough to say whether a task can use it.

    Attributes:
        parsing_scheme: celebamask19 or fasseg6; None = no mask. ``parsing_source`` human or teacher.
        emotion_votes: (10,) FER+ votes, or None.
        ignored: (K, 4) boxes of faces that detection must neither find nor miss, or None.
    """

    id: str
    source: str
    split: str
    faces: tuple[Truth, ...] = ()
    parsing_scheme: str | None = None
    parsing_source: str | None = None
    emotion_votes: Array | None = None
    ignored: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A row with its picture: ``image`` (H, W, 3) uint8 BGR, ``parsing`` (H, W) uint8 with 255 = unknown, or None."""

    row: Row
    image: Array
    parsing: Array | None = None


class Corpus:
    """The rows of a parquet file, or of all those in a folder, that a task can use.

    Args:
        path: The file or folder.
        wanted: Says whether a row is of use.
        limit: Most rows; None = all.

    Raises:
        SourceError: The path is missing, has no parquet file, or a file is damaged or has other columns.
        UsageError: pyarrow is not installed.
    """

    def __init__(self, path: str | Path, wanted: Callable[[Row], bool], limit: int | None = None) -> None:
        self._chosen: list[tuple[Path, list[tuple[int, Row]]]] = []
        left = limit
        for file in _files(Path(path)):
            rows = [(at, row) for at, row in enumerate(_labels(file)) if wanted(row)][:left]
            if rows:
                self._chosen.append((file, rows))
            left = left if left is None else left - len(rows)

    def __len__(self) -> int:
        return sum(len(rows) for _, rows in self._chosen)

    def __iter__(self) -> Iterator[Sample]:
        for file, rows in self._chosen:
            with _parquet(file) as opened:
                table = opened.read(columns=list(HEAVY))
            images, masks = table["image"], table["parsing"]
            for at, row in rows:
                yield Sample(row, _picture(images[at].as_py(), row, file), _mask(masks[at].as_py(), row, file))


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceError(str(path), "does not exist", "Give --data a parquet file or a folder of them")
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise SourceError(str(path), "has no .parquet file", "Give --data a parquet file or a folder of them")
    return files


@contextmanager
def _parquet(file: Path) -> Iterator[Any]:
    """The open file; what pyarrow says against it becomes one line."""
    parquet, arrow = require("pyarrow.parquet", "eval"), require("pyarrow", "eval")
    try:
        with parquet.ParquetFile(file) as opened:
            yield opened
    except (OSError, arrow.ArrowException) as error:
        raise SourceError(str(file), f"is not a parquet file that can be read ({error})", "Copy it again") from error


def _label_columns(file: Path, paths: list[str]) -> list[str]:
    """Of a file's columns those to read for the labels: no pictures, and of a face only what is used."""
    missing = sorted(set(COLUMNS) - {path.split(".")[0] for path in paths})
    if missing:
        raise SourceError(str(file), f"lacks the columns {', '.join(missing)}", f"It needs {', '.join(COLUMNS)}")
    return [path for path in paths if _is_label(path.split("."))]


def _is_label(path: list[str]) -> bool:
    if path[0] == "faces":
        return any(part in FACE_FIELDS for part in path[1:])
    return path[0] in COLUMNS and path[0] not in HEAVY


def _labels(file: Path) -> Iterator[Row]:
    with _parquet(file) as opened:
        paths = [opened.schema.column(at).path for at in range(len(opened.schema))]
        table = opened.read(columns=_label_columns(file, paths))
    for record in table.to_pylist():
        votes = record["emotion_votes"]
        yield Row(
            id=record["id"],
            source=record["source"],
            split=record["split"],
            faces=tuple(_truth(face) for face in record["faces"] or ()),
            parsing_scheme=record["parsing_scheme"],
            parsing_source=record["parsing_source"],
            emotion_votes=None if votes is None else np.asarray(votes, np.int64),
        )


def _truth(face: dict[str, Any]) -> Truth:
    def array(name: str, *shape: int) -> Array | None:
        value = face.get(name)
        return None if value is None else np.asarray(value, np.float64).reshape(shape)

    return Truth(
        box_xyxy=array("box_xyxy", 4),
        box_source=face.get("box_source"),
        points5=array("points5", 5, 2),
        points5_source=face.get("points5_source"),
        landmarks68=array("landmarks68", 68, 2),
        pose=array("pose", 3),
        yaw_true=face.get("yaw_true"),
    )


def _decode(data: bytes, flags: int, row: Row, file: Path) -> Array:
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if image is None:
        raise SourceError(f"{file}, row {row.id}", "holds no picture that OpenCV can read", "Copy the file again")
    return np.asarray(image)


def _picture(data: bytes, row: Row, file: Path) -> Array:
    return _decode(data, cv2.IMREAD_COLOR, row, file)


def _mask(data: bytes | None, row: Row, file: Path) -> Array | None:
    return None if data is None else _decode(data, cv2.IMREAD_GRAYSCALE, row, file)

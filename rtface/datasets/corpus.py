"""The corpus: parquet files of labelled pictures, one row a picture, and the one reader of them.

Training, evaluation, labelling and calibration read through `read`; `rtface.datasets.writer` writes what it reads.
Columns that must be there are in `NEEDED`; the others of `schema` may be missing, and more may be there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.datasets.corpus_checks import (
    LABEL_TIMES,
    PIXEL_TIMES,
    array_of,
    check_kinds,
    check_scalars,
    read_within,
)
from rtface.datasets.labelled import VOTES, Array, FaceLabel, LabelledImage
from rtface.errors import SourceError, require
from rtface.system.image_bytes import decode_pixels

NEEDED = ("id", "source", "split", "image")
#: Encoded pixels: read when a picture is looked at, not with the labels.
HEAVY = ("image", "parsing")
#: Shapes of a face's arrays; in the file they are flat lists of float32.
SHAPES = {
    "box_xyxy": (4,),
    "points5": (5, 2),
    "landmarks68": (68, 2),
    "mesh478": (478, 2),
    "pose": (3,),
    "gaze": (2,),
    "blendshapes52": (52,),
}
_TEXTS = ("parsing_scheme", "parsing_source", "licence")
_FACE_FIELDS = tuple(field.name for field in fields(FaceLabel))
_FACE_TEXTS = ("box_source", "points5_source", "landmarks68_source")


def schema() -> Any:
    """The pyarrow schema of what rtface writes.

    Raises:
        UsageError: pyarrow is not installed.
    """
    pa = require("pyarrow", "eval")
    floats, text = pa.list_(pa.float32()), pa.string()
    kinds = dict.fromkeys(SHAPES, floats) | dict.fromkeys(_FACE_TEXTS, text)
    face = pa.struct([(name, kinds.get(name, pa.float32())) for name in _FACE_FIELDS])
    columns = {
        "id": text,
        "source": text,
        "split": text,
        "image": pa.binary(),
        "width": pa.int32(),
        "height": pa.int32(),
        "faces": pa.list_(face),
        "ignore_xyxy": pa.list_(floats),
        "parsing": pa.binary(),
        "parsing_scheme": text,
        "parsing_source": text,
        "emotion_votes": pa.list_(pa.int32()),
        "pose_class": pa.int32(),
        "licence": text,
    }
    return pa.schema(list(columns.items()))


def corpus_files(path: Path) -> list[Path]:
    """The parquet files that a path means: itself, or all in the folder, by name.

    Raises:
        SourceError: The path is missing, or a folder without any.
    """
    if not path.exists():
        raise SourceError(
            str(path), "does not exist", "Give a parquet file or a folder of them; rtface import makes them"
        )
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files:
        raise SourceError(str(path), "has no .parquet file", "Give a parquet file or a folder of them")
    return files


def read(
    path: Path, wanted: Callable[[LabelledImage], bool] = lambda image: True, without: Sequence[str] = ()
) -> Iterator[LabelledImage]:
    """Pictures of a corpus file or of all in a folder, in order; their pixels are decoded when they are loaded.

    Args:
        path: The file or folder.
        wanted: Which pictures to give.
        without: Labels of faces that need not be read, e.g. ``("mesh478",)``, which is most of a file's labels.

    Raises:
        SourceError: The path is missing, or a file is damaged or lacks a column of `NEEDED`.
        UsageError: pyarrow is not installed.

    Example:
        >>> from pathlib import Path
        >>> pictures = read(Path("corpus"), lambda image: image.split == "val")  # doctest: +SKIP
    """
    for file in corpus_files(path):
        for at, row in enumerate(_rows(file, without)):
            image = _image(row, file, at)
            if wanted(image):
                yield image


def encoded_pixels(file: Path, rows: int = 256) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Id, encoded picture and encoded mask of every row in order, `rows` at a time in memory.

    Raises:
        SourceError: The file is damaged or lacks a column of `NEEDED`.
        UsageError: pyarrow is not installed.
    """
    with _opened(file) as parquet:
        there = [name for name in ("id", *HEAVY) if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(rows, columns=there):
            columns = batch.to_pydict()
            masks = columns.get("parsing", [None] * len(columns["id"]))
            yield from zip(columns["id"], columns["image"], masks, strict=True)


def read_table(file: Path) -> Any:
    """All columns of a corpus file as a pyarrow table, pixels encoded, for tools that add to a file.

    Raises:
        SourceError: The file is damaged or lacks a column of `NEEDED`.
        UsageError: pyarrow is not installed.
    """
    with _opened(file) as opened:
        return opened.read()


@contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """The open file; what pyarrow says against it becomes one line."""
    parquet, arrow = require("pyarrow.parquet", "eval"), require("pyarrow", "eval")
    try:
        # As an open file: Arrow takes no name that is not UTF-8.
        with file.open("rb") as raw, parquet.ParquetFile(raw) as opened:
            missing = sorted({*NEEDED} - {*opened.schema_arrow.names})
            if missing:
                mend = f"A corpus file has {', '.join(NEEDED)}; rtface import makes them"
                raise SourceError(str(file), f"lacks the columns {', '.join(missing)}", mend)
            check_kinds(file, opened.schema_arrow, schema())
            yield opened
    except FileNotFoundError as error:
        raise SourceError(str(file), "no such file", "Give a parquet file or a folder of them") from error
    except (OSError, arrow.ArrowException) as error:
        raise SourceError(str(file), f"is not a parquet file that can be read ({error})", "Copy it again") from error


def _rows(file: Path, without: Sequence[str]) -> list[dict[str, Any]]:
    """Labels of a file, without pixels."""
    with _opened(file) as opened:
        paths = [opened.schema.column(at).path for at in range(len(opened.schema))]
        wanted = [path for path in paths if _is_label(path, without)]
        rows: list[dict[str, Any]] = read_within(file, opened, wanted, LABEL_TIMES).to_pylist()
    return rows


def _is_label(path: str, without: Sequence[str]) -> bool:
    parts = path.split(".")
    return parts[0] not in HEAVY and not any(part in without for part in parts)


def _image(row: dict[str, Any], file: Path, at: int) -> LabelledImage:
    name, votes = f"{file}, row {row['id']}", row.get("emotion_votes")
    if not all(isinstance(row[text], str) for text in ("id", "source", "split")):
        raise SourceError(f"{file}, row {at}", "lacks its id, source or split", "rtface import makes them")
    return LabelledImage(
        id=row["id"],
        source=row["source"],
        split=row["split"],
        picture=partial(_decoded_picture, file, at, row["id"]),
        faces=tuple(_face(face, name) for face in row.get("faces") or () if face is not None),
        mask=partial(_decoded_mask, file, at, row["id"]) if row.get("parsing_scheme") else None,
        emotion_votes=None if votes is None else array_of(votes, (VOTES,), name, "emotion_votes").astype(np.int64),
        pose_class=row.get("pose_class"),
        ignore_xyxy=array_of(row.get("ignore_xyxy") or (), (-1, 4), name, "ignore_xyxy"),
        **{name: row.get(name) for name in _TEXTS},
    )


def _face(raw: dict[str, Any], row: str) -> FaceLabel:
    values: dict[str, Any] = {name: raw[name] for name in _FACE_FIELDS if raw.get(name) is not None}
    for name, shape in SHAPES.items():
        if name in values:
            values[name] = array_of(values[name], shape, row, name)
    check_scalars(values, row)
    return FaceLabel(**values)


@lru_cache(maxsize=1)  # pictures are looked at file by file
def _pixels_of(file: Path, changed_ns: int) -> Any:
    with _opened(file) as opened:
        heavy = [name for name in HEAVY if name in opened.schema_arrow.names]
        return read_within(file, opened, heavy, PIXEL_TIMES)


def _decoded(file: Path, at: int, name: str, column: str, flags: int) -> Array:
    data = _pixels_of(file, file.stat().st_mtime_ns)[column][at].as_py()
    image = decode_pixels(data, flags, f"{file}, row {name}") if data else None
    if image is None:
        raise SourceError(
            f"{file}, row {name}", "holds no picture that OpenCV can read", "Copy the file, or --skip-bad"
        )
    return image


def _decoded_picture(file: Path, at: int, name: str) -> Array:
    return _decoded(file, at, name, "image", cv2.IMREAD_COLOR)


def _decoded_mask(file: Path, at: int, name: str) -> Array:
    return _decoded(file, at, name, "parsing", cv2.IMREAD_GRAYSCALE)

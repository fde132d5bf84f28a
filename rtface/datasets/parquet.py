"""Records into a corpus file: parquet, one row a picture, which training and evaluation read.

Writing goes in parts, so that an interrupted import goes on where it stopped; the file itself appears when it is whole.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from rtface.datasets.crops import moved
from rtface.datasets.masks import face_of_mask
from rtface.datasets.sample import Array, FaceRecord, Record
from rtface.errors import SourceError, require

PART_ROWS = 256
_SMALL = 128  # px; smaller pictures are kept without loss
_QUALITY = 95
_KEPT = {".jpg", ".jpeg", ".png", ".webp"}  # what the corpus' readers decode


@dataclass(frozen=True, slots=True)
class Settings:
    """How records are written.

    Attributes:
        max_side: Pictures are averaged down to this longer side, px; 0 = never.
        split: Of the pictures whose layout does not say.
        skip_bad: Leave out pictures that are missing or do not decode, instead of stopping.
    """

    max_side: int = 640
    split: str = "train"
    skip_bad: bool = False


def schema() -> Any:
    """The corpus' pyarrow schema. Raises UsageError where pyarrow is not installed."""
    pa = require("pyarrow", "eval")
    floats, text = pa.list_(pa.float32()), pa.string()
    face = {
        "box_xyxy": floats,
        "box_source": text,
        "score": pa.float32(),
        "points5": floats,
        "points5_source": text,
        "landmarks68": floats,
        "landmarks68_source": text,
        "landmarks68_spread": pa.float32(),
        "mesh478": floats,
        "pose": floats,
        "pose_spread": pa.float32(),
        "yaw_true": pa.float32(),
    }
    columns = {
        "id": text,
        "source": text,
        "split": text,
        "image": pa.binary(),
        "width": pa.int32(),
        "height": pa.int32(),
        "faces": pa.list_(pa.struct(list(face.items()))),
        "parsing": pa.binary(),
        "parsing_scheme": text,
        "parsing_source": text,
        "emotion_votes": pa.list_(pa.int32()),
        "pose_class": pa.int32(),
    }
    return pa.schema(list(columns.items()))


def write(
    records: Sequence[Record],
    path: Path,
    settings: Settings,
    step: Callable[[int], None] = lambda rows: None,
    label: Callable[[Record], Record | None] | None = None,
    labelled_by: str = "",
) -> list[str]:
    """Write a corpus file, or go on writing it, and return what was left out and why.

    `step` is called with the number of records that were done. `label` gives the record to write in place of each, or
    None to leave it out; `labelled_by` tells one labelling from another. The parts of an interrupted run lie beside
    the file, in a folder named after it, and serve again where records, settings and labelling are the same.

    Raises:
        SourceError: A picture or mask is missing or does not decode.
        UsageError: pyarrow is not installed.
    """
    how = [settings.max_side, settings.split, settings.skip_bad, labelled_by]
    plan = json.dumps([how, [record.id for record in records]])

    def part(rows: slice) -> tuple[Any, list[str]]:
        return _part(records[rows], settings, label)

    return write_parts(path, schema(), len(records), plan, part, step)


def write_parts(
    path: Path,
    columns: Any,
    count: int,
    plan: str,
    make: Callable[[slice], tuple[Any, list[str]]],
    step: Callable[[int], None] = lambda rows: None,
) -> list[str]:
    """Write a parquet file of the schema `columns`, `PART_ROWS` of its `count` inputs at a time, or go on writing it.

    `make` gives the table of some inputs, and a line for each that it left out; all lines are returned. The parts of an
    interrupted run lie beside the file, in a folder named after it, and serve again where `plan` is the same text.

    Raises:
        UsageError: pyarrow is not installed.
    """
    pq = require("pyarrow.parquet", "eval")
    parts = path.with_name(f".{path.name}.parts")
    _prepare(parts, plan)
    left_out: list[str] = []
    done = []
    for start in range(0, count, PART_ROWS):
        rows = slice(start, min(start + PART_ROWS, count))
        part = parts / f"{start:09d}.parquet"
        if not part.is_file():
            _write_part(part, *make(rows))
        left_out += json.loads(part.with_suffix(".json").read_text(encoding="utf-8"))
        done.append(part)
        step(rows.stop - rows.start)
    whole = parts / "whole"
    with pq.ParquetWriter(whole, columns, compression="zstd") as writer:
        for part in done:
            writer.write_table(pq.read_table(part))
    whole.replace(path)
    shutil.rmtree(parts)
    return left_out


def _prepare(parts: Path, plan: str) -> None:
    """The folder of parts, emptied where it is another run's."""
    key, file = hashlib.sha256(plan.encode()).hexdigest(), parts / "plan"
    if parts.is_dir() and not (file.is_file() and file.read_text(encoding="utf-8") == key):
        shutil.rmtree(parts)
    parts.mkdir(parents=True, exist_ok=True)
    file.write_text(key, encoding="utf-8")


def _write_part(part: Path, table: Any, left_out: list[str]) -> None:
    pq = require("pyarrow.parquet", "eval")
    part.with_suffix(".json").write_text(json.dumps(left_out), encoding="utf-8")
    unfinished = part.with_suffix(".unfinished")
    pq.write_table(table, unfinished, compression="zstd")
    unfinished.replace(part)  # last: a part that is there is whole


def _part(
    records: Sequence[Record], settings: Settings, label: Callable[[Record], Record | None] | None
) -> tuple[Any, list[str]]:
    pa = require("pyarrow", "eval")
    rows, left_out = [], []
    for record in records:
        try:
            labelled = record if label is None else label(record)
            if labelled is None:
                left_out.append(f"{record.id}: no label")
            else:
                rows.append(row(labelled, settings))
        except SourceError as error:
            if not settings.skip_bad:
                raise
            left_out.append(str(error))
    return pa.Table.from_pylist(rows, schema=schema()), left_out


def read_columns(path: Path, columns: Sequence[str] | None = None) -> Any:
    """Columns of a corpus file, by default all, as a pyarrow table.

    Raises:
        SourceError: The file is missing or damaged, or lacks a column.
        UsageError: pyarrow is not installed.
    """
    pq, pa = require("pyarrow.parquet", "eval"), require("pyarrow", "eval")
    try:
        table = pq.read_table(path, columns=None if columns is None else list(columns))
        if missing := {*(columns or ("id", "split", "image", "faces"))} - {*table.column_names}:
            raise pa.ArrowInvalid(f"it has no column {', '.join(sorted(missing))}")
    except (OSError, pa.ArrowException) as error:
        raise SourceError(str(path), f"is not a corpus file that can be read ({error})", "Copy it again") from error
    return table


def row(record: Record, settings: Settings) -> dict[str, Any]:
    """A record as a row of the corpus, its picture encoded. Raises SourceError."""
    image, mask = record.load()
    faces = list(record.faces)
    if mask is not None and not faces:
        face = face_of_mask(mask)
        faces = [face] if face is not None else []
    height, width = image.shape[:2]
    scale = settings.max_side / max(height, width) if settings.max_side else 1.0
    data = None if scale < 1.0 or record.cut is not None else _as_stored(record)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        faces = [moved(face, (size[0] / width, size[1] / height)) for face in faces]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        mask = None if mask is None else np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
    votes = record.emotion_votes
    return {
        "id": record.id,
        "source": record.source,
        "split": record.split or settings.split,
        "image": data or _encoded(image),
        "width": image.shape[1],
        "height": image.shape[0],
        "faces": [_face(face) for face in faces],
        "parsing": None if mask is None else _encoded(mask, ".png"),
        "parsing_scheme": record.parsing_scheme,
        "parsing_source": record.parsing_source,
        "emotion_votes": None if votes is None else votes.tolist(),
        "pose_class": record.pose_class,
    }


def _face(face: FaceRecord) -> dict[str, Any]:
    values = {field.name: getattr(face, field.name) for field in fields(face)}
    return {name: _flat(value) for name, value in values.items() if value is not None}


def _flat(value: Any) -> Any:
    return value.astype(np.float32).ravel().tolist() if isinstance(value, np.ndarray) else value


def _as_stored(record: Record) -> bytes | None:
    """The file's own bytes, where readers see in them what the labels were made on: no camera's turn mark."""
    if not isinstance(record.picture, Path) or record.picture.suffix.lower() not in _KEPT:
        return None
    data = record.picture.read_bytes()
    return None if b"Exif\0\0" in data[:65536] else data


def _encoded(image: Array, kind: str | None = None) -> bytes:
    small = max(image.shape[:2]) <= _SMALL
    kind = kind or (".png" if small else ".jpg")
    flags = (cv2.IMWRITE_JPEG_QUALITY, _QUALITY) if kind == ".jpg" else ()
    done, data = cv2.imencode(kind, image, flags)
    if not done:
        raise SourceError("a picture", f"cannot be encoded as {kind}", "Report it with the picture's size")
    return bytes(data.tobytes())

"""Labelled pictures into a corpus file, which `rtface.datasets.corpus` reads: parquet, one row a picture.

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

from rtface.datasets.corpus import schema
from rtface.datasets.crops import moved, moved_points
from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.datasets.masks import face_of_mask
from rtface.errors import SourceError, require
from rtface.system.files import atomic_write, write_text
from rtface.system.images import encoded

PART_ROWS = 256
_SMALL = 128  # px; smaller pictures are kept without loss
_QUALITY = 95
_KEPT = {".jpg", ".jpeg", ".png", ".webp"}  # what the corpus' readers decode


@dataclass(frozen=True, slots=True)
class Settings:
    """How pictures are written.

    Attributes:
        max_side: Pictures are averaged down to this longer side, px; 0 = never.
        split: Of the pictures whose layout does not say.
        skip_bad: Leave out pictures that are missing or do not decode, instead of stopping.
        licence: Terms of the pictures and labels that say none themselves; None = not known.
    """

    max_side: int = 640
    split: str = "train"
    skip_bad: bool = False
    licence: str | None = None


def write(
    images: Sequence[LabelledImage],
    path: Path,
    settings: Settings,
    step: Callable[[int], None] = lambda rows: None,
    label: Callable[[LabelledImage], LabelledImage | None] | None = None,
    labelled_by: str = "",
) -> list[str]:
    """Write a corpus file, or go on writing it, and return what was left out and why.

    `step` is called with the number of pictures that were done. `label` gives what to write in place of each, or None
    to leave it out; `labelled_by` tells one labelling from another. The parts of an interrupted run lie beside the
    file, in a folder named after it, and serve again when pictures, settings and labelling are the same.

    Raises:
        SourceError: A picture or mask is missing or does not decode.
        UsageError: pyarrow is not installed.
    """
    how = [settings.max_side, settings.split, settings.skip_bad, settings.licence, labelled_by]
    plan = json.dumps([how, [image.id for image in images]])

    def part(rows: slice) -> tuple[Any, list[str]]:
        return _part(images[rows], settings, label)

    return write_parts(path, schema(), len(images), plan, part, step)


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
    with atomic_write(path) as file, pq.ParquetWriter(file, columns, compression="zstd") as writer:
        for part in done:
            with part.open("rb") as opened:  # Arrow takes no name that is not UTF-8
                writer.write_table(pq.read_table(opened))
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
    write_text(part.with_suffix(".json"), json.dumps(left_out))
    with atomic_write(part) as file:  # last: a part that is there is whole
        pq.write_table(table, file, compression="zstd")


def _part(
    images: Sequence[LabelledImage],
    settings: Settings,
    label: Callable[[LabelledImage], LabelledImage | None] | None,
) -> tuple[Any, list[str]]:
    pa = require("pyarrow", "eval")
    rows, left_out = [], []
    for image in images:
        try:
            labelled = image if label is None else label(image)
            if labelled is None:
                left_out.append(f"{image.id}: no label")
            else:
                rows.append(row(labelled, settings))
        except SourceError as error:
            if not settings.skip_bad:
                raise
            left_out.append(str(error))
    return pa.Table.from_pylist(rows, schema=schema()), left_out


def row(labelled: LabelledImage, settings: Settings) -> dict[str, Any]:
    """A picture as a row of the corpus, its pixels encoded. Raises SourceError when they cannot be read."""
    image, mask = labelled.load()
    faces = list(labelled.faces)
    if mask is not None and not faces:
        face = face_of_mask(mask)
        faces = [face] if face is not None else []
    ignored = labelled.ignore_xyxy
    height, width = image.shape[:2]
    scale = settings.max_side / max(height, width) if settings.max_side else 1.0
    data = None if scale < 1.0 or labelled.cut is not None else _as_stored(labelled)
    if scale < 1.0:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        scale_xy = (size[0] / width, size[1] / height)
        faces = [moved(face, scale_xy) for face in faces]
        ignored = moved_points(ignored, scale_xy)
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA))
        mask = None if mask is None else np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST_EXACT))
    votes = labelled.emotion_votes
    return {
        "id": labelled.id,
        "source": labelled.source,
        "split": labelled.split or settings.split,
        "image": data or _encoded(image),
        "width": image.shape[1],
        "height": image.shape[0],
        "faces": [_face(face) for face in faces],
        "ignore_xyxy": np.asarray(ignored, np.float32).tolist() or None,
        "parsing": None if mask is None else _encoded(mask, ".png"),
        "parsing_scheme": labelled.parsing_scheme,
        "parsing_source": labelled.parsing_source,
        "emotion_votes": None if votes is None else votes.tolist(),
        "pose_class": labelled.pose_class,
        "licence": labelled.licence or settings.licence,
    }


def _face(face: FaceLabel) -> dict[str, Any]:
    values = {field.name: getattr(face, field.name) for field in fields(FaceLabel)}
    return {name: _flat(value) for name, value in values.items() if value is not None}


def _flat(value: Any) -> Any:
    return value.astype(np.float32).ravel().tolist() if isinstance(value, np.ndarray) else value


def _as_stored(labelled: LabelledImage) -> bytes | None:
    """The file's own bytes, where readers see in them what the labels were made on: no camera's turn mark."""
    if not isinstance(labelled.picture, Path) or labelled.picture.suffix.lower() not in _KEPT:
        return None
    data = labelled.picture.read_bytes()
    return None if b"Exif\0\0" in data[:65536] else data


def _encoded(image: Array, kind: str | None = None) -> bytes:
    small = max(image.shape[:2]) <= _SMALL
    kind = kind or (".png" if small else ".jpg")
    data = encoded(image, kind, _QUALITY if kind == ".jpg" else None)
    if data is None:
        raise SourceError("a picture", f"cannot be encoded as {kind}", "Report it with the picture's size")
    return data

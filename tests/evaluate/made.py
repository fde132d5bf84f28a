"""A small corpus made here, and an analyzer that answers what a test tells it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.evaluate.samples import Sample
from rtface.types import Face, Frame, FrameResult

FLOATS = pa.list_(pa.float32())
FACE = pa.struct(
    [
        ("box_xyxy", FLOATS),
        ("box_source", pa.string()),
        ("score", pa.float32()),
        ("points5", FLOATS),
        ("points5_source", pa.string()),
        ("landmarks68", FLOATS),
        ("landmarks68_source", pa.string()),
        ("mesh478", FLOATS),
        ("pose", FLOATS),
        ("pose_spread", pa.float32()),
        ("yaw_true", pa.float32()),
    ]
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        ("split", pa.string()),
        ("image", pa.binary()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("faces", pa.list_(FACE)),
        ("parsing", pa.binary()),
        ("parsing_scheme", pa.string()),
        ("parsing_source", pa.string()),
        ("emotion_votes", pa.list_(pa.int32())),
        ("pose_class", pa.int32()),
    ]
)


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def record(name: str, image: np.ndarray, **fields: Any) -> dict[str, Any]:
    """A row; faces are dicts of the fields that they have."""
    faces = [{field.name: face.get(field.name) for field in FACE} for face in fields.pop("faces", [])]
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    height, width = image.shape[:2]
    row.update(id=name, source="made", split="val", image=png(image), width=width, height=height, faces=faces)
    row.update(fields)
    return row


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(records, schema=SCHEMA), path)
    return path


def sample(*truths: FaceLabel, size_wh: tuple[int, int] = (64, 48), parsing: Any = None, **fields: Any) -> Sample:
    """A sample with a black picture."""
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    return Sample(
        LabelledImage(id="one", source="made", picture=image, split="val", faces=truths, **fields), image, parsing
    )


def face(box_xyxy: Any, score: float = 0.9, points5: Any = None, **values: Any) -> Face:
    """A found face; its five points are unknown where not given."""
    five = np.full((5, 2), np.nan) if points5 is None else points5
    return Face(box_xyxy=np.asarray(box_xyxy, np.float32), score=score, points5=five, **values)


def result(*faces: Face) -> FrameResult:
    return FrameResult(Frame(np.zeros((2, 2, 3), np.uint8)), tuple(faces))


class FakeAnalyzer:
    """Answers with what `answer` makes of the picture, and notes how it was asked."""

    def __init__(self, answer: Callable[[np.ndarray], FrameResult]) -> None:
        self._answer = answer
        self.asked: list[tuple[tuple[int, ...], Any, Any]] = []

    def image(self, image: np.ndarray, boxes: Any = None, tasks: Any = None) -> FrameResult:
        self.asked.append((image.shape, boxes, tasks))
        return self._answer(image)

"""Painted faces, and a detector and an engine that can see nothing else.

A painted face is five dots, one colour each, on a grey disc. The engine finds the dots in its crop, so a wrong
crop, a wrong matrix or a mixed-up track shows as points in the wrong place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from rtface.detect import Detections
from rtface.geometry.crop import crop_from_points5, frame_to_crop_matrix, map_points

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
TEMPLATE = np.array([[-1, -1], [1, -1], [0, 0], [-0.7, 1], [0.7, 1]], np.float32)
EXPECTED = map_points(frame_to_crop_matrix(crop_from_points5(TEMPLATE)), TEMPLATE)
REACH = 32  # px of the crop
OUTPUTS = ("landmarks", "parsing", "emotion", "pose", "face", "quality")


class Painted(NamedTuple):
    """A face centred at x, y whose eyes are 2 × `half` px apart."""

    x: float
    y: float
    half: float = 30.0

    @property
    def points5(self) -> np.ndarray:
        return (TEMPLATE * self.half + (self.x, self.y)).astype(np.float32)

    @property
    def box(self) -> np.ndarray:
        h = 2 * self.half
        return np.array([self.x - h, self.y - h, self.x + h, self.y + h], np.float32)


def paint(faces: Iterable[Painted], width: int = 640, height: int = 480) -> np.ndarray:
    """A picture of the faces; later ones hide earlier ones."""
    image = np.zeros((height, width, 3), np.uint8)
    for face in faces:
        cv2.circle(image, (round(face.x), round(face.y)), round(2 * face.half), (90, 90, 90), -1)
        for (x, y), colour in zip(face.points5, COLOURS, strict=True):
            cv2.circle(image, (round(16 * x), round(16 * y)), round(16 * 0.3 * face.half), colour, -1, shift=4)
    return image


class FakeDetector:
    """Answers with the faces it was told; counts its calls."""

    def __init__(self, faces: Sequence[Painted] = ()) -> None:
        self.faces = list(faces)
        self.calls = 0

    def detect(self, image: np.ndarray, *, still: bool = False) -> Detections:
        self.calls += 1
        if not self.faces:
            return Detections.none()
        return Detections(
            boxes_xyxy=np.stack([face.box for face in self.faces]),
            scores=np.full(len(self.faces), 0.9, np.float32),
            points5=np.stack([face.points5 for face in self.faces]),
            pose=np.zeros((len(self.faces), 3), np.float32),
        )


class FakeEngine:
    """Sees the five dots near the middle of each crop; `batches` are the lengths of the calls, `names` the last's."""

    outputs = OUTPUTS
    prunes = True

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.names: tuple[str, ...] = ()
        self.closed = False

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        assert batch.dtype == np.uint8 and batch.shape[1:] in ((128, 128, 3), (96, 96, 3))
        self.batches.append(len(batch))
        self.names = tuple(names)
        seen = [_see(crop) for crop in batch]
        count = len(batch)
        everything = {
            "landmarks": np.stack([points for points, _ in seen]),
            "parsing": np.where(batch.any(axis=3), 1, 0).astype(np.uint8),
            "emotion": np.tile(np.array([0.1, 0.65, 0.05, 0.05, 0.05, 0.04, 0.03, 0.03], np.float32), (count, 1)),
            "pose": np.tile(np.array([12, -5, 2], np.float32), (count, 1)),
            "face": np.array([face for _, face in seen], np.float32),
            "quality": np.full(count, 0.8, np.float32),
        }
        return {name: everything[name] for name in names}

    def describe(self) -> dict[str, str | int]:
        return {"engine": "fake"}

    def close(self) -> None:
        self.closed = True


class FakeClock:
    """A clock that moves when told, and by `tick` at every look."""

    def __init__(self, tick: float = 0.0) -> None:
        self.time, self.tick = 100.0, tick

    def now(self) -> float:
        self.time += self.tick
        return self.time

    def wait(self, stop: object, seconds: float) -> bool:
        self.time += seconds
        return False


def _see(crop: np.ndarray) -> tuple[np.ndarray, float]:
    points, scale = np.full((68, 2), 63.5, np.float32), 128 / len(crop)
    five = np.empty((5, 2), np.float32)
    missing = 0
    rows, columns = (np.mgrid[: len(crop), : len(crop)] + 0.5) * scale - 0.5
    for index, (colour, expected) in enumerate(zip(COLOURS, EXPECTED, strict=True)):
        alike = (np.abs(crop.astype(int) - colour).max(axis=2) < 60) & (
            np.hypot(columns - expected[0], rows - expected[1]) < REACH
        )
        missing += not alike.any()
        five[index] = (columns[alike].mean(), rows[alike].mean()) if alike.any() else expected
    points[36:42], points[42:48] = five[0], five[1]
    points[[30, 48, 54]] = five[2:]
    return (points + 0.5) / scale - 0.5, 1.0 - missing / 5

"""Fakes for the tests of programs that use rtface: a camera, the networks, and a clock that moves when told.

A painted face is five dots, one colour each, on a grey disc. ``FakeEngine`` finds the dots in its crop, so a wrong
crop, a wrong matrix or a mixed-up track shows as points in the wrong place. No weights are read, nothing sleeps.

Example:
    >>> import rtface
    >>> from rtface.testing import FakeCamera, FakeDetector, FakeEngine, Painted
    >>> face = Painted(320, 240)
    >>> with (
    ...     rtface.Analyzer(detector=FakeDetector([face]), engine=FakeEngine()) as analyzer,
    ...     rtface.Stream(FakeCamera([face], frames=2), live=False, analyzer=analyzer) as stream,
    ... ):
    ...     [face.emotion.label for result in stream for face in result]
    ['happiness', 'happiness']
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.capture.source import Source
from rtface.detect import Detections
from rtface.errors import SourceError
from rtface.geometry.crop import crop_from_points5, frame_to_crop_matrix, map_points
from rtface.system.clock import Clock
from rtface.types import Frame

__all__ = ["COLOURS", "FakeCamera", "FakeClock", "FakeDetector", "FakeEngine", "Painted", "paint"]

Array = NDArray[Any]

COLOURS = ((255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255))
"""BGR of a painted face's five dots, in their order."""
_TEMPLATE = np.array([[-1, -1], [1, -1], [0, 0], [-0.7, 1], [0.7, 1]], np.float32)
_EXPECTED = map_points(frame_to_crop_matrix(crop_from_points5(_TEMPLATE)), _TEMPLATE)
_REACH = 32  # px of the crop


class Painted(NamedTuple):
    """A face centred at x, y whose eyes are 2 × `half` px apart."""

    x: float
    y: float
    half: float = 30.0

    @property
    def points5(self) -> Array:
        """(5, 2) float32 px: where its dots are."""
        return (_TEMPLATE * self.half + (self.x, self.y)).astype(np.float32)

    @property
    def box(self) -> Array:
        """(4,) float32 x0 y0 x1 y1 px."""
        h = 2 * self.half
        return np.array([self.x - h, self.y - h, self.x + h, self.y + h], np.float32)


def paint(faces: Iterable[Painted], width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    """A picture (height, width, 3) uint8 BGR of the faces; later ones hide earlier ones."""
    image = np.zeros((height, width, 3), np.uint8)
    for face in faces:
        cv2.circle(image, (round(face.x), round(face.y)), round(2 * face.half), (90, 90, 90), -1)
        for (x, y), colour in zip(face.points5, COLOURS, strict=True):
            cv2.circle(image, (round(16 * x), round(16 * y)), round(16 * 0.3 * face.half), colour, -1, shift=4)
    return image


class FakeCamera(Source):
    """A source of painted faces, or of pictures of your own.

    Args:
        faces: What every frame shows.
        pictures: (H, W, 3) uint8 BGR each, instead; the frames are these, one after the other.
        frames: Ends after so many; None = never, or with the last of `pictures`.
        fps: Frames a second: their `media_time` where it is not `live`, their stamps where there is a `clock`.
        live: The newest frame wins, as with a camera; else every frame is analysed, which is what most tests want.
        clock: Stamps the frames, `1 / fps` apart from the first read on; None = they are stamped when they are taken.
        fails_at: The number of the frame at which it breaks off with a SourceError; None = it does not.

    Attributes:
        given: Frames that were read.
        closed: It was closed.
    """

    name = "fake camera"

    def __init__(
        self,
        faces: Sequence[Painted] = (),
        *,
        pictures: Sequence[Array] | None = None,
        frames: int | None = None,
        fps: float = 25.0,
        live: bool = False,
        clock: Clock | None = None,
        fails_at: int | None = None,
    ) -> None:
        self._pictures = [paint(faces)] if pictures is None else list(pictures)
        if frames is None and pictures is not None:
            frames = len(self._pictures)
        self.frame_count, self.fps, self.live = frames, fps, live
        height, width = self._pictures[0].shape[:2]
        self.size_wh = (width, height)
        self._clock, self._fails_at = clock, fails_at
        self._began: float | None = None
        self.given = 0
        self.closed = False

    def read(self) -> Frame | None:
        index = self.given
        if index == self._fails_at:
            raise SourceError(self.name, "broke off", "It was told to")
        if index == self.frame_count:
            return None
        self.given += 1
        media_time = None if self.live else index / (self.fps or 25.0)
        return Frame(self._pictures[index % len(self._pictures)], index, self._stamp(index), media_time)

    def _stamp(self, index: int) -> float | None:
        if self._clock is None:
            return None
        if self._began is None:
            self._began = self._clock.now()
        return self._began + index / (self.fps or 25.0)

    def close(self) -> None:
        self.closed = True


class FakeDetector:
    """Answers with the faces it was told; counts its `calls`. Change `faces` between two frames as you like.

    Args:
        faces: What it finds in every picture; or what tells the faces of a picture, where several cameras show others.

    Attributes:
        calls: Pictures that it looked at.
        batches: The lengths of the calls with pictures of several cameras.
    """

    def __init__(self, faces: Sequence[Painted] | Callable[[Array], Sequence[Painted]] = ()) -> None:
        self.faces = faces if callable(faces) else list(faces)
        self.calls = 0
        self.batches: list[int] = []

    def detect(self, image: Array, *, still: bool = False) -> Detections:
        """`faces`, whatever the picture shows."""
        self.calls += 1
        faces = self.faces(image) if callable(self.faces) else self.faces
        if not faces:
            return Detections.none()
        return Detections(
            boxes_xyxy=np.stack([face.box for face in faces]),
            scores=np.full(len(faces), 0.9, np.float32),
            points5=np.stack([face.points5 for face in faces]),
            pose=np.zeros((len(faces), 3), np.float32),
        )

    def detect_batch(self, images: Sequence[Array]) -> list[Detections]:
        """As `detect` of each."""
        self.batches.append(len(images))
        return [self.detect(image) for image in images]


class FakeEngine:
    """Sees the five dots near the middle of each crop; every face is happy and turned by (12, -5, 2)°.

    Attributes:
        prunes: It is taken for one that computes only the outputs that are asked for.
        batches: The lengths of the calls so far.
        names: The outputs that the last call asked for.
        closed: It was closed.
    """

    outputs: tuple[str, ...] = ("landmarks", "parsing", "emotion", "pose", "face", "quality")
    prunes = True

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.names: tuple[str, ...] = ()
        self.closed = False

    def run(self, batch: NDArray[np.uint8], names: Sequence[str]) -> dict[str, Array]:
        """Answers by name for crops (N, 128, 128, 3) or (N, 96, 96, 3) uint8 BGR."""
        if batch.dtype != np.uint8 or batch.shape[1:] not in ((128, 128, 3), (96, 96, 3)):
            raise AssertionError(f"expected crops (N, 128 or 96, …, 3) uint8, got {batch.shape} {batch.dtype}")
        self.batches.append(len(batch))
        self.names = tuple(names)
        seen = [_see(crop) for crop in batch]
        count = len(batch)
        everything: dict[str, Array] = {
            "landmarks": np.stack([points for points, _ in seen]),
            "parsing": np.where(batch.any(axis=3), 1, 0).astype(np.uint8),
            "emotion": np.tile(np.array([0.1, 0.65, 0.05, 0.05, 0.05, 0.04, 0.03, 0.03], np.float32), (count, 1)),
            "pose": np.tile(np.array([12, -5, 2], np.float32), (count, 1)),
            "face": np.array([face for _, face in seen], np.float32),
            "quality": np.full(count, 0.8, np.float32),
        }
        return {name: everything[name] for name in names}

    def describe(self) -> dict[str, str | int]:
        """What runs: a fake."""
        return {"engine": "fake"}

    def close(self) -> None:
        """Note that it was closed."""
        self.closed = True


class FakeClock:
    """A clock at 100 s that moves when told: set `time`, or let `tick` move it at each look. Waits take no time."""

    def __init__(self, tick: float = 0.0) -> None:
        self.time, self.tick = 100.0, tick

    def now(self) -> float:
        """Seconds."""
        self.time += self.tick
        return self.time

    def wait(self, stop: threading.Event, seconds: float) -> bool:
        """`seconds` go by at once."""
        self.time += seconds
        return False


def _see(crop: NDArray[np.uint8]) -> tuple[Array, float]:
    points, scale = np.full((68, 2), 63.5, np.float32), 128 / len(crop)
    five = np.empty((5, 2), np.float32)
    missing = 0
    rows, columns = (np.mgrid[: len(crop), : len(crop)] + 0.5) * scale - 0.5
    for index, (colour, expected) in enumerate(zip(COLOURS, _EXPECTED, strict=True)):
        alike = (np.abs(crop.astype(int) - colour).max(axis=2) < 60) & (
            np.hypot(columns - expected[0], rows - expected[1]) < _REACH
        )
        missing += not alike.any()
        five[index] = (columns[alike].mean(), rows[alike].mean()) if alike.any() else expected
    points[36:42], points[42:48] = five[0], five[1]
    points[[30, 48, 54]] = five[2:]
    return (points + 0.5) / scale - 0.5, 1.0 - missing / 5

"""Pictures for a simulated camera: a clip's face, once or several times in a frame, with bursts of more and fewer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.capture.open import open_source
from rtface.errors import InputError

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 640, 480

CLIP_FRAMES = 100
"""Frames of the clip that are kept, played to and fro so that nothing jumps: 90 MB at 640x480."""

MOST_FACES = 9
GREY = 128


@dataclass(frozen=True, slots=True)
class Bursts:
    """How many faces there are: each count for `seconds`, then the next, and again from the first."""

    counts: tuple[int, ...] = (1,)
    seconds: float = 3.0

    def at(self, time: float) -> int:
        """Faces at `time` seconds."""
        return self.counts[int(time / self.seconds) % len(self.counts)]


def parse_bursts(text: str, seconds: float = 3.0) -> Bursts:
    """Counts from ``3``, ``0,1,8`` or ``0..8``.

    Raises:
        InputError: They are not numbers from 0 to 9.
    """
    first, dots, last = text.partition("..")
    try:
        counts = range(int(first), int(last) + 1) if dots else [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or not all(0 <= count <= MOST_FACES for count in counts):
        raise InputError("faces", f"expected numbers from 0 to {MOST_FACES}, got {text!r}", "Write 3, 0,1,8 or 0..8")
    return Bursts(tuple(counts), seconds)


class Scene:
    """Frames (480, 640, 3) with as many faces as are asked for: a clip in the cells of a grid, and grey where none is.

    Args:
        clip: Frames that each show one face.
    """

    def __init__(self, clip: Sequence[Image]) -> None:
        self._clips: dict[int, list[Image]] = {}
        self._clip = clip

    def frame(self, index: int, faces: int) -> Image:
        """Frame number `index` with so many faces, each at another place of the clip; a new array."""
        if faces == 1:
            return np.array(self._cells(1)[self._turn(index)], np.uint8)
        side = max(1, math.ceil(math.sqrt(faces)))
        picture = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
        cells = self._cells(side)
        for cell in range(faces):
            image = cells[self._turn(index + cell * len(self._clip) // faces)]
            y, x = (cell // side) * image.shape[0], (cell % side) * image.shape[1]
            picture[y : y + image.shape[0], x : x + image.shape[1]] = image
        return picture

    def _turn(self, index: int) -> int:
        """To the end of the clip and back."""
        last = max(len(self._clip) - 1, 1)
        return min(last - abs(index % (2 * last) - last), len(self._clip) - 1)

    def _cells(self, side: int) -> list[Image]:
        if side not in self._clips:
            size = (WIDTH // side, HEIGHT // side)
            self._clips[side] = [
                np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8) for image in self._clip
            ]
        return self._clips[side]

    def warm(self, counts: Sequence[int]) -> None:
        """Shrink the clip for these numbers of faces now, not while the camera runs."""
        for count in counts:
            self.frame(0, count)


def scene_of(clip: str) -> Scene:
    """The scene of a video's first frames.

    Raises:
        SourceError: It cannot be opened.
    """
    frames: list[Image] = []
    with open_source(clip) as source:
        while len(frames) < CLIP_FRAMES and (frame := source.read()) is not None:
            frames.append(np.asarray(frame.image, np.uint8))
    return Scene(frames)

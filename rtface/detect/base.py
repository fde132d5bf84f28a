"""What a detector answers, and what the pipeline asks of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Faces of one picture, best score first; px of the picture.

    Attributes:
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32, 0..1.
        points5: (N, 5, 2) float32: eye left in the image, eye right, nose, mouth left, mouth right.
        pose: (N, 3) float32, degrees: yaw, pitch, roll.
    """

    boxes_xyxy: Floats
    scores: Floats
    points5: Floats
    pose: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Detections:
        return Detections(self.boxes_xyxy[rows], self.scores[rows], self.points5[rows], self.pose[rows])

    @classmethod
    def none(cls) -> Detections:
        """No face at all."""
        shapes = ((0, 4), (0,), (0, 5, 2), (0, 3))
        return cls(*(np.empty(shape, np.float32) for shape in shapes))


class Detector(Protocol):
    """Finds faces in a whole picture; used by one thread at a time."""

    def detect(self, image: NDArray[np.uint8], *, still: bool = False) -> Detections:
        """Faces of `image` (H, W, 3) BGR; `still` allows more time for small and for odd framings.

        Raises:
            EngineError: the network cannot run.
        """

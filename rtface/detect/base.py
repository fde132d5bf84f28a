"""What a detector answers, and what the pipeline asks of one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rtface.errors import InputError

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Faces of one picture, best score first; px of the picture.

    Attributes:
        boxes_xyxy: (N, 4) float32.
        scores: (N,) float32, 0..1.
        points5: (N, 5, 2) float32: eye left in the image, eye right, nose, mouth left, mouth right.
        pose: (N, 3) float32, degrees: yaw, pitch, roll.
        possible_xyxy: (M, 4) float32, everything that may be a face, those above among it: also what scored too low
            to be one, is too small, or is beyond the most faces. For blurring; None = was not asked for.
    """

    boxes_xyxy: Floats
    scores: Floats
    points5: Floats
    pose: Floats
    possible_xyxy: Floats | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[Any] | slice) -> Detections:
        return Detections(self.boxes_xyxy[rows], self.scores[rows], self.points5[rows], self.pose[rows])

    @classmethod
    def none(cls) -> Detections:
        """No face at all."""
        shapes = ((0, 4), (0,), (0, 5, 2), (0, 3))
        return cls(*(np.empty(shape, np.float32) for shape in shapes))

    @staticmethod
    def from_boxes(boxes: Sequence[Any] | NDArray[Any]) -> Detections:
        """Boxes (N, 4) x0 y0 x1 y1, px, as detections with a score of 1 and without points.

        Raises:
            InputError: They are not N boxes of finite numbers with x0 < x1 and y0 < y1.
        """
        mend = "Pass boxes=[[x0, y0, x1, y1], …] in px of the image"
        try:
            with np.errstate(over="ignore"):  # infinity, which is refused below
                array = np.asarray(boxes, np.float32)
        except (TypeError, ValueError, OverflowError) as error:
            raise InputError("boxes", f"expected numbers of shape (N, 4), got {boxes!r:.60}", mend) from error
        if array.size == 0:
            return Detections.none()
        if array.ndim != 2 or array.shape[1] != 4:
            raise InputError("boxes", f"expected shape (N, 4), got {array.shape}", mend)
        wrong = ~(np.isfinite(array).all(axis=1) & (array[:, 2:] > array[:, :2]).all(axis=1))
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(f"boxes[{row}]", f"expected finite x0 < x1 and y0 < y1, got {array[row].tolist()}", mend)
        count = len(array)
        unknown = np.full((count, 5, 2), np.nan, np.float32)
        return Detections(array, np.ones(count, np.float32), unknown, np.full((count, 3), np.nan, np.float32))


class Detector(Protocol):
    """Finds faces in a whole picture; used by one thread at a time."""

    def detect(self, image: NDArray[np.uint8], *, still: bool = False) -> Detections:
        """Faces of `image` (H, W, 3) BGR; `still` allows more time for small and for odd framings.

        Raises:
            EngineError: the network cannot run.
        """


@runtime_checkable
class BatchDetector(Protocol):
    """A detector that looks at frames of several streams in one call."""

    def detect_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """As `Detector.detect` of each, in their order.

        Raises:
            EngineError: the network cannot run.
        """


@runtime_checkable
class LaterDetector(Protocol):
    """A detector that can look beside what else is done, on a GPU; its answer is read at the stream's next frame."""

    def begin_detect(self, image: NDArray[np.uint8]) -> Callable[[], Detections] | None:
        """Begin to look for the faces of a stream's frame (H, W, 3) BGR, which may be written to again at once.

        Returns:
            What waits for the answer, and gives it; None = that cannot be had now.

        Raises:
            EngineError: the network cannot run.
        """


@runtime_checkable
class UprightDetector(Protocol):
    """A detector that can tell which way up faces are; where an engine looks at them, that tells."""

    def uprighted(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Faces that were found in a still, with points of the way up that each is.

        Raises:
            EngineError: the network cannot run.
        """

"""The MOS-style detector around its network: lay the picture out, read the cells, keep the best boxes.

The network (after Liu et al., "MOS: A Low Latency and Lightweight Framework for Face Detection, Landmark Localization,
and Head Pose Estimation", BMVC 2021) decodes its anchors in the graph; here is what follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.detect.base import Detections
from rtface.detect.letterbox import Pass, View, still_passes, stream_view
from rtface.detect.second_look import second_scores, uprighted
from rtface.geometry.boxes import nms, voted

Forward = Callable[[NDArray[np.uint8]], NDArray[Any]]
"""Network: (N, H, W, 3) uint8 BGR, H and W multiples of 32 → (N, cells, 18) float32.

A cell's row: x0 y0 x1 y1, score, five points x y, yaw, pitch, roll; px of the input, degrees.
"""

Begin = Callable[[NDArray[np.uint8]], Callable[[], NDArray[Any]]]
"""Begins the network on a canvas that may be written to again at once; gives what waits for its answer."""

CANDIDATES = 1000
"""Most cells that enter suppression, best first; a crowd at a low threshold lights up thousands."""

VOTE_IOU = 0.7
"""Cells whose boxes overlap a kept one by this much tell of the same face: its box is their mean."""


BEST_PX, SIZE_DOUBT = 100.0, 0.11
"""The network is at its best with faces of the first, in px of its input; what its logit loses with the square of each
doubling or halving from there."""

VIEWS = 8
"""Sizes of frames of several streams whose canvases are kept."""

POSSIBLE_SCORE = 0.1
"""What scores less is no face to the detector at its lowest."""

POSSIBLE_PX = 8.0
"""Smallest side of what may be a face."""

POSSIBLE_IOU = 0.7
"""Boxes that may be faces overlap: two heads, one behind the other, are both blurred."""


class _Bar(NamedTuple):
    score: float
    faces: int


class MosDetector:
    """Faces of whole pictures; implements `Detector`.

    Args:
        forward: The network.
        stream_px: Longer side in px at which a frame of a stream is seen.
        still_px: Longer side in px at which a still is seen first.
        score_threshold, still_score_threshold: Cells below this score are no faces, in a stream and in a still.
        nms_iou: Boxes that overlap a better one by more than this IoU are dropped.
        min_face_px: Faces whose longer side is below this, in px of the picture, are dropped.
        max_faces, still_max_faces: Most faces returned, of a stream's frame and of a still.
        possible: Also tell of everything that may be a face (`Detections.possible_xyxy`).
        begin: Tells what begins the network without waiting for it; None, or telling None, = nothing does.
        prepare: Gets the network ready for a stream.
        close: Gives the network's memory and threads back.
    """

    def __init__(
        self,
        forward: Forward,
        *,
        stream_px: int = 320,
        still_px: int = 640,
        score_threshold: float = 0.5,
        still_score_threshold: float = 0.3,
        nms_iou: float = 0.5,
        min_face_px: float = 16,
        max_faces: int = 8,
        still_max_faces: int = 256,
        possible: bool = False,
        begin: Callable[[], Begin | None] = lambda: None,
        prepare: Callable[[], None] = lambda: None,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._forward, self._prepare, self.close = forward, prepare, close
        self._stream_px, self._still_px = stream_px, still_px
        self._stream = _Bar(score_threshold, max_faces)
        self._still = _Bar(still_score_threshold, still_max_faces)
        self._nms_iou, self._min_face_px = nms_iou, min_face_px
        self._possible, self._begin = possible, begin
        self._canvases: dict[View, NDArray[np.uint8]] = {}
        self._view: View | None = None
        self._canvas = np.zeros((1, 0, 0, 3), np.uint8)

    def prepare(self, *names: Sequence[str]) -> None:
        """A stream is about to begin.

        Raises:
            EngineError: the network cannot be opened.
        """
        self._prepare()

    def detect(self, image: NDArray[np.uint8], *, still: bool = False) -> Detections:
        """Faces of `image` (H, W, 3) BGR, best score first; `still` tries further views until one shows a face.

        Raises:
            EngineError: the network cannot run.
        """
        found = Detections.none()
        bar = self._still if still else self._stream
        for group in self._groups(image, still):
            read = [
                self._read(self._forward(self._letterboxed(image, look.view))[0], look, bar.score) for look in group
            ]
            found = self._best(read[0] if len(read) == 1 else np.concatenate(read), bar)
            if len(found):
                break
        return self._again(image, found) if still else found

    def begin_detect(self, image: NDArray[np.uint8]) -> Callable[[], Detections] | None:
        """Begin to look for the faces of a stream's frame; what waits for the answer. None = the network cannot now.

        Raises:
            EngineError: the network cannot run.
        """
        begin = self._begin()
        if begin is None:
            return None
        look = Pass(stream_view(image.shape[1], image.shape[0], self._stream_px))
        answer = begin(self._letterboxed(image, look.view))
        return lambda: self._best(self._read(answer()[0], look, self._stream.score), self._stream)

    def _again(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Faces of a still, the doubtful ones with what a second look says of them. Which stay is decided by the
        engine's opinion and this together (`Options.still_min_confidence`)."""
        scores = second_scores(image, found.boxes_xyxy, found.scores, self._forward)
        order = np.argsort(-scores, kind="stable")
        return replace(found[order], scores=scores[order], possible_xyxy=found.possible_xyxy)

    def uprighted(self, image: NDArray[np.uint8], found: Detections) -> Detections:
        """Faces that were found in a still, with points of the way up that each is.

        Raises:
            EngineError: the network cannot run.
        """
        return uprighted(image, found, self._forward)

    def detect_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[Detections]:
        """Faces of frames of several streams: those that fill the same canvas go through the network together.

        Raises:
            EngineError: the network cannot run.
        """
        views = [stream_view(image.shape[1], image.shape[0], self._stream_px) for image in images]
        found = [Detections.none()] * len(images)
        for view in dict.fromkeys(views):
            rows = [row for row, other in enumerate(views) if other == view]
            canvases = self._canvases_for(view, len(rows))
            for canvas, row in zip(canvases, rows, strict=True):
                view.letterbox(images[row], canvas)
            for cells, row in zip(self._forward(canvases), rows, strict=True):
                found[row] = self._best(self._read(cells, Pass(view), self._stream.score), self._stream)
        return found

    def _canvases_for(self, view: View, count: int) -> NDArray[np.uint8]:
        """So many canvases, kept between calls; their black margins are drawn once."""
        kept = self._canvases.get(view)
        if kept is None or len(kept) < count:
            if len(self._canvases) >= VIEWS:
                self._canvases.clear()
            kept = self._canvases[view] = np.zeros((count, view.canvas_height, view.canvas_width, 3), np.uint8)
        return kept[:count]

    def _groups(self, image: NDArray[np.uint8], still: bool) -> Iterable[tuple[Pass, ...]]:
        height, width = image.shape[:2]
        if still:
            return still_passes(width, height, self._still_px)
        return ((Pass(stream_view(width, height, self._stream_px)),),)

    def _read(self, rows: NDArray[np.float32], look: Pass, score: float) -> NDArray[np.float32]:
        """Of the network's rows for one view those that can be faces, in px of the picture."""
        view = look.view
        rows = rows[rows[:, 4] >= (min(score, POSSIBLE_SCORE) if self._possible else score)]
        if len(rows) > CANDIDATES:
            rows = rows[np.argpartition(-rows[:, 4], CANDIDATES)[:CANDIDATES]]
        sides = (rows[:, 2:4] - rows[:, :2]).max(axis=1, initial=0.0)
        least_px = min(self._min_face_px, POSSIBLE_PX) if self._possible else self._min_face_px
        smallest = max(look.smallest, least_px * view.scale_x)
        believed = (sides >= smallest) & (sides <= look.largest)
        rows, sides = rows[believed], sides[believed]
        rows[:, 4] = doubted(rows[:, 4], sides)
        if not self._possible:
            rows = rows[rows[:, 4] >= score]
        rows[:, :4] = view.to_picture(rows[:, :4].reshape(-1, 2, 2)).reshape(-1, 4)
        rows[:, 5:15] = view.to_picture(rows[:, 5:15].reshape(-1, 5, 2)).reshape(-1, 10)
        return rows

    def _best(self, rows: NDArray[np.float32], bar: _Bar) -> Detections:
        possible = None
        if self._possible:
            possible = rows[nms(rows[:, :4], rows[:, 4], POSSIBLE_IOU, CANDIDATES), :4]
            sides = (rows[:, 2:4] - rows[:, :2]).max(axis=1, initial=0.0)
            rows = rows[(rows[:, 4] >= bar.score) & (sides >= self._min_face_px)]
        kept = nms(rows[:, :4], rows[:, 4], self._nms_iou, bar.faces)
        boxes, rows = voted(rows[:, :4], rows[:, 4], kept, VOTE_IOU), rows[kept]
        return Detections(boxes, rows[:, 4], rows[:, 5:15].reshape(-1, 5, 2), rows[:, 15:18], possible)

    def _letterboxed(self, image: NDArray[np.uint8], view: View) -> NDArray[np.uint8]:
        if view != self._view:  # a stream keeps its canvas; its black margin is drawn once
            self._canvas = np.zeros((1, view.canvas_height, view.canvas_width, 3), np.uint8)
            self._view = view
        view.letterbox(image, self._canvas[0])
        return self._canvas


def doubted(scores: NDArray[np.float32], sides: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scores (N,) of boxes whose longer sides (N,) are these, px of the network's input: less for unusual sizes.

    The pyramid has the more cells the finer it is, and pictures more that might be a small face than might be a large
    one; a score by itself does not know that. Fitted on WIDER's training pictures: of detections that score .5, one in
    four is right at 20 px, seven in ten at 100.
    """
    doublings = np.log2(np.maximum(sides, 1.0) / BEST_PX)
    against = (1.0 - scores) * np.exp(SIZE_DOUBT * doublings * doublings)
    return (scores / (scores + against)).astype(np.float32, copy=False)

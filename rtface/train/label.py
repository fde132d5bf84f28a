"""Labels by the own networks at their best, to train the next network on (self-training).

Each face is looked at ten times: at five scales and turns, and each in the mirror. Points and pose are the looks'
mean; how far the looks lie apart says how much a label is worth, and is written beside it. A pixel of the mask is the
class that most looks gave it, and unknown (255) where fewer than `SURE` of them agree or where no face's crop is.
Emotion is left to `rtface train teacher`, which is better at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import SourceError, require
from rtface.formats.masks import UNKNOWN
from rtface.formats.record import FaceRecord, Record, face_of_landmarks
from rtface.tasks import landmarks, parsing, pose
from rtface.tasks.crop import Crop, crop_from_landmarks, crop_to_frame_matrix, frame_to_crop_matrix, warp_crops
from rtface.tasks.looks import Look, mirrored, unmirrored
from rtface.types import PARSING_CLASSES, Face, FrameResult

Array = NDArray[Any]

SOURCE = "own"
LOOKS = tuple(
    Look(scale, turn, mirror)
    for scale, turn in ((1.0, 0.0), (0.9, 6.0), (0.9, -6.0), (1.1, 6.0), (1.1, -6.0))
    for mirror in (False, True)
)
SURE = 0.7  # share of the looks that must give a pixel the same class
GRID = 256  # px a side on which a face's looks are counted
_OUTPUTS = (landmarks.OUTPUT, parsing.OUTPUT, pose.OUTPUT)


class Networks(Protocol):
    """What labels: `rtface.Analyzer`."""

    engine: Any

    def image(self, image: Any, boxes: Any = None, tasks: Any = None) -> FrameResult:
        """Faces of a picture."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """Labels records; see the module.

    Attributes:
        networks: Find and read the faces.
        min_quality: Faces of less `Face.quality` get no label.
        max_spread: Nor do those whose looks lie further apart, % of the outer eye corners' distance.
    """

    networks: Networks
    min_quality: float = 0.5
    max_spread: float = 4.0

    def __call__(self, record: Record) -> Record | None:
        """The record with own labels in place of its own, or None where no face is sure enough.

        Raises:
            SourceError: The picture is missing or does not decode.
        """
        image, _ = replace(record, mask=None).load()
        seen = self.networks.image(image, tasks=("landmarks",)).faces
        faces = [face for face in seen if face.landmarks is not None and (face.quality or 0.0) >= self.min_quality]
        crops = [crop_from_landmarks(face.landmarks.points) for face in faces if face.landmarks is not None]
        sure = []
        mask: Array = np.full(image.shape[:2], UNKNOWN, np.uint8)
        for face, crop in zip(faces, crops, strict=True):
            points, turned, votes = self._looks(image, crop)
            label = _face(face, points, turned)
            if (label.landmarks68_spread or 0.0) <= self.max_spread:
                sure.append(label)
                _paint(mask, votes, crop)
        if not sure:
            return None
        return replace(
            record,
            faces=tuple(sure),
            mask=lambda: mask,
            parsing_scheme="celebamask19",
            parsing_source=SOURCE,
            emotion_votes=None,
            pose_class=None,
        )

    def _looks(self, image: Array, crop: Crop) -> tuple[Array, Array, Array]:
        """All looks at a face: points (L, 68, 2) px, pose (L, 3) degrees, votes (C, GRID, GRID) of the classes."""
        cuts = [look.crops([crop])[0] for look in LOOKS]
        answers = self._ask(image, cuts)
        to_frame = np.array([crop_to_frame_matrix(cut) for cut in cuts])
        points = landmarks.in_frame(answers[landmarks.OUTPUT], to_frame)
        poses = pose.poses(answers[pose.OUTPUT], [cut.roll for cut in cuts])
        turned = np.array([(one.yaw, one.pitch, one.roll) for one in poses])
        return points, turned, _votes(answers[parsing.OUTPUT], to_frame, crop)

    def _ask(self, image: Array, cuts: Sequence[Crop]) -> dict[str, Array]:
        """The engine's answers, (L, …) by name, in the order of `LOOKS`."""
        crops = warp_crops(image, cuts)
        turned = np.array([look.mirror for look in LOOKS])
        plain = self.networks.engine.run(np.ascontiguousarray(crops[~turned]), _OUTPUTS)
        mirror = unmirrored(self.networks.engine.run(mirrored(crops[turned]), _OUTPUTS))
        both = {name: np.empty((len(LOOKS), *plain[name].shape[1:]), plain[name].dtype) for name in _OUTPUTS}
        for name, values in both.items():
            values[~turned], values[turned] = plain[name], mirror[name]
        return both


def _face(face: Face, points: Array, turned: Array) -> FaceRecord:
    mean = points.mean(axis=0)
    apart = float(np.sqrt(((points - mean) ** 2).sum(axis=2).mean()))
    ocular = max(float(np.linalg.norm(mean[36] - mean[45])), 1e-6)
    # about the first look's angle, so that 179° and -179° are neighbours
    away = (turned - turned[0] + 180.0) % 360.0 - 180.0
    angles = (turned[0] + away.mean(axis=0) + 180.0) % 360.0 - 180.0
    label = face_of_landmarks(mean, SOURCE, box_xyxy=np.asarray(face.box_xyxy), box_source=SOURCE, pose=angles)
    spread = float(np.sqrt(away.var(axis=0).mean()))
    return replace(label, landmarks68_spread=100.0 * apart / ocular, pose_spread=spread)


def _votes(labels: Array, to_frame: Array, crop: Crop) -> Array:
    """How many of the looks give each pixel of a crop's grid each class."""
    to_grid = frame_to_crop_matrix(crop, GRID)
    votes = np.zeros((len(PARSING_CLASSES), GRID, GRID), np.float32)
    for seen, matrix in zip(labels, to_frame, strict=True):
        into = to_grid[:, :2] @ matrix
        into[:, 2] += to_grid[:, 2]
        for label in np.unique(seen):
            votes[label] += cv2.warpAffine((seen == label).astype(np.float32), into, (GRID, GRID))
    return votes


def _paint(mask: Array, votes: Array, crop: Crop) -> None:
    """A face's part of the picture's mask; where faces' crops meet and do not agree, the mask is unknown."""
    labels = np.where(votes.max(axis=0) >= SURE * len(LOOKS), votes.argmax(axis=0), UNKNOWN).astype(np.uint8)
    height, width = mask.shape
    into = crop_to_frame_matrix(crop, GRID)
    seen = cv2.warpAffine(np.ones_like(labels), into, (width, height), flags=cv2.INTER_NEAREST) > 0
    own = cv2.warpAffine(labels, into, (width, height), flags=cv2.INTER_NEAREST)
    free = mask == UNKNOWN
    mask[seen & free] = own[seen & free]
    mask[seen & ~free & (mask != own)] = UNKNOWN


def corpus_pictures(path: Path) -> list[Record]:
    """Pictures of a corpus file without their labels, decoded one by one; val and test are left alone.

    Raises:
        SourceError: The file is missing, damaged or no corpus file.
        UsageError: pyarrow is not installed.
    """
    parquet, arrow = require("pyarrow.parquet", "train"), require("pyarrow", "train")
    try:
        table = parquet.read_table(path, columns=["id", "source", "split", "image"])
    except (OSError, arrow.ArrowException) as error:
        raise SourceError(str(path), f"is not a corpus file that can be read ({error})", "Copy it again") from error
    rows = zip(*(table[column].to_pylist() for column in ("id", "source", "split")), strict=True)
    return [
        Record(name, source, partial(_decoded, table["image"], at, name), split="unlabelled")
        for at, (name, source, split) in enumerate(rows)
        if split not in ("val", "test")
    ]


def _decoded(images: Any, at: int, name: str) -> Array:
    data = images[at].as_py()
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        raise SourceError(name, "its bytes do not decode", "Leave the row out, or --skip-bad")
    return np.asarray(image)

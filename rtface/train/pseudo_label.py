"""Labels by the own networks at their best, to train the next network on (self-training).

Each face is looked at ten times: at five scales and turns, and each in the mirror. Points and pose are the looks'
mean; how far the looks lie apart says how much a label is worth, and is written beside it. Where a face has a mesh too,
its points are the mean of both teachers (see mesh_teacher). A pixel of the mask is the class that most looks gave it,
and unknown (255) where fewer than `SURE` of them agree or where no face's crop is. Five hand-set points of a face are
kept. Emotion is left to `rtface train teacher`, which is better at it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.datasets.labelled import FaceLabel, LabelledImage, face_of_landmarks
from rtface.datasets.masks import UNKNOWN
from rtface.geometry.crop import Crop, crop_from_landmarks, crop_to_frame_matrix, frame_to_crop_matrix, warp_crops
from rtface.labels import PARSING_CLASSES
from rtface.tasks import landmarks, parsing, pose
from rtface.tasks.tta import View, mirrored, unmirrored
from rtface.train.mesh_teacher import MeshTeacher, ocular, paired
from rtface.types import Face, FrameResult

Array = NDArray[Any]

SOURCE = "own"
BOTH = "own+mesh"
VIEWS = tuple(
    View(scale, turn, mirror)
    for scale, turn in ((1.0, 0.0), (0.9, 6.0), (0.9, -6.0), (1.1, 6.0), (1.1, -6.0))
    for mirror in (False, True)
)
SURE = 0.7  # share of the looks that must give a pixel the same class
GRID = 256  # px a side on which a face's looks are counted
_OUTPUTS = (landmarks.OUTPUT, parsing.OUTPUT, pose.OUTPUT)


def to_label(images: Iterable[LabelledImage]) -> list[LabelledImage]:
    """Pictures of a corpus whose labels may be replaced: unlabelled ones then; those to measure on are left alone."""
    return [replace(image, split="unlabelled") for image in images if image.split not in ("val", "test")]


class Networks(Protocol):
    """What labels: `rtface.Analyzer`."""

    @property
    def engine(self) -> Any:
        """What runs the multi-task network."""

    def image(self, image: Any, boxes: Any = None, tasks: Any = None) -> FrameResult:
        """Faces of a picture."""


@dataclass(frozen=True, slots=True)
class Labeller:
    """Labels records; see the module.

    Attributes:
        networks: Find and read the faces.
        min_quality: Faces of less `Face.quality` get no label.
        max_spread: Nor do those whose looks, or whose two teachers, lie further apart, % of the outer eye corners'
            distance.
        mesh: Reads the faces' meshes; None = own looks only.
    """

    networks: Networks
    min_quality: float = 0.5
    max_spread: float = 4.0
    mesh: MeshTeacher | None = None

    def __call__(self, record: LabelledImage) -> LabelledImage | None:
        """The record with these labels in place of its own, or None where no face is sure enough.

        Raises:
            SourceError: The picture is missing or does not decode.
        """
        image, _ = replace(record, mask=None).load()
        seen = self.networks.image(image, tasks=("landmarks",)).faces
        faces = [face for face in seen if face.landmarks is not None and (face.quality or 0.0) >= self.min_quality]
        crops = [crop_from_landmarks(face.landmarks.points) for face in faces if face.landmarks is not None]
        known = paired(crops, record.faces, self.mesh.to_points if self.mesh else None)
        sure = []
        mask: Array = np.full(image.shape[:2], UNKNOWN, np.uint8)
        for face, crop, before in zip(faces, crops, known, strict=True):
            points, turned, votes = self._looks(image, crop)
            label = self._face(face, points, turned, before)
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

    def _face(self, face: Face, looks: Array, turned: Array, known: FaceLabel | None) -> FaceLabel:
        """The label of a face from its looks' points (L, 68, 2) and pose (L, 3), and from what was known of it."""
        points, source = looks.mean(axis=0), SOURCE
        spread = 100.0 * float(np.sqrt(((looks - points) ** 2).sum(axis=2).mean())) / ocular(points)
        if self.mesh is not None and known is not None and known.mesh478 is not None:
            points, spread = self.mesh.together(points, spread, known.mesh478)
            source = BOTH
        angles, pose_spread = _pose(turned)
        label = face_of_landmarks(points, source, box_xyxy=np.asarray(face.box_xyxy), box_source=SOURCE, pose=angles)
        label = replace(label, landmarks68_spread=spread, pose_spread=pose_spread)
        if known is not None and known.points5 is not None and known.points5_source == "human":
            label = replace(label, points5=known.points5, points5_source="human")
        return label

    def _looks(self, image: Array, crop: Crop) -> tuple[Array, Array, Array]:
        """All looks at a face: points (L, 68, 2) px, pose (L, 3) degrees, votes (C, GRID, GRID) of the classes."""
        cuts = [look.crops([crop])[0] for look in VIEWS]
        answers = self._ask(image, cuts)
        to_frame = np.array([crop_to_frame_matrix(cut) for cut in cuts])
        points = landmarks.in_frame(answers[landmarks.OUTPUT], to_frame)
        poses = pose.poses(answers[pose.OUTPUT], [cut.roll for cut in cuts])
        turned = np.array([(one.yaw, one.pitch, one.roll) for one in poses])
        return points, turned, _votes(answers[parsing.OUTPUT], to_frame, crop)

    def _ask(self, image: Array, cuts: Sequence[Crop]) -> dict[str, Array]:
        """The engine's answers, (L, …) by name, in the order of `VIEWS`."""
        crops = warp_crops(image, cuts)
        turned = np.array([look.mirror for look in VIEWS])
        plain = self.networks.engine.run(np.ascontiguousarray(crops[~turned]), _OUTPUTS)
        mirror = unmirrored(self.networks.engine.run(mirrored(crops[turned]), _OUTPUTS))
        both = {name: np.empty((len(VIEWS), *plain[name].shape[1:]), plain[name].dtype) for name in _OUTPUTS}
        for name, values in both.items():
            values[~turned], values[turned] = plain[name], mirror[name]
        return both


def _pose(turned: Array) -> tuple[Array, float]:
    """Mean of angles (L, 3) in degrees, and how far they lie apart."""
    # about the first look's angle, so that 179° and -179° are neighbours
    away = (turned - turned[0] + 180.0) % 360.0 - 180.0
    return (turned[0] + away.mean(axis=0) + 180.0) % 360.0 - 180.0, float(np.sqrt(away.var(axis=0).mean()))


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
    labels = np.where(votes.max(axis=0) >= SURE * len(VIEWS), votes.argmax(axis=0), UNKNOWN).astype(np.uint8)
    height, width = mask.shape
    into = crop_to_frame_matrix(crop, GRID)
    seen = cv2.warpAffine(np.ones_like(labels), into, (width, height), flags=cv2.INTER_NEAREST) > 0
    own = cv2.warpAffine(labels, into, (width, height), flags=cv2.INTER_NEAREST)
    free = mask == UNKNOWN
    mask[seen & free] = own[seen & free]
    mask[seen & ~free & (mask != own)] = UNKNOWN

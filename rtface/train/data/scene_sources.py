"""What scenes are made of: pictures with boxed faces, sorted into groups, hard faces drawn more often than easy ones.

An earlier detector found 97 % of frontal faces of 40 px and more, but 80 % of half-turned ones, 66 % of profiles, 52 %
of those rolled by over 30° and 55 % of those that another face overlaps; these are drawn `HARD` times as often.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from rtface.datasets.labelled import FaceLabel
from rtface.geometry.boxes import iou_matrix
from rtface.geometry.crop import POINTS_SIDE, crop_from_points5
from rtface.train.data.pixel_cache import Picture

BOX_HEIGHT = 2.8  # detector box height over face size (larger of eye and eye-to-mouth distance): corpus median
BOX_ASPECT = 0.74
HARD = 3.0
SUREST = 0.8  # score of the teacher (SCRFD) that three in four of its faces stay below
TINY = 8.0  # px of the longer side in the picture: what is smaller is drawn seldom, since it cannot be enlarged
# A background detection counts against the net only where every face is boxed, or marked as to be ignored.
TRUSTED = (
    *("wider", "mafa", "negative", "mtfl", "celebamask", "fasseg2", "fasseg3", "utkface"),
    *("maks", "voc2007", "coco2017", "scut-head"),
)
GROUPS = {
    "wider": "crowd",
    "mafa": "masked",
    "maks": "masked",
    "mtfl": "tight",
    "voc2007": "people",
    "coco2017": "people",
    "scut-head": "people",
    "negative": "negative",
}
SHORT = ("mafa", "maks")  # boxes set by hand start at the brow there


@dataclass(slots=True)
class SceneFace:
    """A face in a picture: box centre and half axes; NaN points and pose where unknown; how often it is drawn."""

    centre: npt.NDArray[np.float64]
    half: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]  # (5, 2)
    pose: npt.NDArray[np.float64]  # (3,)
    box_weight: float
    draw: float = 1.0
    sure: float = 1.0  # 0..1, what the face's score is to be where it is framed well


@dataclass(slots=True)
class SourcePicture:
    """A picture as scenes are made of it; `trusted`: every face in it is boxed, or in an `ignore` box (K, 4)."""

    image: npt.NDArray[np.uint8]
    faces: list[SceneFace]
    trusted: bool
    group: str
    ignore: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))

    @property
    def draw(self) -> float:
        """How often it is drawn: as its hardest face."""
        return max((face.draw for face in self.faces), default=1.0)


def build_sources(pictures: Sequence[Picture]) -> dict[str, list[SourcePicture]]:
    """Pictures by group: crowd (WIDER), people, masked, portrait, tight (MTFL crops), negative."""
    groups: dict[str, list[SourcePicture]] = {}
    for picture in pictures:
        source = source_picture(picture)
        if source.faces or source.group == "negative":
            groups.setdefault(source.group, []).append(source)
    return groups


def source_picture(picture: Picture) -> SourcePicture:
    """A picture as scenes are made of it; it may show no face."""
    faces = [f for f in (_scene_face(picture.source, face) for face in picture.faces) if f is not None]
    _weigh(faces)
    group = GROUPS.get(picture.source, "portrait")
    ignore = picture.labels.ignore_xyxy.astype(np.float64)
    return SourcePicture(picture.image, faces, picture.source in TRUSTED, group, ignore)


def _scene_face(source: str, face: FaceLabel) -> SceneFace | None:
    told = face.points5 is not None and face.points5_source != "mask"  # a mask's are good to cut a crop by, no more
    points = face.points5.astype(np.float64) if told and face.points5 is not None else np.full((5, 2), np.nan)
    pose = np.full(3, np.nan) if face.pose is None else face.pose.astype(np.float64)
    if face.box_xyxy is not None:
        low, high = face.box_xyxy.astype(np.float64).reshape(2, 2)
        short = source in SHORT and face.box_source != "teacher"
        return SceneFace(
            (low + high) / 2, (high - low) / 2, points, pose, 0.3 if short else 1.0, sure=_sure(face.score)
        )
    if face.points5 is None:
        return None
    crop = crop_from_points5(face.points5)
    height = crop.side * BOX_HEIGHT / POINTS_SIDE / 2
    return SceneFace(np.array((crop.x, crop.y)), np.array((height * BOX_ASPECT, height)), points, pose, 0.4)


def _weigh(faces: Sequence[SceneFace]) -> None:
    """Set how often each face of a picture is drawn."""
    if not faces:
        return
    boxes = np.stack([np.concatenate((f.centre - f.half, f.centre + f.half)) for f in faces])
    overlap = iou_matrix(boxes, boxes)
    np.fill_diagonal(overlap, 0.0)
    for face, most in zip(faces, overlap.max(axis=1), strict=True):
        if 2 * face.half.max() < TINY:
            face.draw = 0.3
        elif most > 0.05 or is_turned(face.points):
            face.draw = HARD


def is_turned(points: npt.NDArray[np.float64]) -> bool:
    """Whether five points are of a face turned by some 35° or more to the side, or rolled by more than 30°."""
    if np.isnan(points).any():
        return False
    eyes, mouth = points[1] - points[0], (points[3] + points[4]) / 2
    up = mouth - (points[0] + points[1]) / 2
    length = float(np.linalg.norm(up))
    if length < 1e-6 or abs(float(np.degrees(np.arctan2(-up[0], up[1])))) > 30.0:
        return True
    side = np.array((up[1], -up[0])) / length  # to the picture's right of an upright face
    nose = abs(float((points[2] - (points[0] + points[1]) / 2) @ side))
    # frontal: eyes 1.0 of the eye-to-mouth distance apart, the nose between them; profile: 0 apart, the nose beside
    return bool(abs(float(eyes @ side)) < 0.62 * length or nose > 0.3 * length)


def _sure(score: float | None) -> float:
    """How sure of a face the teacher that boxed it was, beside its surest ones; of a box by hand nobody doubts."""
    return 1.0 if score is None else min(1.0, score / SUREST)

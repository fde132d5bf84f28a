"""A sheet of pictures with their labels drawn on them: looked at before anyone trains on a set.

Sides are told by colour, so that a set that names left and right the other way is seen at once: what is the SUBJECT'S
left (brow, eye, half of the jaw and mouth) is blue, the subject's right orange; on a face that looks at the camera
blue lies on the image's right. Boxes are green when people set them, yellow when they follow from something else;
ignored regions are crossed out in red. Axes are the head's: red to the image's right, green down, blue out of the nose.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.datasets.masks import face_of_mask
from rtface.drawing.marks import draw_pose
from rtface.drawing.palette import PARSING_BGRA, Colour
from rtface.drawing.tiles import TILE_PX, sheet, zoomed
from rtface.labels import EMOTIONS
from rtface.types import HeadPose

PICTURES = 30
LEFT: Colour = (255, 140, 40)
RIGHT: Colour = (40, 140, 255)
MIDDLE: Colour = (240, 240, 240)
HUMAN: Colour = (80, 220, 80)
DERIVED: Colour = (60, 220, 230)
IGNORED: Colour = (60, 60, 255)
#: Colours of FASSEG's six classes, which are not the 19's.
_FASSEG_OF_19 = np.array([0, 1, 6, 4, 2, 11], np.uint8)
#: iBUG-68 by the subject's side.
_LEFT_68 = frozenset((*range(9, 17), *range(22, 27), 34, 35, *range(42, 48), 52, 53, 54, 55, 56, 63, 64, 65))
_RIGHT_68 = frozenset((*range(8), *range(17, 22), 31, 32, *range(36, 42), 48, 49, 50, 58, 59, 60, 61, 67))
_FIVE = (RIGHT, LEFT, MIDDLE, RIGHT, LEFT)


def contact_sheet(images: Sequence[LabelledImage], count: int = PICTURES, columns: int = 6) -> Array | None:
    """A sheet (H, W, 3) BGR of `count` pictures, spread evenly over all; None when there are none.

    Raises:
        SourceError: One of these pictures, or its mask, cannot be read.
    """
    places = np.unique(np.linspace(0, len(images) - 1, min(count, len(images))).round().astype(int))
    return sheet([(drawn(images[at]), _caption(images[at])) for at in places], columns)


def drawn(labelled: LabelledImage) -> Array:
    """A picture with its labels: the whole of it, or its face when it has one.

    Raises:
        SourceError: The picture or its mask cannot be read.
    """
    image, mask = labelled.load()
    faces = list(labelled.faces)
    if mask is not None:
        image = _tinted(image, mask, labelled.parsing_scheme)
        if not faces and (face := face_of_mask(mask)) is not None:
            faces = [face]
    place = _extent(faces[0]) if len(faces) == 1 and not len(labelled.ignore_xyxy) else None
    if place is None or len(image) <= TILE_PX / 2:
        place = np.array((0, 0, image.shape[1] - 1, image.shape[0] - 1), np.float64)
        tile, matrix = zoomed(image, place, margin=0.0)
    else:
        tile, matrix = zoomed(image, place, margin=0.8)
    for box in labelled.ignore_xyxy:
        _cross(tile, _moved(box, matrix))
    for face in faces:
        _draw(tile, face, matrix)
    return tile


def _caption(labelled: LabelledImage) -> str:
    words = [labelled.split or "-", labelled.id[-24:]]
    if labelled.emotion_votes is not None:
        winner = int(np.argmax(labelled.emotion_votes))
        words.insert(0, (*EMOTIONS, "unknown", "no face")[winner])
    return " ".join(words)


def _extent(face: FaceLabel) -> Array | None:
    """(4,) what a face's labels span."""
    known = [face.landmarks68, face.points5, None if face.box_xyxy is None else face.box_xyxy.reshape(2, 2)]
    points = [np.asarray(one, np.float64) for one in known if one is not None]
    if not points:
        return None
    together = np.concatenate(points)
    return np.concatenate([together.min(axis=0), together.max(axis=0)])


def _tinted(image: Array, mask: Array, scheme: str | None) -> Array:
    labels = mask.copy()
    if scheme == "fasseg6":
        known = mask < len(_FASSEG_OF_19)
        labels[known] = _FASSEG_OF_19[mask[known]]
    tint = PARSING_BGRA[labels].astype(np.float32)
    return np.asarray((image * (1.0 - tint[..., 3:] / 255.0) + tint[..., :3]).astype(np.uint8))


def _moved(points: Array, matrix: Array) -> Array:
    pairs = np.asarray(points, np.float64).reshape(-1, 2)
    return np.asarray((pairs @ matrix[:, :2].T + matrix[:, 2]).reshape(np.shape(points)))


def _draw(tile: Array, face: FaceLabel, matrix: Array) -> None:
    if face.box_xyxy is not None:
        x0, y0, x1, y1 = np.round(_moved(face.box_xyxy, matrix)).astype(int).tolist()
        cv2.rectangle(tile, (x0, y0), (x1, y1), HUMAN if face.box_source == "human" else DERIVED, 1)
    if face.landmarks68 is not None:
        for at, (x, y) in enumerate(_moved(face.landmarks68, matrix)):
            colour = LEFT if at in _LEFT_68 else RIGHT if at in _RIGHT_68 else MIDDLE
            cv2.circle(tile, (round(x), round(y)), 2, colour, -1, cv2.LINE_AA)
    elif face.points5 is not None:
        for (x, y), colour in zip(_moved(face.points5, matrix), _FIVE, strict=True):
            if np.isfinite((x, y)).all():
                cv2.circle(tile, (round(x), round(y)), 3, colour, -1, cv2.LINE_AA)
    _draw_pose(tile, face, matrix)


def _draw_pose(tile: Array, face: FaceLabel, matrix: Array) -> None:
    extent = _extent(face)
    if extent is None or (face.pose is None and face.yaw_true is None):
        return
    yaw, pitch, roll = (0.0, 0.0, 0.0) if face.pose is None else map(float, face.pose)
    nose = face.points5[2] if face.points5 is not None else (extent[:2] + extent[2:]) / 2
    pose = HeadPose(yaw if face.yaw_true is None else face.yaw_true, pitch, roll)
    length = 0.4 * float((_moved(extent[2:], matrix) - _moved(extent[:2], matrix)).max())
    draw_pose(tile, pose, _moved(np.asarray(nose), matrix).tolist(), length, 1)


def _cross(tile: Array, box_xyxy: Array) -> None:
    x0, y0, x1, y1 = np.round(box_xyxy).astype(int).tolist()
    cv2.rectangle(tile, (x0, y0), (x1, y1), IGNORED, 1)
    cv2.line(tile, (x0, y0), (x1, y1), IGNORED, 1, cv2.LINE_AA)
    cv2.line(tile, (x0, y1), (x1, y0), IGNORED, 1, cv2.LINE_AA)

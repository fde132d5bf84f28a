"""A still's doubtful faces are looked at again, each by itself, at the size that the network knows best.

Texture looks like a face at one size, in one direction; a face still does closer, and in the mirror.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.detect.base import Detections
from rtface.geometry.boxes import iou_matrix
from rtface.geometry.crop import Crop, crop_from_points5, crop_to_frame_matrix, map_points, warp_crops

DOUBTFUL = (0.2, 0.65)
"""Scores between these are asked again. What scores more stays what it is, and saves the time."""

FACE_PX, AROUND = 64, 3
"""Longer side of the face in a second look, and how many times as wide the look is."""

SAME_IOU = 0.45
"""A cell whose box overlaps the face's by this much tells of it."""

TURNS = (0.0, 90.0, 180.0, -90.0)
"""Rolls in degrees in which a face that may not be upright is looked at."""

UPRIGHT_SCORE, UPRIGHT_ROLL = 0.8, 15.0
"""A face that scores as much, and is rolled by fewer degrees, is as it was seen: of 38 faces upside down the best
scores .74."""

ROLLED_SCORE = 0.45
"""What a face that is rolled scores at least where it is looked at with its eyes level."""

TURNED_SCORE, TURNED_GAIN = 0.5, 1.1
"""What a turned face scores at least, and how many times as much as the way it was seen at first. Of one that scores
more, but not that much more, nobody can tell."""

OFF_CENTRE = 0.4
"""Points whose middle is farther from the box's, in its sides, are another face's, or a hat's. Of faces that are turned
indeed the farthest are off by .37."""

LEAST_PX = 24
"""Which way up a smaller face is, is not asked."""


def second_scores(
    image: NDArray[np.uint8],
    boxes_xyxy: NDArray[np.float32],
    scores: NDArray[np.float32],
    forward: Callable[[NDArray[np.uint8]], NDArray[Any]],
) -> NDArray[np.float32]:
    """Scores (N,) of a picture's faces: of the doubtful ones the mean of theirs, a closer look's and its mirror's, if
    that is less. A second look can only take away.

    Args:
        image: (H, W, 3) BGR.
        boxes_xyxy: (N, 4) px, with `scores` (N,).
        forward: The network, as `rtface.detect.mos.Forward`.

    On WIDER val (250 pictures) AP is as before (faces of 16, 24, 40 px and more: 68.2, 81.6, 91.8 before, 68.4, 81.9,
    92.5 after), while of 760 enlarged pieces of garments (`benchmarks/false_faces.py --data`) 14 false faces are left
    of 30; closer (96 px) or farther (32 px) looks gave less.
    """
    better: NDArray[np.float32] = scores.copy()
    for row in np.flatnonzero((scores >= DOUBTFUL[0]) & (scores < DOUBTFUL[1])):
        look = _Look(image, boxes_xyxy[row])
        pixels = look.pixels()
        seen = [float(look.best(forward(each)[0])[4]) for each in (pixels, np.ascontiguousarray(pixels[:, :, ::-1]))]
        better[row] = min(scores[row], (scores[row] + sum(seen)) / (1 + len(seen)))
    return better


def uprighted(
    image: NDArray[np.uint8], found: Detections, forward: Callable[[NDArray[np.uint8]], NDArray[Any]]
) -> Detections:
    """The same faces, those that may be rolled, on their side or upside down with points and pose as they are.

    The network takes every face for an upright one, and its points of one that is rolled by 40° and more are coarse. It
    is looked at again with the line of its eyes level, as far as that is known, and in the other turns from there.
    Where two of these are as good as each other, points and pose are left out, NaN. On AFW (faces of 14 px and more
    between the eyes, each picture turned by 20, 45, 70, 135, 180, 225, 270 and 315°) wrong points become 12 of 982
    from 189; as the pictures stand 3 of 305 are wrong before and after, and none is turned.
    """
    points5, pose = found.points5.copy(), found.pose.copy()
    for row, box in enumerate(found.boxes_xyxy):
        roll = crop_from_points5(points5[row]).roll
        rolled = abs(roll) >= UPRIGHT_ROLL
        if max(box[2:] - box[:2]) < LEAST_PX or (found.scores[row] >= UPRIGHT_SCORE and not rolled):
            continue
        looks = [_Look(image, box, roll + turn) for turn in TURNS]
        faces = [look.face(forward(look.pixels())[0]) for look in looks]
        turn = int(np.argmax([face.score for face in faces]))
        seen, first = faces[turn], faces[0]
        if turn and seen.score >= max(TURNED_SCORE, TURNED_GAIN * first.score):
            points5[row], pose[row] = seen.points5, seen.pose
        elif turn and seen.score >= TURNED_SCORE:
            points5[row], pose[row] = np.nan, np.nan
        elif rolled and first.score >= ROLLED_SCORE:
            points5[row], pose[row] = first.points5, first.pose
    return replace(found, points5=points5, pose=pose)


class _Seen(NamedTuple):
    """A face in a look: its points (5, 2), px of the picture, and its pose (3,) there, degrees; a score of 0 = none."""

    score: float
    points5: NDArray[np.float32]
    pose: NDArray[np.float32]


class _Look:
    """A face by itself, turned upright by its `roll`, in degrees clockwise."""

    def __init__(self, image: NDArray[np.uint8], box_xyxy: NDArray[Any], roll: float = 0.0) -> None:
        x0, y0, x1, y1 = (float(v) for v in box_xyxy)
        side = max(x1 - x0, y1 - y0, 1.0)
        self._image, self._size = image, FACE_PX * AROUND
        self._crop = Crop((x0 + x1) / 2, (y0 + y1) / 2, side * AROUND, roll)
        half = np.array((x1 - x0, y1 - y0)) * FACE_PX / side / 2
        half = half[::-1] if round(roll / 90) % 2 else half
        middle = (self._size - 1) / 2
        self._box = np.concatenate((middle - half, middle + half))  # in the mirror as well

    def pixels(self) -> NDArray[np.uint8]:
        """(1, size, size, 3) BGR."""
        return warp_crops(self._image, [self._crop], out=np.empty((1, self._size, self._size, 3), np.uint8))

    def best(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Of the network's cells that tell of this face the best, (18,); zeros = none does."""
        same = rows[iou_matrix(self._box[None], rows[:, :4])[0] >= SAME_IOU]
        best: NDArray[Any] = same[same[:, 4].argmax()] if len(same) else np.zeros(rows.shape[1], rows.dtype)
        return best

    def face(self, rows: NDArray[Any]) -> _Seen:
        """What `best` says, in the picture; of points beside the face, nothing."""
        cell = self.best(rows)
        points5 = map_points(crop_to_frame_matrix(self._crop, self._size), cell[5:15].reshape(5, 2))
        off = np.hypot(*(points5.mean(axis=0) - (self._crop.x, self._crop.y))) / (self._crop.side / AROUND)
        pose = cell[15:18] + np.array((0.0, 0.0, self._crop.roll), np.float32)
        pose[2] = (pose[2] + 180.0) % 360.0 - 180.0
        return _Seen(float(cell[4]) if off <= OFF_CENTRE else 0.0, points5, pose)

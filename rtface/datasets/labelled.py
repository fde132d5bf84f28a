"""The one model of labelled data: a picture with what is known of its faces, its pixels still on disk.

Readers of public sets and the corpus' reader give it; training, evaluation, labelling and writing take it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import SourceError
from rtface.geometry.crop import points5_from_landmarks
from rtface.labels import BLENDSHAPES, EMOTIONS
from rtface.system.image_bytes import decode_pixels

Array = NDArray[Any]

#: What the label of a single emotion counts as, in FER+'s ten votes.
ALL_VOTES = 10
VOTES = 10
#: Labels were made on the pixels as stored: MATLAB and PIL leave a camera's turn mark alone.
_AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


@dataclass(frozen=True, slots=True, eq=False)
class FaceLabel:
    """What is known of one face, px of its picture; None = not labelled. Arrays are float32 in the corpus.

    Attributes:
        box_xyxy: (4,) forehead to chin.
        box_source: human, teacher, landmarks, mask (both derived), own or crop (the whole picture).
        score: Of the detector that set the box, 0..1.
        points5: (5, 2) eye left in the image, eye right, nose tip, mouth left, mouth right.
        points5_source: human, semi-automatic, teacher, own or mask (good enough to cut a crop by, not to learn from).
        landmarks68: (68, 2) iBUG-68 order; ``landmarks68_source`` human, hand (a program looking at enlarged pictures
            corrected proposals), hand-map (read off a mesh as those would have it), semi-automatic, teacher, own or
            own+mesh.
        landmarks68_spread: How far looks at the face lie apart, % of the outer eye corners' distance (own labels).
        mesh478: (478, 2) MediaPipe's mesh, x and y only.
        pose: (3,) yaw, pitch, roll in degrees; ``pose_spread`` how far its sources lie apart, degrees.
        yaw_true: Measured yaw in degrees.
        gaze: (2,) yaw, pitch in degrees of the line of sight, mean of both eyes, in the camera's frame: 0, 0 looks into
            the camera, yaw + to the image's right, pitch + up; not relative to the head.
        blendshapes52: (52,) 0..1 in MediaPipe's order (`_neutral`, then 51 of ARKit's shapes).
    """

    box_xyxy: Array | None = None
    box_source: str | None = None
    score: float | None = None
    points5: Array | None = None
    points5_source: str | None = None
    landmarks68: Array | None = None
    landmarks68_source: str | None = None
    landmarks68_spread: float | None = None
    mesh478: Array | None = None
    pose: Array | None = None
    pose_spread: float | None = None
    yaw_true: float | None = None
    gaze: Array | None = None
    blendshapes52: Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledImage:
    """A picture's labels, and where its pixels are.

    Example:
        >>> import numpy as np
        >>> one = LabelledImage("a", "made", np.zeros((4, 6), np.uint8), (FaceLabel(box_xyxy=np.array([0, 0, 3, 3])),))
        >>> one.load()[0].shape
        (4, 6, 3)

    Attributes:
        id: Unique in its set; ``source`` names the set.
        picture: A file, or (H, W[, 3]) uint8 pixels, BGR, or what gives them.
        split: train, val, test, or "" where the layout does not say.
        cut: x0 y0 x1 y1 px of the file: the record is this part of it, and labels are px of the part. None = all.
        mask: Gives (H, W) uint8 class ids of `parsing_scheme`, 255 = unknown; None = no mask.
        emotion_votes: (10,) FER+ votes: the 8 emotions, unknown, no face.
        pose_class: MTFL's 1..5, or None.
        ignore_xyxy: (K, 4) boxes in which there may be a face: a detection score neither asks for it nor forbids it,
            and a detector is not taught that there is none.
        licence: Terms of this very picture, where its set says them picture by picture.
    """

    id: str
    source: str
    picture: Path | Array | Callable[[], Array]
    faces: tuple[FaceLabel, ...] = ()
    split: str = ""
    cut: tuple[int, int, int, int] | None = None
    mask: Callable[[], Array] | None = None
    parsing_scheme: str | None = None
    parsing_source: str | None = None
    emotion_votes: Array | None = None
    pose_class: int | None = None
    ignore_xyxy: Array = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    licence: str | None = None

    def load(self) -> tuple[Array, Array | None]:
        """Pixels (H, W, 3) uint8 BGR, and the mask (H, W) uint8 at the same size, or None.

        Raises:
            SourceError: A file is missing, does not decode, or the mask is of another shape than the picture.
        """
        image = self._pixels()
        if self.cut is not None:
            x0, y0, x1, y1 = self.cut
            image = image[y0:y1, x0:x1]
        if not image.size:
            raise SourceError(self._name, f"its part {self.cut} lies outside the picture", "Mend the box in the labels")
        return image, None if self.mask is None else self._fitted(self.mask(), image.shape[0], image.shape[1])

    @property
    def _name(self) -> str:
        return str(self.picture) if isinstance(self.picture, Path) else self.id

    def _pixels(self) -> Array:
        if isinstance(self.picture, Path):
            return read_image(self.picture, _AS_STORED)
        image = np.asarray(self.picture() if callable(self.picture) else self.picture)
        return image if image.ndim == 3 else np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR))

    def _fitted(self, mask: Array, height: int, width: int) -> Array:
        """Masks may be published at another scale (CelebAMask-HQ: half); the shape must be the same."""
        high, wide = mask.shape
        if abs(high * width - wide * height) > max(high * width, wide * height) // 50:
            why = f"its mask is {wide}x{high} px, the picture {width}x{height}"
            raise SourceError(self._name, why, "Masks have their picture's shape")
        if (high, wide) == (height, width):
            return mask
        return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT))


def read_image(path: Path, flags: int) -> Array:
    """A file's pixels, by cv2's `flags`.

    Raises:
        SourceError: The file is missing or does not decode.
    """
    if not path.is_file():
        raise SourceError(str(path), "no such file", "The labels name it: complete the set, or --skip-bad")
    image = decode_pixels(path.read_bytes(), flags, str(path))
    if image is None:
        raise SourceError(str(path), "is not a picture that OpenCV can read", "Copy it again, or --skip-bad")
    return image


def face_of_landmarks(points68: Array, source: str = "human", **more: Any) -> FaceLabel:
    """A face of 68 points; its five points are those that follow from them."""
    points = np.asarray(points68, np.float32)
    return FaceLabel(
        landmarks68=points,
        landmarks68_source=source,
        points5=points5_from_landmarks(points),
        points5_source=source,
        **more,
    )


def votes_for(emotion: str) -> Array:
    """FER+ votes (10,) int that all go to one emotion of `rtface.EMOTIONS`, "unknown" or "no_face"."""
    votes = np.zeros(VOTES, np.int64)
    votes[(*EMOTIONS, "unknown", "no_face").index(emotion)] = ALL_VOTES
    return votes


#: MediaPipe's order: a neutral one, then ARKit's by name, without the tongue.
MEDIAPIPE_BLENDSHAPES = ("_neutral", *sorted(name for name in BLENDSHAPES if name != "tongueOut"))


def arkit_order(scores: Array) -> Array:
    """MediaPipe's blend shapes (52,) in the order of `BLENDSHAPES`; the tongue, which it does not see, is 0."""
    known = dict(zip(MEDIAPIPE_BLENDSHAPES, scores.tolist(), strict=True))
    return np.array([known.get(name, 0.0) for name in BLENDSHAPES], np.float32)

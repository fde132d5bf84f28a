"""Face crops for the engine: which faces carry which label, and how a crop is varied.

Single-label sets plug in: a `Sample` carries what is known, every loss looks only at the samples that have its label
(iFAN's cross-dataset hybrid training). Crops are cut by the runtime's own geometry (rtface.geometry.crop) and then
jittered the way detector and tracker err; photographs are also shrunk, blurred and greyed, so that 48 px grey FER+
crops and colour photographs meet in one network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from rtface.geometry.crop import (
    Crop,
    crop_from_box,
    crop_from_landmarks,
    crop_from_points5,
    crop_to_frame_matrix,
    resample,
)
from rtface.geometry.mirror import MIRROR_68, MIRROR_478, MIRROR_BLENDSHAPES, MIRROR_CLASSES
from rtface.geometry.sight import turned
from rtface.train.data.degrade import through_jpeg
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.samples import Sample

UNKNOWN = 255  # parsing label that no loss looks at
FLIP_5 = np.array([1, 0, 2, 4, 3])
_FLIP_PARSING = np.arange(256, dtype=np.uint8)
_FLIP_PARSING[: len(MIRROR_CLASSES)] = MIRROR_CLASSES
TASK_OF = {"parsing": 1, "emotion": 2, "negative": 2}  # by set; the others' is landmarks


@dataclass(slots=True)
class Item:
    """An augmented crop; points normalised to -1..1 over the crop's area, weights 0 where there is no label."""

    image: npt.NDArray[np.uint8]
    landmarks: npt.NDArray[np.float32]
    landmark_weight: npt.NDArray[np.float32]
    points5: npt.NDArray[np.float32]
    points5_weight: float
    parsing: npt.NDArray[np.uint8]
    coarse_parsing: bool  # FASSEG's six classes
    pose: npt.NDArray[np.float32]
    pose_weight: npt.NDArray[np.float32]
    emotion: npt.NDArray[np.float32]
    emotion_weight: float
    is_face: float
    task: int  # of rtface.train.sampling.TASKS
    mesh: npt.NDArray[np.float32] | None = None  # (478, 2)
    expression: npt.NDArray[np.float32] | None = None  # (52,)
    gaze: npt.NDArray[np.float32] | None = None  # (2,) yaw, pitch degrees, in the crop


class Augment:
    """Samples -> varied crops of `size` px. `strength` 0 gives the runtime's crop unchanged (for validation)."""

    def __init__(self, size: int, rng: np.random.Generator, strength: float = 1.0) -> None:
        self.size, self.rng, self.strength = size, rng, strength

    def __call__(self, sample: Sample) -> Item:
        crop = self._jitter(self._base_crop(sample), sample)
        to_frame = crop_to_frame_matrix(crop, self.size)
        if self.strength:
            to_frame = to_frame @ self._shear()
        flipped = bool(self.strength) and self.rng.random() < 0.5
        image = _warp(sample.picture, to_frame, self.size)
        item = self._labels(sample, crop, to_frame)
        item.image = self._photometric(image, sample.group) if self.strength else image
        if self.strength and self.rng.random() < 0.2:
            self._occlude(item)
        if flipped:
            flip(item)
        return item

    # -- geometry --

    def _base_crop(self, sample: Sample) -> Crop:
        rng, picture = self.rng, sample.picture
        height, width = picture.image.shape[:2]
        if not sample.is_face and sample.box is None:
            side = float(math.exp(rng.uniform(math.log(24), math.log(max(25, min(height, width))))))
            return Crop(rng.uniform(0, width), rng.uniform(0, height), side, 0.0)
        if sample.points5 is None and sample.landmarks is None:
            assert sample.box is not None
            return crop_from_box(sample.box)
        # at run time a track's crop comes from the last 68 points, a new face's from the detector's five or its box
        kind = rng.random() if self.strength else 0.0
        alone = sample.points5 is None and sample.box is None
        if sample.landmarks is not None and (kind < 0.5 or alone):
            return crop_from_landmarks(sample.landmarks)
        if sample.points5 is not None and (kind < 0.8 or sample.box is None):
            return crop_from_points5(sample.points5)
        assert sample.box is not None
        return crop_from_box(sample.box)

    def _jitter(self, crop: Crop, sample: Sample) -> Crop:
        rng, k = self.rng, self.strength
        if not k:
            return crop
        small = sample.group == "emotion"
        turn = rng.normal(0, 7) if rng.random() < 0.75 or small else rng.uniform(-50, 50)
        shift = 0.05 * crop.side * k
        return Crop(
            crop.x + rng.normal(0, shift),
            crop.y + rng.normal(0, shift),
            crop.side * float(np.exp(np.clip(rng.normal(0, 0.10 * k), -0.3, 0.35))),
            crop.roll + float(turn) * k,
        )

    def _shear(self) -> npt.NDArray[np.float64]:
        """Slight anisotropic scale and shear about the crop's centre, as a 3x3 matrix."""
        middle = (self.size - 1) / 2
        a, b = np.exp(self.rng.normal(0, 0.04, 2))
        s, t = self.rng.normal(0, 0.03, 2)
        linear = np.array(((a, s), (t, b)))
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = middle - linear @ (middle, middle)
        return matrix

    # -- labels --

    def _labels(self, sample: Sample, crop: Crop, to_frame: npt.NDArray[np.float64]) -> Item:
        size = self.size
        to_crop = cv2.invertAffineTransform(to_frame[:2])

        def points(px: npt.NDArray[np.float32] | None, count: int) -> npt.NDArray[np.float32]:
            if px is None:
                return np.zeros((count, 2), np.float32)
            inside: npt.NDArray[np.float64] = px @ to_crop[:, :2].T + to_crop[:, 2]
            return ((2 * inside + 1) / size - 1).astype(np.float32)

        pose = np.zeros(3, np.float32) if sample.pose is None else sample.pose.copy()
        pose[2] -= crop.roll
        parsing = sample.picture.parsing
        labels = np.full((size, size), UNKNOWN, np.uint8)
        if parsing is not None:
            flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            cv2.warpAffine(parsing, to_frame[:2], (size, size), dst=labels, flags=flags, borderValue=UNKNOWN)
        none3 = np.zeros(3, np.float32)
        return Item(
            image=np.empty(0, np.uint8),
            landmarks=points(sample.landmarks, 68),
            landmark_weight=np.zeros(68, np.float32) if sample.landmark_weight is None else sample.landmark_weight,
            points5=points(sample.points5, 5),
            points5_weight=sample.points5_weight,
            parsing=labels,
            coarse_parsing=sample.picture.labels.parsing_scheme == "fasseg6",
            pose=pose,
            pose_weight=none3 if sample.pose_weight is None else sample.pose_weight,
            emotion=np.zeros(8, np.float32) if sample.emotion is None else sample.emotion,
            emotion_weight=0.0 if sample.emotion is None else sample.emotion_weight,
            is_face=float(sample.is_face),
            task=TASK_OF.get(sample.group, 0),
            mesh=None if sample.mesh is None else points(sample.mesh, len(sample.mesh)),
            expression=sample.expression,
            gaze=None if sample.gaze is None else _turned(sample.gaze, to_crop),
        )

    # -- light --

    def _photometric(self, image: npt.NDArray[np.uint8], group: str) -> npt.NDArray[np.uint8]:
        rng = self.rng
        grey = group != "emotion" and rng.random() < 0.25
        if grey:
            image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]
        if rng.random() < (0.1 if group == "emotion" else 0.35):
            low = int(self.size * math.exp(rng.uniform(math.log(0.18), 0)))
            small = cv2.resize(image, (max(low, 12), max(low, 12)), interpolation=cv2.INTER_AREA)
            image = cv2.resize(small, (self.size, self.size), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
        elif rng.random() < 0.2:
            image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))  # type: ignore[assignment]
        image = self._tone(image, same=grey or group == "emotion")
        if rng.random() < 0.25:
            image = self._side_light(image)
        if rng.random() < 0.25:
            noise = rng.normal(0, rng.uniform(2, 12), (*image.shape[:2], 1)).astype(np.float32)
            image = np.clip(image + noise, 0, 255).astype(np.uint8)
        if rng.random() < 0.15:
            quality = int(rng.integers(25, 80))
            image = through_jpeg(image, quality)
        return image

    def _tone(self, image: npt.NDArray[np.uint8], same: bool) -> npt.NDArray[np.uint8]:
        """Gamma, contrast, brightness and colour cast through one look-up table."""
        rng = self.rng
        ramp = (np.arange(256, dtype=np.float32) / 255.0) ** float(np.exp(rng.normal(0, 0.25)))
        cast = np.zeros(3) if same else rng.normal(0, 0.04, 3)
        gain = float(np.exp(rng.normal(0, 0.2))) * (1.0 + cast)
        table = (ramp[:, None] - 0.45) * gain[None] + 0.45 + rng.normal(0, 0.08) + cast[None] * 0.5
        table8 = np.clip(table * 255.0, 0, 255).astype(np.uint8)[None]  # (1, 256, 3)
        return cv2.LUT(image, table8)  # type: ignore[return-value]

    def _side_light(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """One side brighter than the other, in any direction, with an edge from soft to rather hard."""
        rng = self.rng
        angle, edge, place = rng.uniform(0, 2 * math.pi), math.exp(rng.uniform(0, 1.5)), rng.normal(0, 0.3)
        at = np.linspace(-1, 1, self.size, dtype=np.float32)
        across = at[None] * math.cos(angle) + at[:, None] * math.sin(angle)
        gain = np.exp(rng.normal(0, 0.5) * np.tanh((across - place) * edge))[:, :, None]
        return np.clip(image * gain, 0, 255).astype(np.uint8)

    def _occlude(self, item: Item) -> None:
        rng, size = self.rng, self.size
        w, h = (int(v) for v in rng.uniform(0.12, 0.45, 2) * size)
        x, y = int(rng.uniform(-0.1, 0.9) * size), int(rng.uniform(-0.1, 0.9) * size)
        x0, y0 = max(x, 0), max(y, 0)
        patch = item.image[y0 : y + h, x0 : x + w]
        if rng.random() < 0.5:
            patch[:] = rng.integers(0, 255, 3)
        else:  # skin and texture like the face's own: a rolled copy
            patch[:] = np.roll(item.image, (size // 2, size // 3), (0, 1))[y0 : y + h, x0 : x + w]
        item.parsing[y0 : y + h, x0 : x + w] = UNKNOWN


def _warp(picture: Picture, to_frame: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.uint8]:
    scale = math.sqrt(abs(float(np.linalg.det(to_frame[:2, :2]))))
    image, matrix = picture.image, to_frame[:2].copy()
    if scale >= 2:  # as the runtime: average down before sampling a large face
        factor = 2 ** int(math.log2(scale))
        image = picture.shrunk(factor)
        matrix /= factor
        matrix[:, 2] += 0.5 / factor - 0.5
    out = np.empty((size, size, 3), np.uint8)
    resample(image, matrix, out)
    return out


def _turned(gaze: npt.NDArray[np.float32], to_crop: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    yaw, pitch = gaze.tolist()
    return np.array(turned(yaw, pitch, to_crop[:, :2].tolist()), np.float32)


def flip(item: Item) -> None:
    """Mirror an item in place, left and right labels changing places."""
    item.image = np.ascontiguousarray(item.image[:, ::-1])
    parsing = item.parsing[:, ::-1]
    item.parsing = np.ascontiguousarray(parsing if item.coarse_parsing else _FLIP_PARSING[parsing])
    item.landmarks = item.landmarks[MIRROR_68] * (-1, 1)
    item.landmark_weight = item.landmark_weight[MIRROR_68]
    item.points5 = item.points5[FLIP_5] * (-1, 1)
    item.pose = item.pose * (-1, 1, -1)
    if item.mesh is not None:
        item.mesh = item.mesh[MIRROR_478] * (-1, 1)
    if item.expression is not None:
        item.expression = item.expression[MIRROR_BLENDSHAPES]
    if item.gaze is not None:
        item.gaze = item.gaze * np.array((-1, 1), np.float32)

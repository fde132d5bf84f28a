"""The camera: where a point of the head's world lies on the picture, and what sensor and file make of light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.geometry.face_model import rotation_matrix
from rtface.train.data.degrade import through_jpeg

_AXES = np.diag((1.0, -1.0, -1.0))  # this room: y up, z to the camera; rtface's poses: y down, z away
_NEAR, _FAR = 4.0, 8.0  # dm before and behind the head


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """(3, 3) turn of a head (y up, z towards the camera) with this pose, degrees as ``rtface.HeadPose``."""
    return np.asarray(_AXES @ rotation_matrix(yaw, pitch, roll) @ _AXES)


def angles(turn: Array) -> Array:
    """(3,) yaw, pitch, roll in degrees of such a turn; yaw -90..90."""
    seen = _AXES @ turn @ _AXES
    yaw = math.asin(max(-1.0, min(1.0, float(seen[2, 0]))))
    pitch = math.atan2(-float(seen[2, 1]), float(seen[2, 2]))
    roll = math.atan2(float(seen[1, 0]), float(seen[0, 0]))
    return np.degrees((yaw, pitch, roll)).astype(np.float32)


def direction_angles(vectors: Array) -> Array:
    """(..., 2) yaw + to the image's right, pitch + up, degrees, of directions whose (0, 0, 1) is the camera."""
    x, y, z = np.moveaxis(np.asarray(vectors, np.float64), -1, 0)
    return np.degrees(np.stack([np.arctan2(x, z), np.arctan2(y, np.hypot(x, z))], -1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera before the head's origin, which lies on its axis.

    Attributes:
        side: Of the square picture, px.
        half_height: Of the world at the origin that the picture shows, dm.
        fov: Degrees over the picture's height.
        shift: Share of the side by which the picture is moved right and down: a lens shift, so that the axis still
            goes through the head and its pose is what a crop around it shows.
    """

    side: int
    half_height: float
    fov: float
    shift: tuple[float, float] = (0.0, 0.0)

    @property
    def eye_z(self) -> float:
        """Distance of the camera from the origin, dm."""
        return self.half_height / math.tan(math.radians(self.fov) / 2)

    def projection(self) -> Array:
        """(4, 4) from the world to GL's clip space."""
        near, far = max(0.3, self.eye_z - _NEAR), self.eye_z + _FAR
        focal = 1 / math.tan(math.radians(self.fov) / 2)
        out = np.zeros((4, 4))
        out[0, 0] = out[1, 1] = focal
        out[0, 2], out[1, 2] = -2 * self.shift[0], 2 * self.shift[1]
        out[2, 2], out[2, 3] = -(far + near) / (far - near), -2 * far * near / (far - near)
        out[3, 2] = -1
        view = np.eye(4)
        view[2, 3] = -self.eye_z
        return np.asarray(out @ view)

    def project(self, points: Array) -> Array:
        """(..., 2) px of (..., 3) points of the world; pixel centres are at integers."""
        flat = np.asarray(points, np.float64)
        clip = flat @ self.projection()[:, :3].T + self.projection()[:, 3]
        x, y = clip[..., 0] / clip[..., 3], clip[..., 1] / clip[..., 3]
        half = self.side / 2
        return np.stack([(x + 1) * half - 0.5, (1 - y) * half - 0.5], -1).astype(np.float32)


def photographed(rng: np.random.Generator, linear: Array, night: bool) -> Array:
    """(H, W, 3) uint8 BGR of linear RGB light: exposure, white balance, blur, sensor noise, tone, JPEG."""
    bright = float(np.clip(np.quantile(linear, 0.9), 0.02, None))
    metered = rng.uniform(0.5, 1.1) / bright  # as a camera does that wants no white areas
    exposure = metered if rng.random() < 0.75 else 1.2
    light = linear * np.clip(exposure, 0.3, 3.0) * math.exp(0.15 * rng.normal()) * (1 + 0.06 * rng.normal(size=3))
    light = _blurred(rng, light)
    noise = (0.035 if night else 0.012) * rng.random() ** 2 * 2
    light = light + noise * np.sqrt(np.maximum(light, 0) + 0.02) * _grain(rng, light.shape)
    tone = 1 - np.exp(-np.maximum(light, 0) * 1.1) if rng.random() < 0.6 else np.clip(light, 0, 1)
    image = 255 * tone ** (1 / (2.2 * math.exp(0.08 * rng.normal())))
    if rng.random() < 0.06:
        image = np.repeat(image.mean(-1, keepdims=True), 3, 2)
    out = np.clip(image[..., ::-1] + 0.5, 0, 255).astype(np.uint8)
    return _compressed(rng, out)


def _grain(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Noise of a sensor; coarser where the camera smooths or enlarges."""
    noise: Array = rng.normal(size=shape)
    if rng.random() < 0.5:
        noise = 1.8 * np.asarray(cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.4, 0.9)))
    return noise


def _blurred(rng: np.random.Generator, light: Array) -> Array:
    kind = rng.random()
    if kind < 0.2:
        return np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.4, 1.8)))
    if kind < 0.28:
        length, turn = int(rng.integers(3, 9)), rng.uniform(0, 180)
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1.0
        matrix = cv2.getRotationMatrix2D(((length - 1) / 2, (length - 1) / 2), turn, 1.0)
        kernel = np.asarray(cv2.warpAffine(kernel, matrix, (length, length)))
        return np.asarray(cv2.filter2D(light, -1, kernel / max(float(kernel.sum()), 1e-6)))
    if kind < 0.4:
        height, width = light.shape[:2]
        scale = rng.uniform(0.3, 0.8)
        size = (max(8, round(width * scale)), max(8, round(height * scale)))
        small = cv2.resize(light, size, interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR))
    return light


def _compressed(rng: np.random.Generator, image: Array) -> Array:
    if rng.random() > 0.7:
        return image
    return through_jpeg(image, int(rng.integers(30, 95)))

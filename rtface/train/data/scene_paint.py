"""Pixels of scenes: laying a picture onto a canvas, pasting one head over another, light and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from rtface.train.data.degrade import through_jpeg

UInt8 = npt.NDArray[np.uint8]
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Laying:
    """How a picture comes onto a canvas: canvas px = linear @ picture px + offset, within `area` x0 y0 x1 y1."""

    linear: Float64  # (2, 2)
    offset: Float64  # (2,)
    scale: float
    turn: float  # radians clockwise, after the flip
    flipped: bool
    area: tuple[int, int, int, int]

    def box(self, centre: Float64, half: Float64) -> Float64:
        """Canvas box (4,) of an upright ellipse of the picture: of the turned ellipse, not of its box, which would
        grow with the angle."""
        middle = self.linear @ centre + self.offset
        reach = np.sqrt((self.linear**2) @ (half**2))
        return np.concatenate((middle - reach, middle + reach))


def lay_about(
    centre: Float64, target: Float64, scale: float, turn: float, stretch: float, flip: bool, area: tuple[int, ...]
) -> Laying:
    """The laying that brings `centre` of a picture to `target` on the canvas."""
    cos, sin, sign = math.cos(turn) * scale, math.sin(turn) * scale, -1.0 if flip else 1.0
    linear = np.array(((cos * stretch * sign, -sin / stretch), (sin * stretch * sign, cos / stretch)))
    x0, y0, x1, y1 = area
    return Laying(linear, target - linear @ centre, scale, turn, flip, (x0, y0, x1, y1))


def paint(canvas: UInt8, image: UInt8, laying: Laying, mask: npt.NDArray[np.float32] | None = None) -> None:
    """Draw a picture onto the canvas where it is laid; what it does not cover stays.

    `mask` (h, w) of the area, 0..1: how much of the picture is seen; without it, all.
    """
    x0, y0, x1, y1 = laying.area
    forward = np.concatenate((laying.linear, (laying.offset - (x0, y0))[:, None]), 1)
    factor = int(1 / laying.scale) if laying.scale < 0.67 else 1
    if factor > 1:  # average down first: bilinear sampling of a shrunk picture aliases
        height, width = image.shape[0] // factor, image.shape[1] // factor
        if min(height, width) < 2:
            return
        image = cv2.resize(image[: height * factor, : width * factor], (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        forward[:, 2] += forward[:, :2] @ np.full(2, (factor - 1) / 2)
        forward[:, :2] *= factor
    below = np.ascontiguousarray(canvas[y0:y1, x0:x1])
    part = below.copy() if mask is not None else below
    cv2.warpAffine(
        image, forward, (x1 - x0, y1 - y0), dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    if mask is not None:
        part = np.rint(below + mask[..., None] * (part.astype(np.float32) - below)).astype(np.uint8)
    canvas[y0:y1, x0:x1] = part


def head_mask(box: Float64, turn: float, area: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    """(h, w) of the area, 0..1 with a soft edge: a head (hair, ears, a little neck) about a face's box."""
    x0, y0, x1, y1 = area
    mask = np.zeros((y1 - y0, x1 - x0), np.float32)
    centre, half = (box[:2] + box[2:]) / 2 - (x0, y0), (box[2:] - box[:2]) / 2
    axes = (max(1, round(1.25 * half[0])), max(1, round(1.3 * half[1])))
    cv2.ellipse(mask, (round(centre[0]), round(centre[1])), axes, math.degrees(turn), 0, 360, 1.0, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(mask, (0, 0), max(0.5, 0.03 * float(half.max())))  # type: ignore[return-value]


def photometric(image: UInt8, rng: np.random.Generator) -> UInt8:
    """The picture in another light, perhaps grey, blurred, noisy or compressed."""
    grey = rng.random() < 0.15
    if grey:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)  # type: ignore[assignment]
    cast = np.zeros(3) if grey else rng.normal(0, 0.06, 3)
    ramp = (np.arange(256) / 255.0) ** math.exp(rng.normal(0, 0.3))
    gain = math.exp(rng.normal(0, 0.25)) * (1 + cast)
    table = (ramp[:, None] - 0.45) * gain + 0.45 + rng.normal(0, 0.1)
    image = cv2.LUT(image, np.clip(table * 255, 0, 255).astype(np.uint8)[None])  # type: ignore[assignment]
    if rng.random() < 0.15:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.5))  # type: ignore[assignment]
    if rng.random() < 0.1:
        grain = np.asarray(cv2.randn(np.empty(image.shape, np.int8), np.zeros(1), np.full(1, rng.uniform(2, 10))))
        image = cv2.add(image, grain, dtype=cv2.CV_8U)  # type: ignore[assignment]
    if rng.random() < 0.15:
        image = through_jpeg(image, int(rng.integers(25, 80)))
    return image

"""Made pictures without faces: what detectors take for faces where they know only photographs of people and rooms."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Field = npt.NDArray[np.float32]


def texture(size: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A picture (size, size, 3): clouds, stones, stars, a grating, coins, letters, or bits of all, in two colours."""
    field = _KINDS[int(rng.integers(len(_KINDS)))](size, rng)
    if rng.random() < 0.3:
        field = field * (1 - 0.5 * rng.random() * clouds(size, rng))
    ground, ink = rng.integers(0, 256, 3), rng.integers(0, 256, 3)
    if rng.random() < 0.5:  # grey, dark to bright
        ground, ink = np.full(3, rng.integers(0, 100)), np.full(3, rng.integers(130, 256))
    painted: npt.NDArray[np.uint8] = np.rint(ground + field[..., None] * (ink - ground)).clip(0, 255).astype(np.uint8)
    return painted


def clouds(size: int, rng: np.random.Generator) -> Field:
    """Noise (size, size), 0..1, whose coarse parts are stronger, by some power of their scale."""
    field, power = np.zeros((size, size), np.float32), rng.uniform(0.0, 1.5)
    for side in (4, 8, 16, 32, 64, 128):
        grain = rng.normal(0, 1, (side, side)).astype(np.float32)
        field += cv2.resize(grain, (size, size), interpolation=cv2.INTER_CUBIC) * (side / 64.0) ** -power
    if rng.random() < 0.3:
        field = np.floor(field * rng.uniform(0.5, 3))
    return _unit(field)


def stones(size: int, rng: np.random.Generator) -> Field:
    """Cells about random points, each of one tone, darker to its edge: gravel, bricks, leaves, cells of tissue."""
    points = rng.integers(0, size, (int(math.exp(rng.uniform(math.log(20), math.log(1500)))), 2))
    ground = np.ones((size, size), np.uint8)
    ground[points[:, 1], points[:, 0]] = 0
    away, label = cv2.distanceTransformWithLabels(ground, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    tones = rng.random(int(label.max()) + 1).astype(np.float32)
    return _unit(tones[label] * rng.random() - np.asarray(away) / size * rng.uniform(-8, 16))


def stars(size: int, rng: np.random.Generator) -> Field:
    """Bright specks and smears on black."""
    field = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(10, 150))):
        x, y = (int(v) for v in rng.integers(0, size, 2))
        axes = tuple(int(v) for v in np.ceil(rng.exponential(2.0, 2)))
        cv2.ellipse(field, (x, y), axes, float(rng.uniform(0, 180)), 0, 360, float(rng.random()), -1, cv2.LINE_AA)
    return _unit(np.asarray(cv2.GaussianBlur(field, (0, 0), float(rng.uniform(0.5, 2.5)))))


def grating(size: int, rng: np.random.Generator) -> Field:
    """Stripes, straight or bent, or a chequer of two of them."""
    y, x = np.mgrid[:size, :size]
    bend, field = clouds(size, rng) * rng.uniform(0, 6), np.ones((size, size))
    for _ in range(int(rng.integers(1, 3))):
        turn, width = rng.uniform(0, math.pi), rng.uniform(2, size / 6)
        field = field * (0.5 + 0.5 * np.sin((x * math.cos(turn) + y * math.sin(turn)) / width + bend))
    return _unit(field ** rng.uniform(0.3, 2))


def coins(size: int, rng: np.random.Generator) -> Field:
    """Shaded discs and ovals with a relief on them: coins, balls, buttons, wheels, lamps."""
    field = clouds(size, rng) * rng.uniform(0, 0.5)
    relief = clouds(size, rng)
    for _ in range(int(rng.integers(1, 30))):
        _disc(field, relief, rng)
    return _unit(field)


def _disc(field: Field, relief: Field, rng: np.random.Generator) -> None:
    size = len(field)
    radius, tone = math.exp(rng.uniform(math.log(5), math.log(size / 3))), rng.random()
    centre = tuple(int(v) for v in rng.integers(0, size, 2))
    squeeze, turn, depth = rng.uniform(0.7, 1), float(rng.uniform(0, 180)), rng.uniform(0, 0.8)
    for ring in range(int(rng.integers(1, 4)), 0, -1):
        mask = np.zeros((size, size), np.float32)
        axes = (max(1, round(radius * ring / 3)), max(1, round(radius * squeeze * ring / 3)))
        cv2.ellipse(mask, centre, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
        tone = float(np.clip(tone + rng.normal(0, 0.2), 0, 1))
        field += mask * (tone + depth * (relief - 0.5) - field)


def letters(size: int, rng: np.random.Generator) -> Field:
    """Words of any size and weight over clouds."""
    canvas = np.rint(255 * rng.random() * clouds(size, rng)).astype(np.uint8)
    for _ in range(int(rng.integers(1, 10))):
        text = "".join(chr(int(c)) for c in rng.integers(33, 127, int(rng.integers(1, 12))))
        at = (int(rng.integers(-20, size)), int(rng.integers(0, size)))
        weight, thick, tone = math.exp(rng.uniform(-1, 1.2)), int(rng.integers(1, 6)), int(rng.integers(256))
        cv2.putText(canvas, text, at, int(rng.integers(8)), weight, tone, thick, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


_KINDS = (clouds, stones, stars, grating, coins, letters)


def _unit(field: npt.NDArray[Any]) -> Field:
    """Stretched to 0..1."""
    low, high = float(field.min()), float(field.max())
    return ((field - low) / max(high - low, 1e-6)).astype(np.float32)

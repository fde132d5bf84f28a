"""Light on a scene: day, studio, night, backlight; and what is behind the heads."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.train.synth.gl import Light


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Light and its mood: `night` pictures are noisy, in `backlit` ones the background is the light."""

    light: Light
    background: float
    night: bool


def sample(rng: np.random.Generator) -> Scene:
    """Mostly soft light with a key light; one in eight by night, one in ten against the light."""
    kind = rng.random()
    night, backlit = kind < 0.12, 0.12 <= kind < 0.22
    ambient = rng.uniform(0.03, 0.15) if night else rng.uniform(0.1, 0.3) if backlit else rng.uniform(0.25, 0.9)
    harmonics = np.zeros((9, 3))
    harmonics[0] = ambient * (1 + 0.08 * rng.normal(size=3))
    harmonics[1:4] = ambient * (0.35 * rng.normal(size=(3, 1)) + 0.06 * rng.normal(size=(3, 3)))
    harmonics[1] += 0.25 * ambient
    harmonics[4:] = 0.1 * ambient * rng.normal(size=(5, 1))
    side = rng.normal() * 55 + (180 if backlit else 0)
    high = rng.uniform(-50, 0) if rng.random() < 0.15 else rng.uniform(-10, 65)
    level = math.cos(math.radians(high))
    sine, cosine = math.sin(math.radians(side)), math.cos(math.radians(side))
    direction = np.array((sine * level, math.sin(math.radians(high)), cosine * level))
    warm = 0.12 * rng.normal() + (0.25 * rng.normal() if night else 0.0)
    strength = rng.uniform(0.1, 0.7) if night else rng.uniform(0.15, 1.6) * (1.0 if rng.random() < 0.8 else 0.2)
    colour = strength * np.array((1 + warm, 1.0, max(0.1, 1 - warm)))
    behind = rng.uniform(0.03, 0.25) if night else rng.uniform(1.5, 4.0) if backlit else rng.uniform(0.3, 1.2)
    return Scene(Light(harmonics, direction, colour), behind, night)


def background(rng: np.random.Generator, width: int, height: int, pictures: Sequence[Array]) -> Array:
    """(H, W, 3) linear RGB: a part of a picture, or made of colours, patches and noise."""
    if pictures and rng.random() < 0.65:
        made = _part(rng, pictures[int(rng.integers(len(pictures)))], width, height)
    else:
        made = _MADE[rng.integers(len(_MADE))](rng, width, height)
    if rng.random() < 0.5:
        made = np.asarray(cv2.GaussianBlur(made, (0, 0), rng.uniform(0.5, 6.0)))
    pale = rng.random() ** 0.5  # most rooms have little colour
    made = made + pale * (made.mean(-1, keepdims=True) - made)
    return np.asarray(np.clip(made, 0, 1) ** 2.2, np.float32)


def _part(rng: np.random.Generator, image: Array, width: int, height: int) -> Array:
    """A random part of a BGR picture in the asked shape, RGB 0..1."""
    high, wide = image.shape[:2]
    scale = min(wide / width, high / height) * rng.uniform(0.4, 1.0)
    part_w, part_h = max(1, int(width * scale)), max(1, int(height * scale))
    x, y = int(rng.integers(wide - part_w + 1)), int(rng.integers(high - part_h + 1))
    part = image[y : y + part_h, x : x + part_w, ::-1]
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return np.asarray(cv2.resize(np.ascontiguousarray(part), (width, height), interpolation=cv2.INTER_AREA)) / 255.0


def _gradient(rng: np.random.Generator, width: int, height: int) -> Array:
    one, other = rng.random((2, 3))
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[0:height, 0:width]
    along = (x / width - 0.5) * math.cos(turn) + (y / height - 0.5) * math.sin(turn) + 0.5
    return np.asarray(one + (other - one) * np.clip(along, 0, 1)[..., None] * rng.random())


def _clouds(rng: np.random.Generator, width: int, height: int) -> Array:
    """Noise of several sizes, as blurred foliage or walls have."""
    out = np.zeros((height, width, 3)) + rng.random(3)
    for cells in (3, 7, 15, 40):
        small = rng.normal(size=(cells, cells, 3)) * (0.3 if rng.random() < 0.4 else 0.02) + rng.normal(
            size=(cells, cells, 1)
        )
        out += 0.5 / math.sqrt(cells) * np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC))
    return np.clip(out, 0, 1)


def _room(rng: np.random.Generator, width: int, height: int) -> Array:
    """Upright and lying rectangles: shelves, doors, windows, screens."""
    out = _gradient(rng, width, height).astype(np.float32)
    for _ in range(int(rng.integers(3, 18))):
        x, y = int(rng.integers(-width // 4, width)), int(rng.integers(-height // 4, height))
        w, h = int(rng.integers(4, max(5, width // 2))), int(rng.integers(4, max(5, height // 2)))
        colour = rng.random(3) if rng.random() < 0.5 else np.repeat(rng.random(), 3)
        cv2.rectangle(out, (x, y), (x + w, y + h), colour.tolist(), -1 if rng.random() < 0.8 else 2)
    return out


_MADE = (_gradient, _clouds, _room)

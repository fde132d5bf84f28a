"""Made clips of people who walk past one another, with the truth of who is where.

The people are one portrait (scikit-image's astronaut, public domain) in several guises: mirrored, recoloured, narrower
or wider. A guise is cut out with soft edges and moved over a photograph. Needs the test extra.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.errors import require

WIDTH, HEIGHT, FPS = 640, 480, 30
#: In the portrait, px: the box as a detector draws it, and the ellipse that is cut out, with hair.
BOX = (181.0, 58.0, 267.0, 173.0)
HEAD_CENTRE, HEAD_RADII = (222.0, 108.0), (70.0, 96.0)
CUT = (140, 0, 304, 216)
FACE_WIDTH = BOX[2] - BOX[0]
BACKGROUNDS = ("coffee", "chelsea", "rocket", "brick", "gravel", "grass")

Image = NDArray[np.uint8]


class Place(NamedTuple):
    """Centre of the face's box in px of the frame, its width in px, its roll in degrees clockwise."""

    x: float
    y: float
    width: float = 90.0
    roll: float = 0.0


Path = Callable[[float], Place | None]
"""Seconds → where the face is; None = not in the scene."""


@dataclass(frozen=True)
class Guise:
    """How the portrait is made to look like somebody else; ``tint`` BGR factors, ``stretch`` height over width."""

    mirror: bool = False
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    stretch: float = 1.0


GUISES = (
    Guise(),
    Guise(mirror=True, tint=(1.25, 0.95, 0.75)),
    Guise(tint=(0.7, 0.75, 0.85), stretch=1.12),
    Guise(mirror=True, tint=(0.8, 1.1, 1.0), stretch=0.9),
)


@dataclass(frozen=True)
class Actor:
    """A guise on its path; a later actor of a scene passes before an earlier one. Without a guise: a post."""

    path: Path
    guise: Guise | None


@dataclass(frozen=True)
class Scene:
    """A name, how long it lasts in seconds, and who is in it; ``dark`` are spans (s) in which the light is off."""

    name: str
    seconds: float
    actors: Sequence[Actor]
    background: str = "coffee"
    dark: Sequence[tuple[float, float]] = ()
    noise: float = 2.0


@dataclass(frozen=True)
class Truth:
    """Who is where on one frame: per person the number of the actor, box (4,) px, and the share that can be seen."""

    ids: list[int] = field(default_factory=list)
    boxes_xyxy: list[tuple[float, float, float, float]] = field(default_factory=list)
    seen: list[float] = field(default_factory=list)


def play(scene: Scene, seed: int = 0) -> Iterator[tuple[float, Image, Truth]]:
    """Seconds, the frame (480, 640, 3) uint8 BGR, and the truth, 30 times a second."""
    rng = np.random.default_rng(seed)
    grain = rng.normal(0.0, scene.noise, (2 * HEIGHT, 2 * WIDTH, 3)).astype(np.int16)  # a frame shows a part
    ground = _background(scene.background)
    for number in range(round(scene.seconds * FPS)):
        at = number / FPS
        frame, owner = ground.copy(), np.full((HEIGHT, WIDTH), -1, np.int16)
        places = [actor.path(at) for actor in scene.actors]
        areas = [_put(frame, owner, row, actor, place) for row, (actor, place) in enumerate(_both(scene, places))]
        if any(start <= at < end for start, end in scene.dark):
            frame //= 16
            owner[:] = -1  # nobody can be seen
        y, x = rng.integers(0, HEIGHT), rng.integers(0, WIDTH)
        noisy = cv2.add(frame, grain[y : y + HEIGHT, x : x + WIDTH], dtype=cv2.CV_8U)
        yield at, np.asarray(noisy, np.uint8), _truth(scene, places, areas, owner)


def _both(scene: Scene, places: list[Place | None]) -> Iterator[tuple[Actor, Place | None]]:
    return zip(scene.actors, places, strict=True)


def _truth(scene: Scene, places: list[Place | None], areas: list[int], owner: NDArray[Any]) -> Truth:
    truth = Truth()
    for row, (actor, place) in enumerate(_both(scene, places)):
        if place is None or actor.guise is None or not areas[row]:
            continue
        truth.ids.append(row)
        truth.boxes_xyxy.append(box_of(place, actor.guise))
        truth.seen.append(int((owner == row).sum()) / areas[row])
    return truth


def box_of(place: Place, guise: Guise) -> tuple[float, float, float, float]:
    """The face's box; heads roll by so little that it stays upright."""
    half_w = place.width / 2
    half_h = half_w * guise.stretch * (BOX[3] - BOX[1]) / FACE_WIDTH
    return place.x - half_w, place.y - half_h, place.x + half_w, place.y + half_h


def _put(frame: Image, owner: NDArray[Any], row: int, actor: Actor, place: Place | None) -> int:
    """Paint an actor; the face's pixels in all, whether seen or not."""
    if place is None:
        return 0
    if actor.guise is None:
        half = place.width / 2
        post = (slice(None), slice(max(0, round(place.x - half)), max(0, round(place.x + half))))
        frame[post] = (60, 70, 80)
        owner[post] = row
        return 0
    picture, alpha, face = _cut_out(actor.guise)
    matrix = _matrix(place, actor.guise)
    size = (WIDTH, HEIGHT)
    over = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_AREA)
    cover = cv2.warpAffine(alpha, matrix, size, flags=cv2.INTER_LINEAR)
    cv2.copyTo(cv2.blendLinear(over, frame, cover, 1.0 - cover), np.uint8(cover > 0) * 255, frame)
    inside = cv2.warpAffine(face, matrix, size, flags=cv2.INTER_NEAREST) > 0
    owner[cover > 0.5] = row
    owner[(owner == row) & ~inside] = -2 - row  # hair hides what is behind it, and is no face
    return max(round(float(face.sum() / 255 * abs(np.linalg.det(matrix[:, :2])))), 1)


def _matrix(place: Place, guise: Guise) -> NDArray[np.float64]:
    """Cut-out px → frame px."""
    scale, angle = place.width / FACE_WIDTH, math.radians(place.roll)
    turn = scale * np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    turn = turn @ np.diag((1.0, guise.stretch))
    middle = np.array(((BOX[0] + BOX[2]) / 2 - CUT[0], (BOX[1] + BOX[3]) / 2 - CUT[1]))
    if guise.mirror:
        middle[0] = CUT[2] - CUT[0] - 1 - middle[0]
    return np.column_stack((turn, (place.x, place.y) - turn @ middle))


@cache
def _cut_out(guise: Guise) -> tuple[Image, NDArray[np.float32], Image]:
    """The head BGR, how far it covers (0..1), and where the face is (255)."""
    portrait = _photograph("astronaut")
    rows, columns = np.mgrid[: portrait.shape[0], : portrait.shape[1]]
    (x, y), (across, down) = HEAD_CENTRE, HEAD_RADII
    away = np.hypot((columns - x) / across, (rows - y) / down)
    alpha = np.clip((1.0 - away) * 12.0, 0.0, 1.0).astype(np.float32)
    x0, y0, x1, y1 = BOX
    oval = np.hypot((columns - (x0 + x1) / 2) / (x1 - x0), (rows - (y0 + y1) / 2) / (y1 - y0)) < 0.5
    face = np.where(oval, np.uint8(255), np.uint8(0))
    left, top, right, bottom = CUT
    picture, alpha, face = (part[top:bottom, left:right] for part in (portrait, alpha, face))
    if guise.mirror:
        picture, alpha, face = picture[:, ::-1], alpha[:, ::-1], face[:, ::-1]
    tinted = np.clip(picture * np.array(guise.tint), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(tinted), np.ascontiguousarray(alpha), np.ascontiguousarray(face)


@cache
def _background(name: str) -> Image:
    return np.asarray(cv2.resize(_photograph(name), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _photograph(name: str) -> Image:
    picture = np.asarray(getattr(require("skimage.data", "test"), name)())
    code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(picture, code), np.uint8)

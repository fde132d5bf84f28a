"""Pictures of one head or several, with their labels as a record of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rtface.datasets.crops import moved
from rtface.datasets.labelled import Array, FaceLabel, LabelledImage
from rtface.train.synth import expression, identity, lights
from rtface.train.synth.assets import TERMS, Assets
from rtface.train.synth.camera import Camera, photographed
from rtface.train.synth.classes import GLASSES
from rtface.train.synth.gl import Rendered
from rtface.train.synth.head import Heads, Shot
from rtface.train.synth.truth import SOURCE

_FACE = (1, 2, 3, 4, 5, 6, 7, 10, 11, 12)
_SHOWN, _WHOLE = 0.35, 0.6  # of a face that must be seen for a label at all, and for points
_GLANCE = 0.4  # how often eyes seek the camera


@dataclass(frozen=True, slots=True)
class Plan:
    """What pictures to make.

    Attributes:
        side: Of a picture with one head, px; scenes are up to twice as wide.
        scene_share: Of pictures with several heads, 0..1.
        seed: The same seed and index give the same picture.
        split: Of the corpus.
    """

    side: int = 192
    scene_share: float = 0.15
    seed: int = 0
    split: str = "train"


def picture(heads: Heads, assets: Assets, plan: Plan, index: int, backgrounds: Sequence[Array] = ()) -> LabelledImage:
    """The picture of a number."""
    rng = np.random.default_rng((plan.seed, index))
    scene = lights.sample(rng)
    if rng.random() < plan.scene_share:
        linear, labels, faces, ignored = _group(rng, heads, assets, plan, scene, backgrounds)
    else:
        linear, labels, faces, ignored = _portrait(rng, heads, assets, plan, scene, backgrounds)
    image = photographed(rng, linear, scene.night)
    return LabelledImage(
        id=f"synth-{plan.seed}-{index:07d}",
        source=SOURCE,
        picture=image,
        faces=tuple(faces),
        split=plan.split,
        mask=lambda: labels,
        parsing_scheme="celebamask19",
        parsing_source=SOURCE,
        ignore_xyxy=np.asarray(ignored, np.float32).reshape(-1, 4),
        licence=TERMS,
    )


def shot(rng: np.random.Generator, light: lights.Scene, side: int, loose: bool = True) -> Shot:
    """A random pose, look, expression and camera."""
    yaw = rng.normal() * 26 if rng.random() < 0.6 else rng.uniform(-90, 90)
    roll = rng.normal() * 10 if rng.random() < 0.8 else rng.uniform(-45, 45)
    pose = np.array((np.clip(yaw, -90, 90), np.clip(rng.normal() * 14, -40, 40), np.clip(roll, -45, 45)))
    astray = pose[:2] * (0.9, 0.8) + rng.normal(size=2) * (16, 10)
    eyes = rng.normal(size=2) * 2.0 if rng.random() < _GLANCE else astray
    half = rng.uniform(1.35, 2.3) if loose else 2.2
    shift = rng.normal(size=2) * (0.035 if loose else 0.0)
    camera = Camera(side, half, rng.uniform(10, 36), (float(shift[0]), float(shift[1])))
    share = np.array((rng.uniform(0.2, 0.8), 0.2 * rng.random(), rng.uniform(0.1, 1.0)))
    return Shot(pose, share, eyes, expression.sample(rng), camera, light.light, int(rng.integers(1 << 30)))


def _portrait(
    rng: np.random.Generator,
    heads: Heads,
    assets: Assets,
    plan: Plan,
    scene: lights.Scene,
    backgrounds: Sequence[Array],
) -> tuple[Array, Array, list[FaceLabel], list[Array]]:
    rendered, face = heads.render(identity.sample(rng, assets), shot(rng, scene, plan.side), rng)
    linear = scene.background * lights.background(rng, plan.side, plan.side, backgrounds)
    linear, labels = _laid(linear, np.zeros((plan.side, plan.side), np.uint8), rendered, (0, 0), rng)
    return linear, labels, [face], []


def _group(
    rng: np.random.Generator,
    heads: Heads,
    assets: Assets,
    plan: Plan,
    scene: lights.Scene,
    backgrounds: Sequence[Array],
) -> tuple[Array, Array, list[FaceLabel], list[Array]]:
    """Two to nine heads, the small ones behind, each with what is left of it to see."""
    width, height = int(plan.side * rng.uniform(1.3, 2.0)), int(plan.side * rng.uniform(1.0, 1.5))
    linear = scene.background * lights.background(rng, width, height, backgrounds)
    labels = np.zeros((height, width), np.uint8)
    owner = np.full((height, width), -1, np.int16)
    sides = np.sort(_sizes(rng, plan.side, int(rng.integers(2, 10))))
    faces, areas = [], []
    for number, side in enumerate(sides.tolist()):
        rendered, face = heads.render(identity.sample(rng, assets), shot(rng, scene, side, loose=False), rng)
        corner = (
            int(rng.integers(-side // 4, width - side * 3 // 4)),
            int(rng.integers(-side // 6, height - side // 2)),
        )
        linear, labels = _laid(linear, labels, rendered, corner, rng)
        seen = np.isin(rendered.labels, _FACE)
        areas.append(int(seen.sum()))
        here, there = _overlap(corner, side, width, height)
        covered = rendered.cover[there] > 0.5
        owner[here][covered] = np.where(seen[there][covered], number, -1)
        faces.append(moved(face, offset=(float(corner[0]), float(corner[1]))))
    return linear, labels, *_visible(faces, areas, owner)


def _sizes(rng: np.random.Generator, side: int, count: int) -> Array:
    """Sides of the heads' tiles; a face is about half of its tile."""
    near = rng.uniform(0.4, 1.0) * side
    return np.asarray(np.clip(near * np.exp(-abs(rng.normal(size=count)) * 0.6), 24, side), np.int64)


def _visible(faces: list[FaceLabel], areas: list[int], owner: Array) -> tuple[list[FaceLabel], list[Array]]:
    """Faces of which enough is seen; boxes of the others. Half-hidden ones keep their box alone."""
    told, ignored = [], []
    for number, (face, area) in enumerate(zip(faces, areas, strict=True)):
        share = float((owner == number).sum()) / max(area, 1)
        assert face.box_xyxy is not None
        if share >= _WHOLE:
            told.append(face)
        elif share >= _SHOWN:
            told.append(FaceLabel(box_xyxy=face.box_xyxy, box_source=SOURCE))
        elif share > 0:
            ignored.append(face.box_xyxy)
    height, width = owner.shape
    last = np.array((width - 1, height - 1, width - 1, height - 1), np.float32)
    return [replace(face, box_xyxy=np.clip(np.asarray(face.box_xyxy), 0, last)) for face in told], ignored


def _overlap(corner: tuple[int, int], side: int, width: int, height: int) -> tuple[tuple[slice, slice], ...]:
    """Rows and columns of the picture and of the tile where they lie on each other."""
    x, y = corner
    x0, y0, x1, y1 = max(0, x), max(0, y), min(width, x + side), min(height, y + side)
    return (slice(y0, y1), slice(x0, x1)), (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))


def _laid(
    linear: Array, labels: Array, rendered: Rendered, corner: tuple[int, int], rng: np.random.Generator
) -> tuple[Array, Array]:
    """A head's tile over a picture and its class map; glasses darken what is behind their lenses."""
    height, width = labels.shape
    here, there = _overlap(corner, len(rendered.labels), width, height)
    light, classes = rendered.linear, rendered.labels
    if rendered.lens.any():
        light, classes = _behind_lenses(rendered, rng)
    linear, labels = linear.copy(), labels.copy()
    linear[here] = light[there] + linear[here] * (1 - rendered.cover[there][..., None])
    covered = rendered.cover[there] > 0.5
    labels[here][covered] = classes[there][covered]
    return linear, labels


def _behind_lenses(rendered: Rendered, rng: np.random.Generator) -> tuple[Array, Array]:
    """Clear lenses leave eyes and brows to be seen and count as glasses elsewhere; dark ones hide all."""
    dark = rng.random() < 0.3
    share = rng.uniform(0.55, 0.98) if dark else rng.uniform(0.0, 0.15)
    tint = rng.uniform(0.0, 0.08, 3) if dark else rng.uniform(0.2, 0.9, 3)
    veil = (share * rendered.lens)[..., None]
    if rng.random() < 0.4:  # a reflection
        small = rng.random((3, 3)).astype(np.float32)
        shine = np.asarray(cv2.resize(small, rendered.labels.shape[::-1], interpolation=cv2.INTER_CUBIC))
        tint = tint + rng.uniform(0.1, 0.6) * np.clip(shine - 0.4, 0, 1)[..., None]
        veil = np.maximum(veil, 0.25 * rendered.lens[..., None] * np.clip(shine - 0.4, 0, 1)[..., None])
    light = rendered.linear * (1 - veil) + veil * tint * rendered.cover[..., None]
    hidden = (rendered.lens > 0.5) & np.isin(rendered.labels, (1, 2) if not dark else (1, 2, 4, 5, 6, 7))
    return light, np.where(hidden, GLASSES, rendered.labels).astype(np.uint8)

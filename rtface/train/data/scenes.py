"""Pictures for the detector: scale is made, not found.

A scene is a canvas onto which pictures are laid so that a chosen face comes out at a chosen size (16 to 500 px and
beyond), or a stitch of n x n shrunk pictures (MOS's small-face stitch). Pictures without faces, and made textures,
fill tiles and whole canvases; a head is pasted beside another so that they overlap. Boxes shrink to an ignore mark
where they get too small to learn from, or too much is hidden.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from rtface.errors import InputError
from rtface.train.data.faces import FLIP_5
from rtface.train.data.scene_paint import Laying, head_mask, lay_about, paint, photometric
from rtface.train.data.scene_sources import SceneFace, SourcePicture
from rtface.train.data.textures import texture

SMALLEST = 8.0  # px of the longer side; smaller faces are neither positive nor negative
# How often a picture of each group is drawn.
SHARES = {"crowd": 0.42, "people": 0.16, "portrait": 0.16, "masked": 0.1, "tight": 0.05, "negative": 0.11}
# What the last scenes of a run are drawn by: whole, larger, little spoilt pictures, as the detector meets them.
CLOSING = {"crowd": 0.55, "people": 0.2, "portrait": 0.08, "masked": 0.06, "negative": 0.11}
CLOSING_SIZE = 320
ROLLED = 0.2  # of the scenes turn their pictures by up to MOST_ROLL, the others by some 10 degrees
MOST_ROLL = math.radians(90)
PASTED = 0.2  # of the scenes get a head pasted beside one that is there
TEXTURES = 0.4  # of the whole canvases without faces are made


@dataclass(slots=True)
class Scene:
    """Canvas (S, S, 3) BGR and its faces: rows of box xyxy, 10 point coordinates, pose, box weight, `sure` (19).

    `ignore` (K, 4): boxes whose cells carry no background loss. `trusted` (S/8, S/8) bool: where an unmatched
    detection is an error.
    """

    image: npt.NDArray[np.uint8]
    faces: list[npt.NDArray[np.float32]] = field(default_factory=list)
    ignore: list[npt.NDArray[np.float32]] = field(default_factory=list)
    trusted: npt.NDArray[np.bool_] = field(default_factory=lambda: np.ones((0, 0), np.bool_))


class SceneMaker:
    """Draws scenes of `size` px. `small` shifts the mix to stitches of small faces (MOS's feedback asks for it).

    `closing` is for the end of a run: scenes of 320 px, more of them one picture, more crowds, and a third as often
    turned, pasted together and spoilt (YOLOX, arXiv 2107.08430, section 2.1, ends without its mosaics alike).
    `shares`: how often a picture of each group is drawn, in proportion; within a group, and within a picture, hard
    faces come more often (see `scene_sources`). Raises InputError where `groups` are empty.
    """

    def __init__(
        self,
        groups: Mapping[str, list[SourcePicture]],
        size: int,
        rng: np.random.Generator,
        shares: Mapping[str, float] = SHARES,
    ) -> None:
        if not groups:
            raise InputError("nothing to train on", "the corpus holds no boxed faces", "Check --data")
        self.groups, self.rng, self.small, self.closing = groups, rng, False, False
        self._size = size
        at_the_end = CLOSING if shares is SHARES else shares
        self._mixes = _chances(groups, shares), _chances(groups, at_the_end)  # by `closing`
        self._draws = {name: np.cumsum([picture.draw for picture in group]) for name, group in groups.items()}
        self.pasted = PASTED
        self._rolled = False

    @property
    def size(self) -> int:
        """Side of the next scene, px."""
        return CLOSING_SIZE if self.closing else self._size

    def __call__(self) -> Scene:
        rng = self.rng
        kinds = ("one", "two", "three", "four", "empty")
        weights = (0.46, 0.25, 0.1, 0.05, 0.14)
        if self.closing:
            weights = (0.6, 0.15, 0.06, 0.03, 0.16)
        elif self.small:
            weights = (0.1, 0.3, 0.3, 0.25, 0.05)
        kind = kinds[int(rng.choice(len(kinds), p=weights))]
        seldom = 0.33 if self.closing else 1.0
        self._rolled = rng.random() < ROLLED * seldom
        scene = self._canvas()
        if kind == "empty":
            self._empty(scene)
        elif kind == "one":
            self._one(scene)
        else:
            self._stitch(scene, kinds.index(kind) + 1)
        if rng.random() < self.pasted * seldom:
            self._paste(scene)
        scene.image = self._photometric(scene.image)
        return scene

    def _photometric(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if self.closing and self.rng.random() < 0.67:
            return image
        return photometric(image, self.rng)

    def _canvas(self) -> Scene:
        size = self.size
        image = np.empty((size, size, 3), np.uint8)
        image[:] = self.rng.integers(0, 255, 3) if self.rng.random() < 0.5 else 0
        return Scene(image, trusted=np.ones((size // 8, size // 8), np.bool_))

    def _pick(self, group: str | None = None) -> SourcePicture:
        if group is None or group not in self.groups:
            names, chances = self._mixes[self.closing]
            group = names[int(self.rng.choice(len(names), p=chances))]
        draws = self._draws[group]
        return self.groups[group][int(np.searchsorted(draws, self.rng.random() * draws[-1], side="right"))]

    def _face(self, source: SourcePicture) -> SceneFace:
        draws = np.cumsum([face.draw for face in source.faces])
        return source.faces[int(np.searchsorted(draws, self.rng.random() * draws[-1], side="right"))]

    def _empty(self, scene: Scene) -> None:
        whole = (0, 0, self.size, self.size)
        if self.rng.random() < TEXTURES:
            scene.image = texture(self.size, self.rng)
        else:
            self._tile(scene, self._pick("negative"), whole)

    def _one(self, scene: Scene) -> None:
        """One picture with one of its faces brought to a size drawn log-uniformly from 12 px to beyond the canvas."""
        rng, size = self.rng, self.size
        source = self._pick()
        if not source.faces:
            self._tile(scene, source, (0, 0, size, size))
            return
        face = self._face(source)
        wanted = math.exp(rng.uniform(math.log(12), math.log(1.05 * size)))
        scale = wanted / (2 * float(face.half.max()))
        # as little shrinking of other faces' pictures below the canvas as needed; never blow up blurred pixels much
        scale = float(np.clip(scale, 0.05, 3.0 if wanted > 48 else 1.5))
        tiles = int(size / (scale * max(source.image.shape[:2])))
        if tiles > 1 and rng.random() < 0.8:  # so small a picture would leave most of the canvas bare
            self._stitch(scene, min(tiles, 4))
            return
        self._lay(scene, source, scale, face.centre, (0, 0, size, size))

    def _stitch(self, scene: Scene, n: int) -> None:
        edges = np.linspace(0, self.size, n + 1).astype(int)
        if n == 2 and self.rng.random() < 0.7:  # mosaic: the crossing wanders
            edges[1] = int(self.rng.uniform(0.3, 0.7) * self.size)
        for y0, y1 in pairwise(edges.tolist()):
            for x0, x1 in pairwise(edges.tolist()):
                self._tile(scene, self._pick(), (x0, y0, x1, y1))

    def _tile(self, scene: Scene, source: SourcePicture, area: tuple[int, int, int, int]) -> None:
        """Whole picture into an area, or up to 2.5 times as large about one of its faces; without faces, up to 6."""
        rng = self.rng
        height, width = source.image.shape[:2]
        fit = min((area[2] - area[0]) / width, (area[3] - area[1]) / height)
        scale = fit * math.exp(rng.uniform(-0.2, 0.9 if source.faces else 1.8))
        if source.faces:
            centre = self._face(source).centre
        else:
            centre = np.array((rng.uniform(0, width), rng.uniform(0, height)))
        if scale < fit * 1.2:
            centre = np.array((width / 2, height / 2))
        self._lay(scene, source, scale, centre, area)

    def _lay(
        self,
        scene: Scene,
        source: SourcePicture,
        scale: float,
        centre: npt.NDArray[np.float64],
        area: tuple[int, int, int, int],
    ) -> None:
        """Warp `source` onto `area` with `centre` landing somewhere inside, flipped and turned at random."""
        rng = self.rng
        x0, y0, x1, y1 = area
        target = np.array((x0 + rng.uniform(0.2, 0.8) * (x1 - x0), y0 + rng.uniform(0.2, 0.8) * (y1 - y0)))
        stretch, flip = math.exp(rng.normal(0, 0.05)), bool(rng.random() < 0.5)
        laying = lay_about(centre, target, scale, self._turn(), stretch, flip, area)
        paint(scene.image, source.image, laying)
        if not source.trusted:
            scene.trusted[y0 // 8 : -(-y1 // 8), x0 // 8 : -(-x1 // 8)] = False
        for face in source.faces:
            self._place(scene, face, laying)
        for box in source.ignore:
            _ignore(scene, laying.box((box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2), laying)

    def _turn(self) -> float:
        if self._rolled:
            return float(self.rng.uniform(-MOST_ROLL, MOST_ROLL))
        return math.radians(float(np.clip(self.rng.normal(0, 10), -35, 35)))

    def _place(self, scene: Scene, face: SceneFace, laying: Laying) -> None:
        """The labels of one laid face: a row, an ignore mark where too little is seen of it, or nothing."""
        x0, y0, x1, y1 = laying.area
        box = laying.box(face.centre, face.half)
        longer = float((box[2:] - box[:2]).max())
        seen = np.clip(box, (x0, y0, x0, y0), (x1 - 1, y1 - 1, x1 - 1, y1 - 1))
        share = covered(box, seen)
        if share <= 0.02:
            return
        if share < 0.45 or longer < SMALLEST:
            _ignore(scene, box, laying)
            return
        points = face.points @ laying.linear.T + laying.offset
        pose = face.pose.copy()
        if laying.flipped:
            points = points[FLIP_5]
            pose *= (-1, 1, -1)
        pose[2] += math.degrees(laying.turn)
        kept = seen if longer < 0.9 * self.size else box  # a face larger than the canvas keeps its true box
        row = np.concatenate((kept, points.ravel(), pose, [face.box_weight * (1.0 if share > 0.8 else 0.5), face.sure]))
        scene.faces.append(row.astype(np.float32))

    def _paste(self, scene: Scene) -> None:
        """Another head over part of one of the scene's faces: two people close together."""
        rng, size = self.rng, self.size
        fitting = [row for row in scene.faces if 20 < row[3] - row[1] < 0.7 * size]
        source = self._pick()
        if not fitting or not source.faces:
            return
        beside, face = fitting[int(rng.integers(len(fitting)))], self._face(source)
        height = float(beside[3] - beside[1])
        scale = height * math.exp(rng.normal(0, 0.2)) / (2 * float(face.half[1]))
        if scale > 2.5 or 2 * float(face.half.max()) < 16:
            return
        middle, away = (beside[:2] + beside[2:4]) / 2, float(rng.choice((-1, 1))) * rng.uniform(0.6, 1.1)
        target = middle + np.array((away * (beside[2] - beside[0]), rng.normal(0, 0.2) * height))
        whole = (0, 0, size, size)
        laying = lay_about(face.centre, target, scale, self._turn(), 1.0, bool(rng.random() < 0.5), whole)
        box = laying.box(face.centre, face.half)
        if (np.clip(box, 0, size) != box).any():
            return
        paint(scene.image, source.image, laying, head_mask(box, laying.turn, whole))
        hidden = [covered(row[:4], box) > 0.5 for row in scene.faces]
        scene.ignore += [row[:4] for row, is_hidden in zip(scene.faces, hidden, strict=True) if is_hidden]
        scene.faces = [row for row, is_hidden in zip(scene.faces, hidden, strict=True) if not is_hidden]
        self._place(scene, face, laying)


def _chances(groups: Mapping[str, object], shares: Mapping[str, float]) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Names of groups and how likely each is drawn; a group that is missing never."""
    weights = np.array([share * (name in groups) for name, share in shares.items()])
    if not weights.any():
        return list(groups), np.full(len(groups), 1 / len(groups))
    return list(shares), weights / weights.sum()


def covered(box: npt.NDArray[Any], by: npt.NDArray[Any]) -> float:
    """Share of a box that lies in another."""
    inside = np.maximum(np.minimum(box[2:], by[2:]) - np.maximum(box[:2], by[:2]), 0)
    return float(inside.prod()) / max(float((box[2:] - box[:2]).prod()), 1e-6)


def _ignore(scene: Scene, box: npt.NDArray[np.float64], laying: Laying) -> None:
    """An ignore mark where a box is seen; never so small that it lies between the finest cells."""
    x0, y0, x1, y1 = laying.area
    middle, half = (box[:2] + box[2:]) / 2, np.maximum((box[2:] - box[:2]) / 2, SMALLEST / 2)
    seen = np.clip(np.concatenate((middle - half, middle + half)), (x0, y0, x0, y0), (x1 - 1, y1 - 1, x1 - 1, y1 - 1))
    if (seen[2:] - seen[:2]).min() > 1:
        scene.ignore.append(seen.astype(np.float32))

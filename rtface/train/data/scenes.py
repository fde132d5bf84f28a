"""Pictures for the detector: scale is made, not found.

A scene is a canvas onto which pictures are laid so that a chosen face comes out at a chosen size (16 to 500 px and
beyond), or a stitch of n x n shrunk pictures (MOS's small-face stitch). Pictures without faces fill tiles and
whole canvases. Boxes shrink to an ignore mark where they get too small to learn from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from rtface.datasets.labelled import FaceLabel
from rtface.errors import InputError
from rtface.geometry.crop import POINTS_SIDE, crop_from_points5
from rtface.train.data.faces import FLIP_5
from rtface.train.data.pixel_cache import Picture

BOX_HEIGHT = 2.8  # detector box height over face size (larger of eye and eye-to-mouth distance): corpus median
BOX_ASPECT = 0.74
SMALLEST = 8.0  # px of the longer side; smaller faces are neither positive nor negative
# How often a picture of each group is drawn.
SHARES = {"crowd": 0.48, "portrait": 0.24, "masked": 0.12, "tight": 0.08, "negative": 0.08}
# A background detection counts against the net only where every face is boxed.
TRUSTED = ("wider", "mafa", "negative", "mtfl", "celebamask", "fasseg2", "fasseg3", "utkface")


@dataclass(slots=True)
class SceneFace:
    """A face in a picture: box centre and half axes; NaN points and pose where unknown."""

    centre: npt.NDArray[np.float64]
    half: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]  # (5, 2)
    pose: npt.NDArray[np.float64]  # (3,)
    box_weight: float


@dataclass(slots=True)
class SourcePicture:
    """A picture as scenes are made of it; `trusted` says that every face in it is boxed."""

    image: npt.NDArray[np.uint8]
    faces: list[SceneFace]
    trusted: bool
    group: str


@dataclass(frozen=True, slots=True)
class _Laying:
    """How a picture comes onto a canvas: canvas px = linear @ picture px + offset, within `area` x0 y0 x1 y1."""

    linear: npt.NDArray[np.float64]  # (2, 2)
    offset: npt.NDArray[np.float64]  # (2,)
    scale: float
    turn: float  # radians clockwise, after the flip
    flipped: bool
    area: tuple[int, int, int, int]


@dataclass(slots=True)
class Scene:
    """Canvas (S, S, 3) BGR and its faces: rows of box xyxy, 10 point coordinates, pose, box weight (18 columns).

    `ignore` (K, 4): boxes whose cells carry no background loss. `trusted` (S/8, S/8) bool: where an unmatched
    detection is an error.
    """

    image: npt.NDArray[np.uint8]
    faces: list[npt.NDArray[np.float32]] = field(default_factory=list)
    ignore: list[npt.NDArray[np.float32]] = field(default_factory=list)
    trusted: npt.NDArray[np.bool_] = field(default_factory=lambda: np.ones((0, 0), np.bool_))


def build_sources(pictures: Sequence[Picture]) -> dict[str, list[SourcePicture]]:
    """Pictures by group: crowd (WIDER), masked (MAFA), portrait, tight (MTFL crops), negative."""
    groups: dict[str, list[SourcePicture]] = {}
    for picture in pictures:
        source = source_picture(picture)
        if source.faces or source.group == "negative":
            groups.setdefault(source.group, []).append(source)
    return groups


def source_picture(picture: Picture) -> SourcePicture:
    """A picture as scenes are made of it; it may show no face."""
    group_of = {"wider": "crowd", "mafa": "masked", "mtfl": "tight", "negative": "negative"}
    faces = [f for f in (_scene_face(picture.source, face) for face in picture.faces) if f is not None]
    group = group_of.get(picture.source, "portrait")
    return SourcePicture(picture.image, faces, picture.source in TRUSTED, group)


def _scene_face(source: str, face: FaceLabel) -> SceneFace | None:
    points = np.full((5, 2), np.nan) if face.points5 is None else face.points5.astype(np.float64)
    pose = np.full(3, np.nan) if face.pose is None else face.pose.astype(np.float64)
    if face.box_xyxy is not None:
        low, high = face.box_xyxy.astype(np.float64).reshape(2, 2)
        return SceneFace((low + high) / 2, (high - low) / 2, points, pose, 0.3 if source == "mafa" else 1.0)
    if face.points5 is None:
        return None
    crop = crop_from_points5(face.points5)
    height = crop.side * BOX_HEIGHT / POINTS_SIDE / 2
    return SceneFace(np.array((crop.x, crop.y)), np.array((height * BOX_ASPECT, height)), points, pose, 0.4)


class SceneMaker:
    """Draws scenes of `size` px. `small` shifts the mix to stitches of small faces (MOS's feedback asks for it).

    `shares`: how often a picture of each group is drawn, in proportion. Raises InputError where `groups` are empty.
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
        self.groups, self.size, self.rng, self.small = groups, size, rng, False
        self._names = list(shares)
        weights = np.array([share * (name in groups) for name, share in shares.items()])
        self._chances = weights / weights.sum()

    def __call__(self) -> Scene:
        rng = self.rng
        kinds = ("one", "two", "three", "four", "empty")
        weights = (0.1, 0.3, 0.3, 0.25, 0.05) if self.small else (0.5, 0.25, 0.1, 0.05, 0.1)
        kind = kinds[int(rng.choice(len(kinds), p=weights))]
        scene = self._canvas()
        if kind == "empty":
            self._tile(scene, self._pick("negative"), (0, 0, self.size, self.size))
        elif kind == "one":
            self._one(scene)
        else:
            self._stitch(scene, kinds.index(kind) + 1)
        scene.image = self._photometric(scene.image)
        return scene

    def _canvas(self) -> Scene:
        size = self.size
        image = np.empty((size, size, 3), np.uint8)
        image[:] = self.rng.integers(0, 255, 3) if self.rng.random() < 0.5 else 0
        return Scene(image, trusted=np.ones((size // 8, size // 8), np.bool_))

    def _pick(self, group: str | None = None) -> SourcePicture:
        if group is None or group not in self.groups:
            group = self._names[int(self.rng.choice(len(self._names), p=self._chances))]
        pictures = self.groups[group]
        return pictures[int(self.rng.integers(len(pictures)))]

    def _one(self, scene: Scene) -> None:
        """One picture with one of its faces brought to a size drawn log-uniformly from 12 px to beyond the canvas."""
        rng, size = self.rng, self.size
        source = self._pick()
        if not source.faces:
            self._tile(scene, source, (0, 0, size, size))
            return
        face = source.faces[int(rng.integers(len(source.faces)))]
        wanted = math.exp(rng.uniform(math.log(12), math.log(1.05 * size)))
        scale = wanted / (2 * float(face.half.max()))
        # as little shrinking of other faces' pictures below the canvas as needed; never blow up blurred pixels much
        scale = float(np.clip(scale, 0.05, 3.0 if wanted > 48 else 1.5))
        self._lay(scene, source, scale, face.centre, (0, 0, size, size))

    def _stitch(self, scene: Scene, n: int) -> None:
        edges = np.linspace(0, self.size, n + 1).astype(int)
        if n == 2 and self.rng.random() < 0.7:  # mosaic: the crossing wanders
            edges[1] = int(self.rng.uniform(0.3, 0.7) * self.size)
        for y0, y1 in pairwise(edges.tolist()):
            for x0, x1 in pairwise(edges.tolist()):
                self._tile(scene, self._pick(), (x0, y0, x1, y1))

    def _tile(self, scene: Scene, source: SourcePicture, area: tuple[int, int, int, int]) -> None:
        """Whole picture into an area, or up to 2.5 times as large about one of its faces."""
        height, width = source.image.shape[:2]
        fit = min((area[2] - area[0]) / width, (area[3] - area[1]) / height)
        scale = fit * math.exp(self.rng.uniform(-0.2, 0.9))
        if source.faces:
            centre = source.faces[int(self.rng.integers(len(source.faces)))].centre
        else:
            centre = np.array((self.rng.uniform(0, width), self.rng.uniform(0, height)))
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
        turn = math.radians(float(np.clip(rng.normal(0, 10), -35, 35)))
        if rng.random() < 0.05:
            turn = rng.uniform(-1.2, 1.2)
        flip = -1.0 if rng.random() < 0.5 else 1.0
        stretch = math.exp(rng.normal(0, 0.05))
        cos, sin = math.cos(turn) * scale, math.sin(turn) * scale
        linear = np.array(((cos * stretch * flip, -sin / stretch), (sin * stretch * flip, cos / stretch)))
        target = np.array((x0 + rng.uniform(0.2, 0.8) * (x1 - x0), y0 + rng.uniform(0.2, 0.8) * (y1 - y0)))
        laying = _Laying(linear, target - linear @ centre, scale, turn, flip < 0, area)
        _paint(scene.image, source.image, laying)
        if not source.trusted:
            scene.trusted[y0 // 8 : -(-y1 // 8), x0 // 8 : -(-x1 // 8)] = False
        for face in source.faces:
            self._place(scene, face, laying)

    def _place(self, scene: Scene, face: SceneFace, laying: _Laying) -> None:
        """The labels of one laid face: a row, an ignore mark where too little is seen of it, or nothing."""
        x0, y0, x1, y1 = laying.area
        centre = laying.linear @ face.centre + laying.offset
        # the box of the turned ellipse, not of the turned box, which would grow with the angle
        half = np.sqrt((laying.linear**2) @ (face.half**2))
        box = np.concatenate((centre - half, centre + half))
        seen = np.clip(box, (x0, y0, x0, y0), (x1 - 1, y1 - 1, x1 - 1, y1 - 1))
        share = float(np.prod(np.maximum(seen[2:] - seen[:2], 0)) / max(np.prod(2 * half), 1e-6))
        if share <= 0.02:
            return
        if share < 0.45 or 2 * half.max() < SMALLEST:
            scene.ignore.append(seen.astype(np.float32))
            return
        points = face.points @ laying.linear.T + laying.offset
        pose = face.pose.copy()
        if laying.flipped:
            points = points[FLIP_5]
            pose *= (-1, 1, -1)
        pose[2] += math.degrees(laying.turn)
        kept = seen if 2 * half.max() < 0.9 * self.size else box  # a face larger than the canvas keeps its true box
        row = np.concatenate((kept, points.ravel(), pose, [face.box_weight * (1.0 if share > 0.8 else 0.5)]))
        scene.faces.append(row.astype(np.float32))

    def _photometric(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        rng = self.rng
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
        if rng.random() < 0.15:
            quality = (cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 80)))
            image = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)  # type: ignore[assignment]
        return image


def _paint(canvas: npt.NDArray[np.uint8], image: npt.NDArray[np.uint8], laying: _Laying) -> None:
    """Draw a picture onto the canvas where it is laid; what it does not cover stays."""
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
    part = np.ascontiguousarray(canvas[y0:y1, x0:x1])
    cv2.warpAffine(
        image, forward, (x1 - x0, y1 - y0), dst=part, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_TRANSPARENT
    )
    canvas[y0:y1, x0:x1] = part

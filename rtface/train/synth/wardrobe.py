"""What a head is drawn of: skin, eyes, teeth, hair, clothes and what is worn, as parts for the renderer."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.datasets.mesh_mask import NOSE as NOSE_OUTLINE
from rtface.train.synth import wear
from rtface.train.synth.assets import Assets
from rtface.train.synth.camera import rotation
from rtface.train.synth.classes import GLASSES, LASH, MOUTH, NOSE, SKIN
from rtface.train.synth.gl import Part
from rtface.train.synth.identity import Person
from rtface.train.synth.meshes import kept, normals
from rtface.train.synth.skin import shades
from rtface.train.synth.truth import brow_points, mesh_table

#: Places within a triangle, as weights of its corners.
_GRID = np.array([(4 - a - b, a, b) for a in range(5) for b in range(5 - a)]) / 4.0
#: From the head's own space to the camera's world; with True it turns with the head alone.
Place = Callable[..., Array]


class Wardrobe:
    """Dresses people.

    Attributes:
        skin: (F, 3) the skin that is drawn; ``skin_classes`` (F,) theirs.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        body, classes = assets.body, assets.vertex_class.astype(np.int64)
        middle = body.vertices[body.faces].mean(1)
        drawn = (body.groups == "body") & (middle[:, 1] > 4.2) & (np.abs(middle[:, 0]) < 2.4)
        self.skin, self._uv = body.faces[drawn], body.uv[drawn]
        self.skin_classes = np.sort(classes[self.skin], 1)[:, 1]
        beside = np.isin(self.skin_classes, (8, 9)) & ~assets.uv_mask("ears", self._uv.mean(1))
        self.skin_classes[beside] = SKIN
        face = np.isin(self.skin_classes, (SKIN, NOSE))
        self.skin_classes[face] = np.where(_in_nose(body.vertices, body.vertices[self.skin[face]].mean(1)), NOSE, SKIN)
        self._head_faces = body.faces[(body.groups == "body") & (middle[:, 1] > 5.2) & (np.abs(middle[:, 0]) < 1.1)]
        self._head_faces = self._head_faces[(classes[self._head_faces] != MOUTH).all(1)]
        head = np.unique(self._head_faces)
        self._front = head[np.isin(classes[head], (1, 2, 11, 12))]
        self._neck = head[(classes[head] == 17) & (np.abs(body.vertices[head, 0]) < 0.8)]
        self._ears = tuple(np.flatnonzero(classes == ear) for ear in (8, 9))
        hand = (body.groups == "body") & wear.hand_faces(body.vertices, body.faces)
        self._hand, self._hand_old, self._hand_faces = kept(body.faces, hand)

    def brows(self, name: str, base: Array) -> Array:
        """(10, 3) places of iBUG's points 17 to 26 on a brow of a person at rest."""
        return self._assets.proxy("eyebrows", name).fit(base)[self._brow_vertices(name)]

    @lru_cache(maxsize=32)  # noqa: B019 one object a process
    def _brow_vertices(self, name: str) -> Array:
        proxy, texture = self._assets.proxy("eyebrows", name), self._assets.texture(f"eyebrows/{name}.webp")
        rest = proxy.fit(self._assets.body.vertices)
        places = np.einsum("gk,fkd->fgd", _GRID, rest[proxy.mesh.faces]).reshape(-1, 3)
        uv = np.einsum("gk,fkd->fgd", _GRID, proxy.mesh.uv).reshape(-1, 2)
        at = np.clip((uv * len(texture)).astype(np.int64), 0, len(texture) - 1)
        return brow_points(places, texture[at[:, 1], at[:, 0], 3] / 255.0, rest)

    def dress(self, person: Person, base: Array, place: Place, look: Array, rng: np.random.Generator) -> list[Part]:
        """Parts of a person whose base mesh is `base` (V, 3); `look` (2, 2) yaw, pitch of left and right eye."""
        parts = [self._skin(person, base, place), *self._eyeballs(person, base, place, look)]
        for kind, name in (("teeth", "teeth_base"), ("tongue", "tongue01")):
            parts.append(
                self._proxy(base, place, kind, name, f"{kind}/{kind.replace('tongue', 'tongue01')}.webp", MOUTH)
            )
            parts[-1].tint, parts[-1].spec = (0.5, 0.5, 0.5), 0.2
        parts += self._hairs(person, base, place)
        if person.cloth:
            cloth = self._proxy(base, place, "clothes", person.cloth, f"clothes/{person.cloth}.webp", 18)
            cloth.tint, cloth.cut, cloth.spec = person.cloth_tint, 0.5, 0.03
            parts.append(cloth)
        parts += self._glasses(person, base, place)
        parts += self._made(person, base, place, rng)
        return parts

    def _skin(self, person: Person, base: Array, place: Place) -> Part:
        moved = place(base)
        return Part(
            moved,
            normals(moved, self.skin),
            self.skin,
            self._uv,
            self.skin_classes,
            partial(self._assets.texture, person.skin.file),
            person.skin.file,
            shade=shades(self._assets, person),
            tint=person.skin_tint,
            spec=0.2,
            rough=15.0,
            bump=0.3,
            wrap=0.35,
        )

    def _eyeballs(self, person: Person, base: Array, place: Place, look: Array) -> list[Part]:
        proxy = self._assets.proxy("eyes", "high-poly")
        rest = proxy.fit(base)
        for sign, (yaw, pitch) in zip((1, -1), look, strict=True):
            ball = rest[:, 0] * sign > 0
            middle = (rest[ball].min(0) + rest[ball].max(0)) / 2
            rest[ball] = (rest[ball] - middle) @ rotation(yaw, pitch, 0.0).T + middle
        side = rest[proxy.mesh.faces].mean(1)[:, 0] > 0
        part = self._part(place(rest), proxy.mesh.faces, proxy.mesh.uv, 4, f"eyes/{person.iris}.webp")
        part.labels = np.where(side, 4, 5)
        part.tint, part.cut, part.spec, part.rough, part.wrap = (0.55, 0.55, 0.55), 0.5, 0.5, 90.0, 0.1
        return [part]

    def _hairs(self, person: Person, base: Array, place: Place) -> list[Part]:
        dark = np.minimum(person.hair_colour, 0.25) * 0.8 + 0.008
        brows = self._proxy(base, place, "eyebrows", person.brow, f"eyebrows/{person.brow}.webp", 6, white=True)
        rest = self._assets.proxy("eyebrows", person.brow).mesh
        brows.labels = np.where(rest.vertices[rest.faces].mean(1)[:, 0] > 0, 6, 7)
        brows.tint, brows.cut, brows.opacity, brows.shadow = _three(dark), 0.12, person.brow_opacity, False
        brows.positions = brows.positions + 0.02 * np.array((0, 0, 1), np.float32)
        lashes = self._proxy(base, place, "eyelashes", person.lash, f"eyelashes/{person.lash}.webp", LASH, white=True)
        lashes.tint, lashes.cut, lashes.spec, lashes.shadow = (0.02, 0.015, 0.015), 0.2, 0.0, False
        parts = [brows, lashes]
        if person.hair and person.hat != "scarf":
            hair = self._proxy(base, place, "hair", person.hair, f"hair/{person.hair}.webp", 13, grey=True)
            hair.tint, hair.cut, hair.spec, hair.rough, hair.wrap = (
                _three(2.6 * np.array(person.hair_colour)),
                0.15,
                0.12,
                18.0,
                0.2,
            )
            if person.hat:
                rest68 = base[self._assets.landmarks68]
                fitted = self._assets.proxy("hair", person.hair).fit(base)
                brow = rest68[17:27].mean(0)
                edge = brow[1] + _low(person.hat) + 0.18 * (fitted[:, 2] - brow[2])
                below = (fitted[:, 1] < edge)[hair.faces].all(1)
                hair.faces, hair.uv, hair.labels = hair.faces[below], hair.uv[below], hair.labels[below]
            parts.append(hair)
        return parts

    def _glasses(self, person: Person, base: Array, place: Place) -> list[Part]:
        if not person.glasses:
            return []
        frame = self._proxy(base, place, "ccby", "glasses", "ccby/glasses.webp", GLASSES)
        frame.tint, frame.cut, frame.spec, frame.rough = person.glasses_tint, 0.75, 0.5, 40.0
        lens = self._proxy(base, place, "ccby", "glasses", "ccby/glasses.webp", GLASSES)
        lens.lens, lens.shadow = True, False
        return [frame, lens]

    def _made(self, person: Person, base: Array, place: Place, rng: np.random.Generator) -> list[Part]:
        points = base[self._assets.landmarks68]
        parts = []

        def add(made: wear.Made, tint: tuple[float, float, float], spec: float = 0.03) -> None:
            moved = place(made.vertices, made.rigid)
            part = self._part(moved, made.faces, np.zeros((len(made.faces), 3, 2)), made.label, "")
            part.tint, part.spec, part.rough = tint, spec, 40.0 if spec > 0.1 else 12.0
            parts.append(part)

        if person.hat == "fishing":
            hat = self._proxy(base, place, "ccby", "Fishing_Hat_01", "ccby/Fishing_Hat_01.webp", wear.HAT)
            hat.tint, hat.spec = _three(2 * np.array(person.hat_tint)), 0.03
            parts.append(hat)
        elif person.hat == "scarf":
            add(wear.headscarf(base, self._head_faces, points), person.hat_tint)
        elif person.hat:
            low = _low(person.hat)
            add(wear.beanie(base, self._head_faces, points, rng.uniform(0.1, 0.2), low), person.hat_tint)
            if person.hat == "cap":
                add(wear.brim(base[self._front], points, low + 0.03, rng.uniform(0.5, 0.8)), person.hat_tint)
        if person.mask:
            add(wear.mask(base[self._front], points), person.mask_tint)
        for ear in self._ears if person.earrings else ():
            add(wear.earring(base[ear], person.earrings, rng.random()), person.metal, 0.8)
        if person.necklace:
            add(
                wear.necklace(base[self._neck], points, rng.uniform(0.5, 0.9), rng.uniform(0.015, 0.035)),
                person.metal,
                0.8,
            )
        if person.hand:
            parts.append(self._hand_part(person, base, place, rng))
        return parts

    def _hand_part(self, person: Person, base: Array, place: Place, rng: np.random.Generator) -> Part:
        """The own or another hand before chin, mouth, cheek, eye or forehead, in the camera's world."""
        laid = wear.laid_hand(self._assets.body.vertices[self._hand_old], rng)
        points = place(base[self._assets.landmarks68], True)
        at = points[rng.choice((8, 4, 12, 48, 54, 62, 30, 36, 45, 19, 24))].copy()
        aside = rng.normal(size=2) * 0.35
        nearest = points[:, 2].max() + 0.15 - laid[:, 2].min()
        moved = (laid + np.array((at[0] + aside[0], at[1] + aside[1] - 0.4, nearest))).astype(np.float32)
        part = self._part(moved, self._hand, self._assets.body.uv[self._hand_faces], wear.OCCLUDER, person.skin.file)
        part.tint, part.spec, part.bump, part.wrap = person.skin_tint, 0.15, 0.2, 0.35
        return part

    def _proxy(
        self,
        base: Array,
        place: Place,
        kind: str,
        name: str,
        file: str,
        label: int,
        white: bool = False,
        grey: bool = False,
    ) -> Part:
        proxy = self._assets.proxy(kind, name)
        part = self._part(place(proxy.fit(base)), proxy.mesh.faces, proxy.mesh.uv, label, file)
        if white or grey:
            part.texture, part.key = partial(self._assets.bleached, file, white), f"{file}:{white}"
        return part

    def _part(self, moved: Array, faces: Array, uv: Array, label: int, file: str) -> Part:
        texture = partial(self._assets.texture, file) if file else _white
        return Part(moved, normals(moved, faces), faces, uv, np.full(len(faces), label), texture, file)


def _in_nose(base: Array, places: Array) -> Array:
    """(K,) which places (K, 3) on the base mesh at rest lie in the nose's outline as the mesh of 478 draws it."""
    vertices, weights = mesh_table()
    outline = (base[vertices[list(NOSE_OUTLINE)]] * weights[list(NOSE_OUTLINE)][..., None]).sum(1)
    contour = np.ascontiguousarray(outline[:, None, :2], np.float32)
    inside = [cv2.pointPolygonTest(contour, (float(x), float(y)), False) >= 0 for x, y, _ in places]
    return np.array(inside) & (places[:, 2] > outline[:, 2].min() - 0.1)


def _white() -> Array:
    return np.full((2, 2, 4), 255, np.uint8)


def _low(hat: str) -> float:
    """How far over the brows a hat ends, dm."""
    return 0.42 if hat == "cap" else 0.3


def _three(values: Array) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue

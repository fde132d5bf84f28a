"""One head: its meshes placed, turned and dressed, rendered, and what is true of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel
from rtface.train.synth import expression, truth, wear
from rtface.train.synth.assets import Assets
from rtface.train.synth.camera import Camera, direction_angles, rotation
from rtface.train.synth.gl import Light, Part, Rendered, Renderer
from rtface.train.synth.identity import Person
from rtface.train.synth.meshes import kept, normals
from rtface.train.synth.skin import shades

SKIN, MOUTH, LENS = 1, 10, 3
_EYE_RANGE = (40.0, 28.0)  # degrees that eyes turn in the head, yaw and pitch


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """How a person is seen.

    Attributes:
        pose: (3,) yaw, pitch, roll in degrees of the head.
        body_share: (3,) of the pose that the shoulders follow.
        eyes: (2,) yaw, pitch in degrees of the line of sight in the picture; clipped to what eyes can do.
        weights: ICT shapes, without eyeLook*.
        seed: Of what the renderer draws at random.
    """

    pose: Array
    body_share: Array
    eyes: Array
    weights: dict[str, float]
    camera: Camera
    light: Light
    seed: int


class Heads:
    """Renders people; holds what all heads share.

    Args:
        assets: Of the archive.
        renderer: Large enough for the pictures asked for.
    """

    def __init__(self, assets: Assets, renderer: Renderer) -> None:
        self._assets, self._renderer = assets, renderer
        body, classes = assets.body, assets.vertex_class.astype(np.int64)
        middle = body.vertices[body.faces].mean(1)
        skin = (body.groups == "body") & (middle[:, 1] > 4.2) & (np.abs(middle[:, 0]) < 2.4)
        self._faces, self._uv = body.faces[skin], body.uv[skin]
        self._labels = np.sort(classes[self._faces], 1)[:, 1]
        beside = np.isin(self._labels, (8, 9)) & ~assets.uv_mask("ears", self._uv.mean(1))
        self._labels[beside] = SKIN
        self._head_faces = body.faces[(body.groups == "body") & (middle[:, 1] > 5.2) & (np.abs(middle[:, 0]) < 1.1)]
        self._head_faces = self._head_faces[(classes[self._head_faces] != MOUTH).all(1)]
        self._head = np.unique(self._head_faces)
        self._front = self._head[np.isin(classes[self._head], (1, 2, 11, 12))]
        self._neck = self._head[(classes[self._head] == 17) & (np.abs(body.vertices[self._head, 0]) < 0.8)]
        self._ears = tuple(np.flatnonzero(classes == ear) for ear in (8, 9))
        self._eyes = tuple(np.unique(body.faces[body.groups == f"helper-{side}-eye"]) for side in "lr")
        hand = (body.groups == "body") & wear.hand_faces(body.vertices, body.faces)
        self._hand, self._hand_old, self._hand_faces = kept(body.faces, hand)
        slippery = self._faces[self._labels == SKIN]
        self._curves = truth.slides(body.vertices, slippery, truth.JAW_AT_REST)

    def render(self, person: Person, shot: Shot, rng: np.random.Generator) -> tuple[Rendered, FaceLabel]:
        """A head's picture and labels, px of that picture."""
        base, place, look, gaze, weights = self._placed(person, shot)
        parts = self._dressed(person, base, place, look, rng)
        camera = shot.camera
        rendered = self._renderer.render(parts, camera.projection(), shot.light, camera.side, camera.eye_z, shot.seed)
        return rendered, self._truth(base, place, shot, gaze, weights)

    def vertices(self, person: Person, shot: Shot) -> Array:
        """(V, 3) the base mesh of a person, as the camera sees it."""
        base, place, *_ = self._placed(person, shot)
        return place(base)

    def _placed(self, person: Person, shot: Shot) -> tuple[Array, Place, Array, Array, dict[str, float]]:
        look, gaze = self._look(shot)
        weights = shot.weights | expression.looking(look)
        base = self._assets.shaped(person.shape | {f"ict/{name}": value for name, value in weights.items()})
        middle = np.stack([base[eye].mean(0) for eye in self._eyes]).mean(0)
        return base, _placing(base, middle, shot), look, gaze, weights

    def _look(self, shot: Shot) -> tuple[Array, Array]:
        """(2, 2) yaw, pitch of the subject's left and right eye in the head, and (3,) where they look, of the world."""
        yaw, pitch = np.radians(shot.eyes)
        wanted = np.array((np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)))
        turn = rotation(*shot.pose)
        inside = np.clip(direction_angles(turn.T @ wanted), np.negative(_EYE_RANGE), _EYE_RANGE)
        both = np.stack([inside, inside])
        return both, np.asarray(turn @ _direction(inside))

    def _dressed(self, person: Person, base: Array, place: Place, look: Array, rng: np.random.Generator) -> list[Part]:
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
            normals(moved, self._faces),
            self._faces,
            self._uv,
            self._labels,
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
        lashes = self._proxy(base, place, "eyelashes", person.lash, f"eyelashes/{person.lash}.webp", SKIN, white=True)
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
        frame = self._proxy(base, place, "ccby", "glasses", "ccby/glasses.webp", LENS)
        frame.tint, frame.cut, frame.spec, frame.rough = person.glasses_tint, 0.75, 0.5, 40.0
        lens = self._proxy(base, place, "ccby", "glasses", "ccby/glasses.webp", LENS)
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

    def _truth(self, base: Array, place: Place, shot: Shot, gaze: Array, weights: dict[str, float]) -> FaceLabel:
        turned, project = place(base), shot.camera.project
        points = project(turned[self._assets.landmarks68])
        roll = np.radians(shot.pose[2])
        plane = np.array(((np.cos(roll), np.sin(roll)), (-np.sin(roll), np.cos(roll))))
        points[: truth.JAW] = truth.slid_jaw(self._curves, truth.JAW_AT_REST, turned, plane, project)
        left, right = (place(base[eye], True) for eye in self._eyes)
        middles = (right.min(0) + right.max(0)) / 2, (left.min(0) + left.max(0)) / 2
        radii = tuple(float(np.ptp(base[eye], axis=0).max() / 2) for eye in reversed(self._eyes))
        mesh = project(truth.mesh478(turned, middles, (radii[0], radii[1]), np.stack([gaze, gaze])))
        towards = np.array((0.0, 0.0, shot.camera.eye_z)) - (middles[0] + middles[1]) / 2
        seen = direction_angles(gaze) - direction_angles(towards)
        return truth.face_label(points, mesh, shot.pose, seen, expression.blendshapes52(weights))


Place = Callable[..., Array]


def _white() -> Array:
    return np.full((2, 2, 4), 255, np.uint8)


def _placing(base: Array, eyes: Array, shot: Shot) -> Place:
    """A function from the head's own space to the camera's world: the neck bends between shoulders and head."""
    pivot = eyes + np.array((0.0, -1.1, -0.95))
    centre = eyes + np.array((0.0, -0.25, -0.55))
    head = rotation(*shot.pose)
    body = rotation(*(shot.pose * shot.body_share))
    offset = head @ (centre - pivot)

    def place(points: Array, rigid: bool = False) -> Array:
        from_pivot = points - pivot
        turned = from_pivot @ head.T
        if not rigid:
            along = (points[:, 1] - (eyes[1] - 1.9) - 0.25 * from_pivot[:, 2]) / 0.95
            share = np.clip(along, 0, 1)[:, None]
            share = share * share * (3 - 2 * share)
            turned = turned * share + (from_pivot @ body.T) * (1 - share)
        return np.asarray(turned - offset, np.float32)

    return place


def _direction(angles_deg: Array) -> Array:
    yaw, pitch = np.radians(angles_deg)
    return np.array((np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)))


def _low(hat: str) -> float:
    """How far over the brows a hat ends, dm."""
    return 0.42 if hat == "cap" else 0.3


def _three(values: Array) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue

"""One head: its meshes placed, turned and dressed, rendered, and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel
from rtface.train.synth import expression, truth
from rtface.train.synth.assets import Assets
from rtface.train.synth.camera import Camera, direction_angles, rotation
from rtface.train.synth.classes import SKIN, cleaned
from rtface.train.synth.gl import Light, Rendered, Renderer
from rtface.train.synth.identity import Person
from rtface.train.synth.wardrobe import Place, Wardrobe

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
        self._wardrobe = Wardrobe(assets)
        body = assets.body
        self._eyes = tuple(np.unique(body.faces[body.groups == f"helper-{side}-eye"]) for side in "lr")
        slippery = self._wardrobe.skin[self._wardrobe.skin_classes == SKIN]
        self._curves = truth.slides(body.vertices, slippery, truth.JAW_AT_REST)

    def render(self, person: Person, shot: Shot, rng: np.random.Generator) -> tuple[Rendered, FaceLabel]:
        """A head's picture and labels, px of that picture."""
        base, place, look, gaze, weights = self._placed(person, shot)
        parts = self._wardrobe.dress(person, base, place, look, rng)
        camera = shot.camera
        rendered = self._renderer.render(parts, camera.projection(), shot.light, camera.side, camera.eye_z, shot.seed)
        rendered = replace(rendered, labels=cleaned(rendered.labels))
        return rendered, self._truth(person, base, place, shot, gaze, weights)

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

    def _truth(
        self, person: Person, base: Array, place: Place, shot: Shot, gaze: Array, weights: dict[str, float]
    ) -> FaceLabel:
        turned, project = place(base), shot.camera.project
        points = project(turned[self._assets.landmarks68])
        points[17:27] = project(place(self._wardrobe.brows(person.brow, base)))
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

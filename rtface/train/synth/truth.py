"""Labels of a rendered head, from its geometry.

The 68 points are vertices of the base mesh, but brows, which are read off the brow's own mesh (`brow_points`), and that
the jaw lies where the face ends on the picture: each of its 17
points may slide along a curve on the skin, from the jaw towards the middle of the face, and goes to where that curve
reaches furthest out (as people mark it: on the visible contour; Zhu et al. 2015 call it landmark marching).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel
from rtface.geometry.crop import points5_from_landmarks

JAW = 17
_HAIRY, _UPPER = 0.2, 0.85  # opacity of a brow's texture that counts as hair; how far up in it points lie
_REACH, _BACK = 0.8, 0.03  # dm that a jaw point may slide forward and back
#: The subject's right half of the jaw on the base mesh at rest, dm: evenly spaced along the face's outline as seen from
#: the front, from the height of the eyes' corners to the chin; depths follow the edge of the mandible. Set on the mesh
#: alone: nothing here was learned from pictures that people labelled.
_HALF = (
    (-0.73, 7.29, 0.68),
    (-0.71, 7.10, 0.69),
    (-0.70, 6.92, 0.70),
    (-0.65, 6.75, 0.72),
    (-0.57, 6.58, 0.80),
    (-0.47, 6.42, 0.91),
    (-0.34, 6.29, 1.06),
    (-0.18, 6.19, 1.24),
    (0.0, 6.16, 1.42),
)
JAW_AT_REST: Array = np.array([*_HALF, *((-x, y, z) for x, y, z in reversed(_HALF[:-1]))])
#: Irises in the mesh of 478, the subject's right and left: middle, the image's right, top, left, bottom.
_IRISES = (slice(468, 473), slice(473, 478))
_IRIS_DEG = 28.5  # half the iris as the eyeball's centre sees it
TABLE = Path(__file__).with_name("mesh468.npz")


@dataclass(frozen=True, slots=True, eq=False)
class Slide:
    """Points on the skin that a jaw point may be: (1 - share) · vertex `one` + share · vertex `other`."""

    one: Array
    other: Array
    share: Array

    def at(self, vertices: Array) -> Array:
        """(K, 3)."""
        return np.asarray(vertices[self.one] * (1 - self.share[:, None]) + vertices[self.other] * self.share[:, None])


def slides(vertices: Array, faces: Array, jaw: Array) -> tuple[Slide, ...]:
    """For each point of the jaw the curve that the half-plane through it and the face's axis (along z) cuts from skin.

    Args:
        vertices: (V, 3) of a face at rest, z out of the face, x to the subject's left.
        faces: (F, 3) the skin on which points may slide.
        jaw: (17, 3) places near the edge of the jaw at rest: no curve goes further back than they.

    Raises:
        ValueError: There is no skin before one of them.
    """
    edges = np.unique(np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), 1), axis=0)
    one, other = edges[:, 0], edges[:, 1]
    middle = _middle(jaw)
    flat = vertices[:, :2] - middle
    out = []
    for place in jaw:
        outward = (place[:2] - middle) / np.linalg.norm(place[:2] - middle)
        aside = flat @ np.array((-outward[1], outward[0]))
        crossing = ((aside[one] > 0) != (aside[other] > 0)) & (flat[one] @ outward > 0)
        first, second = one[crossing], other[crossing]
        share = aside[first] / (aside[first] - aside[second])
        points = vertices[first] * (1 - share[:, None]) + vertices[second] * share[:, None]
        ahead = (points[:, 2] > place[2] - _BACK) & (np.linalg.norm(points - place, axis=1) < _REACH)
        if not ahead.any():
            raise ValueError(f"no skin before the jaw's point at {place}")
        out.append(Slide(first[ahead], second[ahead], share[ahead]))
    return tuple(out)


def slid_jaw(
    curves: tuple[Slide, ...], jaw: Array, turned: Array, roll: Array, project: Callable[[Array], Array]
) -> Array:
    """(17, 2) px: each point of the jaw where its curve reaches furthest out on the picture.

    Args:
        curves: Of `slides`; ``jaw`` the places that they were made for.
        turned: (V, 3) vertices as the camera sees them.
        roll: (2, 2) turn of the picture plane by the head's roll, y up.
        project: Points of the camera's world to px.
    """
    out = np.zeros((JAW, 2), np.float32)
    for at, (curve, place) in enumerate(zip(curves, jaw, strict=True)):
        outward = roll @ (place[:2] - _middle(jaw))
        seen = project(curve.at(turned))
        out[at] = seen[(seen @ (outward * (1.0, -1.0))).argmax()]
    return out


def _middle(jaw: Array) -> Array:
    """(2,) where the face's axis goes through it, below the eyes."""
    return np.array((0.0, jaw[:, 1].max() - 0.2))


def brow_points(places: Array, opacity: Array, vertices: Array) -> Array:
    """(10,) vertices of a brow mesh at rest for iBUG's points 17 to 26: five evenly along each brow's upper edge.

    Args:
        places: (K, 3) places on the mesh, x to the subject's left; ``opacity`` (K,) 0..1 of hair there.
        vertices: (V, 3) of the mesh.

    Raises:
        ValueError: There is no hair on a side.
    """
    out = []
    for side in (-1.0, 1.0):
        hairy = (opacity > _HAIRY) & (places[:, 0] * side > 0)
        if not hairy.any():
            raise ValueError("a brow has no hair on a side")
        aside, up = np.abs(places[hairy, 0]), places[hairy, 1]
        inner, outer = np.quantile(aside, (0.01, 0.99))
        own = np.flatnonzero(vertices[:, 0] * side > 0)
        ends = (outer, inner) if side < 0 else (inner, outer)
        for at in np.linspace(*ends, 5):
            near = np.argsort(np.abs(aside - at))[: max(3, len(aside) // 20)]
            wanted = np.array((side * at, np.quantile(up[near], _UPPER)))
            out.append(own[np.linalg.norm(vertices[own, :2] - wanted, axis=1).argmin()])
    return np.array(out)


@lru_cache(maxsize=1)
def mesh_table() -> tuple[Array, Array]:
    """(468, 3) vertices of the base mesh and their weights: where MediaPipe's mesh lies on it."""
    with np.load(TABLE) as file:
        return file["vertices"].astype(np.int64), file["weights"].astype(np.float32)


def mesh478(turned: Array, eyes: tuple[Array, Array], radii: tuple[float, float], gazes: Array) -> Array:
    """(478, 3) MediaPipe's mesh on a head: 468 points on its skin, and two irises.

    Args:
        turned: (V, 3) vertices of the base mesh.
        eyes: Centres of the subject's right and left eyeball; ``radii`` theirs, dm.
        gazes: (2, 3) unit directions in which they look.
    """
    vertices, weights = mesh_table()
    out = np.zeros((478, 3), np.float32)
    out[:468] = (turned[vertices] * weights[..., None]).sum(1)
    for part, centre, radius, gaze in zip(_IRISES, eyes, radii, gazes, strict=True):
        out[part] = iris(np.asarray(centre), radius, gaze)
    return out


def iris(centre: Array, radius: float, gaze: Array) -> Array:
    """(5, 3) middle, image's right, top, left and bottom of the iris on an eyeball."""
    right = np.cross((0.0, 1.0, 0.0), gaze)
    right /= np.linalg.norm(right)
    up = np.cross(gaze, right)
    sine, cosine = np.sin(np.radians(_IRIS_DEG)), np.cos(np.radians(_IRIS_DEG))
    around = np.stack([right, up, -right, -up])
    return np.concatenate([[centre + radius * gaze], centre + radius * (cosine * gaze + sine * around)])


def face_label(points68: Array, mesh: Array, pose: Array, gaze: Array, shapes: Array) -> FaceLabel:
    """The labels of a head, px; its box runs from the forehead (the mesh's top) to the chin."""
    together = np.concatenate([points68, mesh[:468]])
    return FaceLabel(
        box_xyxy=np.concatenate([together.min(0), together.max(0)]).astype(np.float32),
        box_source=SOURCE,
        points5=points5_from_landmarks(points68),
        points5_source=SOURCE,
        landmarks68=points68.astype(np.float32),
        landmarks68_source=SOURCE,
        mesh478=mesh.astype(np.float32),
        pose=pose.astype(np.float32),
        pose_spread=0.0,
        gaze=gaze.astype(np.float32),
        blendshapes52=shapes.astype(np.float32),
    )


#: What label columns say about where they are from.
SOURCE = "synthetic"

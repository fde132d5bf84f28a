"""What the archive has no mesh for, made from the head's own shape: masks, caps, scarves, earrings, necklaces, hands.

Everything is in the head's own space (dm, y up, z out of the face, x to the subject's left), before it is turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.train.synth.meshes import ball, grid_faces, kept, normals, tube

HAT, EARRING, NECKLACE, OCCLUDER = 14, 15, 16, 0
_WRIST, _ALONG = np.array((3.72, 2.9, 1.0)), np.array((0.4, -0.53, 0.75))


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Vertices (V, 3), triangles (F, 3), the parsing class, and whether it turns with the head alone."""

    vertices: Array
    faces: Array
    label: int
    rigid: bool = True


def mask(skin: Array, points68: Array) -> Made:
    """A medical mask: a cloth drawn over nose, mouth and chin."""
    ear, bridge, chin = points68[[0, 16]].mean(0), points68[28], points68[8]
    across = np.radians(np.linspace(-78, 78, 21))
    share = np.abs(across) / across.max()
    top = bridge[1] - (bridge[1] - ear[1] + 0.18) * share**1.3
    bottom = chin[1] - 0.1 + 0.45 * share**2
    down = np.linspace(0, 1, 13)[:, None]
    heights = top + (bottom - top) * down
    vertices = _draped(skin, across, heights, ear[2] + 0.02, 0.045)
    return Made(vertices, grid_faces(*heights.shape), OCCLUDER)


def _draped(skin: Array, across: Array, heights: Array, axis_z: float, offset: float) -> Array:
    """(R * C, 3): a cloth around an upright axis, at each angle and height as far out as the skin near there."""
    turn, out = np.arctan2(skin[:, 0], skin[:, 2] - axis_z), np.hypot(skin[:, 0], skin[:, 2] - axis_z)
    angle = np.broadcast_to(across, heights.shape)
    near = (np.abs(turn[None, None] - angle[..., None]) < 0.13) & (
        np.abs(skin[None, None, :, 1] - heights[..., None]) < 0.13
    )
    radius = np.where(near, out[None, None], 0.0).max(-1).astype(np.float32)
    hole = radius <= 0.0
    radius[hole] = np.median(radius[~hole]) if (~hole).any() else 0.7
    radius = np.asarray(cv2.GaussianBlur(np.maximum(radius, cv2.blur(radius, (3, 3))), (0, 0), 0.9)) + offset
    return np.stack([radius * np.sin(angle), heights, axis_z + radius * np.cos(angle)], -1).reshape(-1, 3)


def beanie(head: Array, faces: Array, points68: Array, thick: float, low: float) -> Made:
    """A knitted cap: the scalp above a slanting plane, `thick` dm further out."""
    brow = points68[17:27].mean(0)
    edge = brow[1] + low + 0.18 * (head[:, 2] - brow[2])
    above = head[:, 1] > edge
    chosen, old, _ = kept(faces, above[faces].any(1))
    vertices = head[old] + thick * normals(head, faces)[old]
    vertices[:, 1] = np.maximum(vertices[:, 1], edge[old])
    return Made(vertices, chosen, HAT)


def brim(head: Array, points68: Array, low: float, length: float) -> Made:
    """The peak of a cap, where `beanie` of the same height ends in front."""
    brow = points68[17:27].mean(0)
    axis_z = float(points68[[0, 16], 2].mean()) - 0.1
    across = np.radians(np.linspace(-62, 62, 15))
    ring = _draped(head, across, np.full((1, 15), brow[1] + low), axis_z, 0.1)
    reach = length * np.cos(across * 1.35)[:, None].clip(0.05)
    outer = ring + reach * np.stack([np.sin(across) * 0.35, np.full(15, -0.28), np.ones(15)], 1)
    return Made(np.concatenate([ring, outer]).astype(np.float32), grid_faces(2, 15), HAT)


def headscarf(head: Array, faces: Array, points68: Array) -> Made:
    """Cloth over scalp, ears and neck that leaves the face free."""
    brow, chin, ear = points68[17:27].mean(0), points68[8], points68[[0, 16]].mean(0)
    half = abs(points68[1, 0] - points68[15, 0]) / 2
    middle = (brow[1] + 0.45 + chin[1] - 0.1) / 2
    tall = brow[1] + 0.45 - middle
    face = ((head[:, 0] / (0.86 * half)) ** 2 + ((head[:, 1] - middle) / tall) ** 2 < 1) & (head[:, 2] > ear[2])
    covered = ~face & (head[:, 1] > chin[1] - 0.9)
    chosen, old, _ = kept(faces, covered[faces].all(1))
    return Made(head[old] + 0.1 * normals(head, faces)[old], chosen, HAT, rigid=False)


def earring(ear: Array, kind: str, size: float) -> Made:
    """At the lobe of an ear's vertices: a hoop, a stud or a drop; `size` 0..1."""
    lobe = ear[ear[:, 1].argmin()] + (np.sign(ear[:, 0].mean()) * 0.02, 0.03, 0.02)
    if kind == "stud":
        return Made(*ball(lobe, np.full(3, 0.035 + 0.035 * size)), EARRING)
    if kind == "drop":
        ends = lobe - np.array((0.0, 0.12 + 0.25 * size, 0.0))
        beads, faces = ball(ends, np.array((0.06, 0.09, 0.06)) * (0.6 + size))
        thread, more = tube(np.linspace(lobe, ends, 3), 0.012)
        return Made(np.concatenate([beads, thread]), np.concatenate([faces, more + len(beads)]), EARRING)
    turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    radius = 0.09 + 0.2 * size
    path = lobe + radius * np.stack([0.25 * np.sin(turn), np.cos(turn) - 0.95, np.sin(turn)], 1)
    return Made(*tube(path, 0.014 + 0.02 * size, closed=True), EARRING)


def necklace(neck: Array, points68: Array, low: float, thick: float) -> Made:
    """A chain around the neck, `low` dm under the chin in front."""
    chin = points68[8]
    axis_z = float(neck[:, 2].mean())
    plane = chin[1] - low + 0.3 * (chin[2] - neck[:, 2])
    near = neck[np.abs(neck[:, 1] - plane) < 0.15]
    turns = np.linspace(-np.pi, np.pi, 40, endpoint=False)
    around = np.arctan2(near[:, 0], near[:, 2] - axis_z)
    out = np.hypot(near[:, 0], near[:, 2] - axis_z)
    radius = np.array([_furthest(out, np.abs(np.angle(np.exp(1j * (around - turn)))) < 0.25) for turn in turns])
    radius = np.convolve(np.tile(radius, 3), np.ones(5) / 5, "same")[40:80] + 0.03
    x, z = radius * np.sin(turns), axis_z + radius * np.cos(turns)
    path = np.stack([x, chin[1] - low + 0.3 * (chin[2] - z), z], 1)
    return Made(*tube(path, thick, closed=True), NECKLACE, rigid=False)


def _furthest(values: Array, where: Array) -> float:
    return float(np.quantile(values[where], 0.9)) if where.any() else 0.6


def hand_faces(body: Array, faces: Array) -> Array:
    """(F,) which triangles of the base mesh are its left hand."""
    along = (body - _WRIST) @ (_ALONG / np.linalg.norm(_ALONG))
    return np.asarray((along[faces].min(1) > 0) & (body[faces, 0].min(1) > 3.0))


def laid_hand(hand: Array, rng: np.random.Generator) -> Array:
    """(V, 3) a hand's vertices with its middle at the origin, fingers up, flat before the camera, then turned a bit."""
    middle = hand - hand.mean(0)
    _, _, axes = np.linalg.svd(middle, full_matrices=False)
    along = axes[0] * np.sign(axes[0] @ _ALONG)
    across = axes[1]
    frame = np.stack([across, along, np.cross(across, along)])
    flat = middle @ frame.T
    turn, tilt, lean = (
        rng.uniform(-np.pi, np.pi) if rng.random() < 0.3 else rng.normal() * 0.8,
        rng.normal() * 0.5,
        0.4 * rng.normal(),
    )
    spin = _about(2, turn) @ _about(0, tilt) @ _about(1, lean + (np.pi if rng.random() < 0.5 else 0.0))
    mirror = np.array((1.0 if rng.random() < 0.5 else -1.0, 1.0, 1.0))
    return np.asarray((flat * mirror) @ spin.T)


def _about(axis: int, angle: float) -> Array:
    one, other = [at for at in range(3) if at != axis]
    out = np.eye(3)
    out[one, one] = out[other, other] = np.cos(angle)
    out[one, other], out[other, one] = -np.sin(angle), np.sin(angle)
    return out

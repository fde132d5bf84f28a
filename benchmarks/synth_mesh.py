"""Where MediaPipe's 468 points lie on MakeHuman's base mesh: makes `rtface/train/synth/mesh468.npz`.

    python -m benchmarks.synth_mesh --assets makehuman_head_assets.tar.xz --out rtface/train/synth/mesh468.npz

FaceMesh 0.10.21 (Apache-2.0) looks at some hundred bare heads of random people; each of its points is traced back to
the triangle it lies on, and so to a place on the base mesh at rest. The median over all heads, made the same on both
sides and put back on the skin, is the table: three vertices and their weights a point.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.mesh import SIDE, MeshProcess
from benchmarks.peer_venv import peer_python
from rtface.system.files import atomic_write
from rtface.train.synth import identity, lights
from rtface.train.synth.assets import Assets, unpack
from rtface.train.synth.camera import Camera
from rtface.train.synth.gl import Light, Renderer
from rtface.train.synth.head import Heads
from rtface.train.synth.scenes import shot

Array = NDArray[Any]
POINTS = 468
_FLAT = Light(np.concatenate([np.full((1, 3), 0.5), np.zeros((8, 3))]), np.array((0.3, 0.5, 1.0)), np.full(3, 0.6))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--heads", type=int, default=120)
    parser.add_argument("--python", type=Path, help="an interpreter that has mediapipe")
    args = parser.parse_args()
    assets = Assets(unpack(args.assets))
    heads = Heads(assets, Renderer(SIDE))
    body, classes = assets.body, assets.vertex_class
    faces = body.faces[(body.groups == "body") & np.isin(classes[body.faces], (1, 2, 11, 12)).all(1)]
    faces = faces[body.vertices[faces][:, :, 2].min(1) > 0.2]
    found = []
    with MeshProcess(args.python or peer_python()) as mesher:
        for index in range(args.heads):
            places = _seen(index, assets, heads, faces, mesher)
            if places is not None:
                found.append(places)
    rest = np.nanmedian(np.stack(found), 0)
    spread = np.nanmedian(np.linalg.norm(np.stack(found) - rest, axis=2), 0)
    print(f"{len(found)} of {args.heads} heads; a point's median distance from its place: {spread.mean():.3f} dm")
    vertices, weights = _on_skin(_both_sides(rest), body.vertices, faces)
    with atomic_write(args.out) as file:
        np.savez_compressed(file, vertices=vertices.astype(np.int32), weights=weights.astype(np.float32))


def _seen(index: int, assets: Assets, heads: Heads, faces: Array, mesher: MeshProcess) -> Array | None:
    """(468, 3) places on the base mesh at rest of the points on one head; None = no face was found."""
    rng = np.random.default_rng((468, index))
    person = replace(
        identity.sample(rng, assets), hair="", hat="", mask=False, glasses=0, hand=False, earrings="", beard=(0, 0, 0)
    )
    one = shot(rng, lights.sample(rng), SIDE)
    pose = np.array((rng.uniform(-20, 20), rng.uniform(-12, 12), 0.0))
    shapes = {"jawOpen": float(rng.uniform(0.15, 0.45)), "eyeWide_L": 0.2, "eyeWide_R": 0.2}
    one = replace(one, pose=pose, eyes=pose[:2], weights=shapes, light=_FLAT, camera=Camera(SIDE, 1.7, 14.0))
    rendered, _ = heads.render(person, one, rng)
    linear = rendered.linear + 0.4 * (1 - rendered.cover[..., None])
    image = (255 * np.clip(linear, 0, 1) ** (1 / 2.2)).astype(np.uint8)[..., ::-1]
    mesh = mesher(np.ascontiguousarray(image))
    if mesh is None:
        return None
    turned = heads.vertices(person, one)
    return _traced(
        mesh[:POINTS].astype(np.float64), one.camera.project(turned), turned[:, 2], faces, assets.body.vertices
    )


def _traced(points: Array, seen: Array, depth: Array, faces: Array, rest: Array) -> Array:
    """(K, 3) places at rest of px points: on the nearest triangle to the camera, else the next vertex within 3 px."""
    first, second, third = (seen[faces[:, at]].astype(np.float64) for at in range(3))
    one, other = second - first, third - first
    area = one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
    front = area < 0  # y is down on pictures
    out = np.full((len(points), 3), np.nan)
    corners = np.unique(faces[front])
    for at, point in enumerate(points):
        to = point - first
        u = (to[:, 0] * other[:, 1] - to[:, 1] * other[:, 0]) / area
        v = (one[:, 0] * to[:, 1] - one[:, 1] * to[:, 0]) / area
        inside = np.flatnonzero(front & (u >= 0) & (v >= 0) & (u + v <= 1))
        if len(inside):
            best = inside[depth[faces[inside]].mean(1).argmax()]
            out[at] = np.array((1 - u[best] - v[best], u[best], v[best])) @ rest[faces[best]]
            continue
        distance = np.linalg.norm(seen[corners] - point, axis=1)
        if distance.min() < 3:
            out[at] = rest[corners[distance.argmin()]]
    return out


def _both_sides(rest: Array) -> Array:
    """The points made mirror images of each other: who mirrors whom is told from where they lie."""
    mirrored = rest * (-1, 1, 1)
    partner = np.linalg.norm(mirrored[:, None] - rest[None], axis=2).argmin(1)
    mutual = partner[partner] == np.arange(len(rest))
    print(f"{mutual.sum()} of {len(rest)} points have a partner")
    return np.where(mutual[:, None], (rest + mirrored[partner]) / 2, rest)


def _on_skin(points: Array, rest: Array, faces: Array) -> tuple[Array, Array]:
    """(K, 3) vertices and weights of the places on the skin next to points: 20 samples of each near triangle."""
    grid = np.array(
        [(1 - a - b, a, b) for a in np.linspace(0, 1, 11) for b in np.linspace(0, 1, 11) if a + b <= 1.0001]
    )
    middles = rest[faces].mean(1)
    vertices, weights = np.zeros((len(points), 3), np.int64), np.zeros((len(points), 3))
    for at, point in enumerate(points):
        near = np.linalg.norm(middles - point, axis=1).argsort()[:40]
        places = np.einsum("gk,fkd->fgd", grid, rest[faces[near]])
        face, sample = np.unravel_index(np.linalg.norm(places - point, axis=2).argmin(), places.shape[:2])
        vertices[at], weights[at] = faces[near[face]], grid[sample]
    return vertices, weights


if __name__ == "__main__":
    cv2.setNumThreads(1)
    main()

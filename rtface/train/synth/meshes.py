"""Triangle meshes: MakeHuman's .obj and .mhclo files, normals, and what is built from points."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rtface.datasets.labelled import Array
from rtface.errors import SourceError

_RANGE = re.compile(r"(\d+) - (\d+)|(\d+)")


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """Vertices (V, 3), triangles (F, 3) of vertices, texture places (F, 3, 2), and a group's name per triangle."""

    vertices: Array
    faces: Array
    uv: Array
    groups: Array


@dataclass(frozen=True, slots=True, eq=False)
class Proxy:
    """A mesh whose every vertex follows three of the base mesh's: Σ weight · vertex + offset · scale.

    Attributes:
        mesh: Its own faces and texture places.
        refs: (N, 3) vertices of the base mesh.
        weights: (N, 3).
        offsets: (N, 3) dm.
        scales: Axis → two vertices of the base mesh and the distance between them for which offsets hold.
    """

    mesh: Mesh
    refs: Array
    weights: Array
    offsets: Array
    scales: dict[int, tuple[int, int, float]] = field(default_factory=dict)

    def fit(self, base: Array) -> Array:
        """(N, 3) its vertices on a body."""
        placed = (base[self.refs] * self.weights[:, :, None]).sum(1)
        scale = np.ones(3, np.float32)
        for axis, (one, other, distance) in self.scales.items():
            scale[axis] = abs(base[one, axis] - base[other, axis]) / distance
        return np.asarray(placed + self.offsets * scale, np.float32)

    def above(self, base: Array, low: float, wide: float) -> Proxy:
        """What of it lies above a height and not too far aside on a body."""
        rest = self.fit(base)
        seen = ((rest[:, 1] > low) & (np.abs(rest[:, 0]) < wide))[self.mesh.faces].any(1)
        faces, old, chosen = kept(self.mesh.faces, np.asarray(seen))
        mesh = Mesh(self.mesh.vertices[old], faces, self.mesh.uv[chosen], self.mesh.groups[chosen])
        return Proxy(mesh, self.refs[old], self.weights[old], self.offsets[old], self.scales)


def read_obj(path: Path) -> Mesh:
    """A Wavefront file; polygons become fans of triangles.

    Raises:
        SourceError: The file is missing or is not one.
    """
    vertices: list[list[float]] = []
    places: list[list[float]] = []
    corners: list[list[tuple[int, int]]] = []
    names: list[str] = []
    group = ""
    try:
        for line in path.read_text(encoding="utf-8", errors="ignore").splitlines():
            word, *rest = line.split() or [""]
            if word == "v":
                vertices.append([float(value) for value in rest[:3]])
            elif word == "vt":
                places.append([float(value) for value in rest[:2]])
            elif word == "g":
                group = rest[0] if rest else ""
            elif word == "f":
                polygon = [_corner(text) for text in rest]
                for at in range(1, len(polygon) - 1):
                    corners.append([polygon[0], polygon[at], polygon[at + 1]])
                    names.append(group)
    except (OSError, ValueError) as error:
        raise SourceError(str(path), f"is not a mesh that can be read ({error})", "Unpack the assets again") from error
    index = np.asarray(corners, np.int64).reshape(-1, 3, 2)
    uv = np.asarray(places or [[0.0, 0.0]], np.float32)[np.maximum(index[:, :, 1], 0)]
    return Mesh(np.asarray(vertices, np.float32), index[:, :, 0], uv, np.asarray(names))


def _corner(text: str) -> tuple[int, int]:
    parts = text.split("/")
    return int(parts[0]) - 1, int(parts[1]) - 1 if len(parts) > 1 and parts[1] else -1


def read_proxy(path: Path) -> Proxy:
    """PATH.mhclo with PATH.obj, or PATH.npz of the same content."""
    archive = path.with_suffix(".npz")
    if archive.is_file():
        with np.load(archive) as file:
            mesh = Mesh(file["v0"], file["f"], file["vt"][file["ft"]], np.full(len(file["f"]), ""))
            return Proxy(mesh, file["ref"], file["w"], file["off"])
    refs: list[list[int]] = []
    weights: list[list[float]] = []
    offsets: list[list[float]] = []
    scales: dict[int, tuple[int, int, float]] = {}
    bound = False
    for line in path.with_suffix(".mhclo").read_text(encoding="utf-8", errors="ignore").splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in ("verts", "delete_verts"):
            bound = words[0] == "verts"
        elif words[0] in ("x_scale", "y_scale", "z_scale"):
            scales["xyz".index(words[0][0])] = (int(words[1]), int(words[2]), float(words[3]))
        elif bound and words[0].lstrip("-").isdigit():
            three = len(words) >= 6
            refs.append([int(word) for word in words[:3]] if three else [int(words[0])] * 3)
            weights.append([float(word) for word in words[3:6]] if three else [1.0, 0.0, 0.0])
            offsets.append([float(word) for word in words[6:9]] if len(words) >= 9 else [0.0, 0.0, 0.0])
    mesh = read_obj(path.with_suffix(".obj"))
    return Proxy(mesh, np.asarray(refs), np.asarray(weights, np.float32), np.asarray(offsets, np.float32), scales)


def normals(positions: Array, faces: Array) -> Array:
    """(V, 3) unit normals, mean of a vertex' triangles by area."""
    first, second, third = (positions[faces[:, at]] for at in range(3))
    across = np.cross(second - first, third - first)
    out = np.zeros((len(positions), 3))
    for axis in range(3):
        for at in range(3):
            out[:, axis] += np.bincount(faces[:, at], across[:, axis], len(positions))
    return np.asarray(out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12), np.float32)


def kept(faces: Array, keep: Array) -> tuple[Array, Array, Array]:
    """Of triangles where `keep` (F,) is true: faces of renumbered vertices, old vertex of each new one, old faces."""
    chosen = np.flatnonzero(keep)
    old, new = np.unique(faces[chosen], return_inverse=True)
    return new.reshape(-1, 3), old, chosen


def grid_faces(rows: int, columns: int, closed: bool = False) -> Array:
    """(F, 3) triangles of a grid of vertices, row by row; closed = the last column meets the first."""
    across = columns if closed else columns - 1
    at = np.arange(rows * columns).reshape(rows, columns)
    right = np.roll(at, -1, axis=1)[:, :across]
    left = at[:, :across]
    one = np.stack([left[:-1], right[:-1], left[1:]], -1).reshape(-1, 3)
    other = np.stack([right[:-1], right[1:], left[1:]], -1).reshape(-1, 3)
    return np.concatenate([one, other])


def tube(path: Array, radius: float, sides: int = 6, closed: bool = False) -> tuple[Array, Array]:
    """Vertices and triangles of a tube of `radius` along (N, 3) points."""
    along = np.gradient(path, axis=0) if not closed else np.roll(path, -1, 0) - np.roll(path, 1, 0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    aside = np.cross(along, np.where(np.abs(along[:, 1:2]) < 0.9, (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True) + 1e-9
    other = np.cross(along, aside)
    turn = np.linspace(0, 2 * np.pi, sides, endpoint=False)[None, :, None]
    ring = path[:, None] + radius * (np.cos(turn) * aside[:, None] + np.sin(turn) * other[:, None])
    rows = np.concatenate([ring, ring[:1]]) if closed else ring
    return np.asarray(rows.reshape(-1, 3), np.float32), grid_faces(len(rows), sides, closed=True)


def ball(centre: Array, radii: Array, rows: int = 8, columns: int = 12) -> tuple[Array, Array]:
    """Vertices and triangles of an ellipsoid."""
    up = np.linspace(0, np.pi, rows)[:, None]
    turn = np.linspace(0, 2 * np.pi, columns, endpoint=False)[None]
    unit = np.stack(np.broadcast_arrays(np.sin(up) * np.cos(turn), np.cos(up), np.sin(up) * np.sin(turn)), -1)
    return np.asarray(centre + unit.reshape(-1, 3) * radii, np.float32), grid_faces(rows, columns, closed=True)

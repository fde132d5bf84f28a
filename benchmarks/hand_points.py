"""Parts of `benchmarks.correct_points`: how a correction moves 68 points, what corrections teach, and enlarged faces.

Points are (68, 2) px in iBUG-68 order; left and right are the picture's. A unit is 1 % of the distance of the outer eye
corners, as the face lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.geometry.mirror import MIRROR_68, MIRROR_478

Array = NDArray[Any]

JAW = tuple(range(0, 17, 2))  # control points of the jaw
BROWS = {"brow_left": {"outer": 17, "peak": 19, "inner": 21}, "brow_right": {"inner": 22, "peak": 24, "outer": 26}}
_BETWEEN = {18: (17, 19), 20: (19, 21), 23: (22, 24), 25: (24, 26)}
COMPONENTS, RIDGE = 20, 10.0  # what is learned is held back from 5 faces in turn: 10 to 30 components are alike
SIDE = 540  # px of a face on a sheet
_GREEN, _PLUS, _MINUS, _WHITE = (60, 255, 60), (0, 230, 255), (80, 80, 255), (255, 255, 255)


def axes(points: Array) -> tuple[Array, Array, float]:
    """Unit vectors to the right and down along the face, and the outer eye corners' distance, px."""
    across = points[45] - points[36]
    ocular = max(float(np.linalg.norm(across)), 1e-6)
    right = across / ocular
    return right, np.array((-right[1], right[0])), ocular


def jaw_normals(points: Array) -> Array:
    """(17, 2) unit vectors out of the face, across the jaw's contour."""
    along = np.gradient(points[:17], axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-6)
    return np.stack([-along[:, 1], along[:, 0]], axis=1)


def moved(points: Array, correction: Mapping[str, Any]) -> Array:
    """Points moved by a picture's correction, units:

    ``jaw``: {"0" … "16": outwards} at even points, the others move by their neighbours' mean. ``brow_left``,
    ``brow_right``: {"outer" | "peak" | "inner": [away from the nose, up]}, the points between move by the mean.
    ``points``: {"48": [right, down]}, alone. What is not named stays.

    Raises:
        ValueError: It names a control point that there is not.
    """
    right, down, ocular = axes(points)
    jaw = {int(at): float(value) for at, value in correction.get("jaw", {}).items()}
    alone = {int(at): value for at, value in correction.get("points", {}).items()}
    unknown = [*({*correction} - {"jaw", "points", *BROWS}), *({*jaw} - {*JAW}), *({*alone} - {*range(68)})]
    unknown += [one for name, to in BROWS.items() for one in correction.get(name, {}) if one not in to]
    if unknown:
        raise ValueError(f"no such control point: {', '.join(map(str, unknown))}")
    shift = np.zeros((68, 2))
    offsets = np.interp(np.arange(17), JAW, [jaw.get(at, 0.0) for at in JAW])
    shift[:17] = jaw_normals(points) * offsets[:, None]
    for name, controls in BROWS.items():
        outwards = -right if name == "brow_left" else right
        for control, (aside, up) in correction.get(name, {}).items():
            shift[controls[control]] = aside * outwards - up * down
    for at, (one, other) in _BETWEEN.items():
        shift[at] = (shift[one] + shift[other]) / 2.0
    for at, (x, y) in alone.items():
        shift[at] += x * right + y * down
    return np.asarray(points + shift * ocular / 100.0)


def distances(points: Array, others: Array) -> Array:
    """(68,) units between two sets of points, by the first's eye corners."""
    return np.asarray(np.linalg.norm(points - others, axis=1) * 100.0 / axes(points)[2])


class Lesson:
    """What corrected faces say about proposals: a ridge regression of corrections on the mesh, mirrored faces too.

    Args:
        meshes: (478, 2) px; ``proposals`` and ``corrected`` (68, 2) px, of the same faces.
    """

    def __init__(self, meshes: Sequence[Array], proposals: Sequence[Array], corrected: Sequence[Array]) -> None:
        faces = list(zip(meshes, proposals, corrected, strict=True))
        shapes = np.array([_in_frame(proposal, mesh) for mesh, proposal, _ in faces])
        shifts = np.array([_in_frame(p, c) - _in_frame(p, p) for _, p, c in faces])
        flip = np.array((-1.0, 1.0))
        shapes = np.concatenate([shapes, shapes[:, MIRROR_478] * flip])
        shifts = np.concatenate([shifts, shifts[:, MIRROR_68] * flip]).reshape(len(shapes), -1)
        flat = shapes.reshape(len(shapes), -1)
        self._middle, self._mean = flat.mean(0), shifts.mean(0)
        basis = np.linalg.svd(flat - self._middle, full_matrices=False)[2][:COMPONENTS]
        self._basis = basis / np.maximum(((flat - self._middle) @ basis.T).std(0), 1e-9)[:, None]
        reduced = (flat - self._middle) @ self._basis.T
        square = reduced.T @ reduced + RIDGE * np.eye(len(self._basis))
        self._weights = np.linalg.solve(square, reduced.T @ (shifts - self._mean))

    def __call__(self, mesh: Array, proposal: Array) -> Array:
        """The proposal (68, 2) px as the corrected faces would have it."""
        right, down, ocular = axes(proposal)
        reduced = (_in_frame(proposal, mesh).ravel() - self._middle) @ self._basis.T
        shift = (self._mean + reduced @ self._weights).reshape(68, 2)
        return np.asarray(proposal + shift @ np.stack([right, down]) * ocular)


def _in_frame(points68: Array, places: Array) -> Array:
    """Places along the face's own axes, from the eyes' middle, in outer eye corners' distances."""
    right, down, ocular = axes(points68)
    return np.asarray((places - (points68[36] + points68[45]) / 2.0) @ np.stack([right, down], axis=1) / ocular)


def face_tile(image: Array, points: Array, caption: str) -> Array:
    """A face, enlarged and upright, SIDE px square, with rulers across jaw and brows: a tick is 5 units."""
    tile, shown, unit = _enlarged(image, points, points[:17].mean(0) * 0.6 + points[27] * 0.4, 2.35, (SIDE, SIDE))
    for at, direction in zip(JAW, jaw_normals(shown)[::2], strict=True):
        _ruler(tile, shown[at], direction, 5.0 * unit, 3, str(at))
    _dots(tile, shown, caption)
    return tile


def brow_tile(image: Array, points: Array, caption: str) -> Array:
    """Both brows, twice as large as in `face_tile`, SIDE x SIDE / 2 px: a tick is 2 units."""
    middle = points[17:27].mean(0) * 0.8 + points[36:48].mean(0) * 0.2
    tile, shown, unit = _enlarged(image, points, middle, 1.45, (SIDE, SIDE // 2))
    for at in (at for controls in BROWS.values() for at in controls.values()):
        _ruler(tile, shown[at], np.array((0.0, -1.0)), 2.0 * unit, 3, "")
    _dots(tile, shown[17:27], caption)
    return tile


def _enlarged(
    image: Array, points: Array, centre: Array, across: float, size_wh: tuple[int, int]
) -> tuple[Array, Array, float]:
    """A cut as wide as `across` eye corners' distances, its contrast stretched; the points on it, px a unit."""
    right, down, ocular = axes(points)
    scale = size_wh[0] / (across * ocular)
    turn = np.stack([right, down]) * scale
    matrix = np.concatenate([turn, (np.array(size_wh) / 2 - turn @ centre)[:, None]], axis=1)
    cut = cv2.warpAffine(image, matrix, size_wh, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    low, high = np.percentile(cut, (1, 99))
    stretched = (cut.astype(np.float32) - low) * 255.0 / max(float(high - low), 30.0)
    tile = np.clip(stretched, 0, 255).astype(np.uint8)
    return tile, np.asarray(points @ matrix[:, :2].T + matrix[:, 2]), ocular * scale / 100.0


def _ruler(tile: Array, at: Array, direction: Array, step: float, reach: int, name: str) -> None:
    """Ticks along a direction, yellow on the + side and red on the other, every second longer; the name beyond."""
    side = np.array((-direction[1], direction[0]))
    for count in [*range(-reach, 0), *range(1, reach + 1)]:
        middle, half = at + direction * count * step, side * (4 if count % 2 else 7)
        ends = [tuple(np.round((middle + sign * half) * 16).astype(int).tolist()) for sign in (-1, 1)]
        cv2.line(tile, ends[0], ends[1], _PLUS if count > 0 else _MINUS, 1, cv2.LINE_AA, 4)
    x, y = np.round(at + direction * (reach + 0.9) * step + (-6, 4)).astype(int).tolist()
    cv2.putText(tile, name, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.38, _WHITE, 1, cv2.LINE_AA)


def _dots(tile: Array, shown: Array, caption: str) -> None:
    for x, y in np.round(shown * 16).astype(int).tolist():
        cv2.circle(tile, (x, y), 40, (0, 0, 0), -1, cv2.LINE_AA, 4)
        cv2.circle(tile, (x, y), 28, _GREEN, -1, cv2.LINE_AA, 4)
    cv2.rectangle(tile, (0, 0), (9 * len(caption), 20), (0, 0, 0), -1)
    cv2.putText(tile, caption, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _WHITE, 1, cv2.LINE_AA)

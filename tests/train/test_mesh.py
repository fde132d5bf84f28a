"""Mesh to 68 points: a linear relation is recovered wherever the face stands."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.train.data.mesh import COMPONENTS, MeshToPoints
from tests.train.made import Array, mesh_of, placed

RNG = np.random.default_rng(3)
MODES = RNG.normal(0, 0.02, (12, 68, 2))  # twelve ways in which made-up faces differ


def shapes(count: int) -> list[Array]:
    """Faces of all sizes, places and turns."""
    made = []
    for weights in RNG.normal(0, 1, (count, 12)):
        face = placed(0, 0, 1, roll=RNG.uniform(-60, 60)) + np.einsum("m,mpc->pc", weights, MODES)
        made.append(face * RNG.uniform(10, 200) + RNG.uniform(0, 400, 2))
    return made


def test_recovers_a_linear_map() -> None:
    known = shapes(150)
    to_points = MeshToPoints([mesh_of(s).astype(np.float32) for s in known], [s.astype(np.float32) for s in known])
    for shape in shapes(10):
        found = to_points(mesh_of(shape).astype(np.float32))
        assert found.shape == (68, 2) and found.dtype == np.float32
        scale = np.ptp(shape)
        assert np.abs(found - shape).max() < 2e-3 * scale


def test_needs_more_faces_than_components() -> None:
    few = shapes(COMPONENTS)
    with pytest.raises(ValueError, match=f"more than {COMPONENTS} faces .* got {COMPONENTS}"):
        MeshToPoints([mesh_of(s) for s in few], few)

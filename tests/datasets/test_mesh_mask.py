"""A mesh's polygons as a parsing mask, on a face whose mesh is made of known outlines."""

from __future__ import annotations

import numpy as np

from rtface.datasets import mesh_mask
from rtface.datasets.mesh_mask import mask_of_mesh


def ellipse(outline: tuple[int, ...], mesh: np.ndarray, x: float, y: float, wide: float, high: float) -> None:
    turn = np.linspace(0, 2 * np.pi, len(outline), endpoint=False)
    mesh[list(outline)] = np.stack([x + wide * np.cos(turn), y + high * np.sin(turn)], 1)


def a_mesh() -> np.ndarray:
    """Eyes at (70, 60) and (130, 60), the subject's left on the right; a mouth at (100, 150)."""
    mesh = np.zeros((478, 2), np.float32)
    ellipse(mesh_mask._OVAL, mesh, 100, 100, 70, 90)
    ellipse(mesh_mask.NOSE, mesh, 100, 100, 15, 20)
    for outline, x, y in ((mesh_mask._EYE_L, 130, 60), (mesh_mask._EYE_R, 70, 60)):
        ellipse(outline, mesh, x, y, 15, 6)
    for outline, x, y in ((mesh_mask._BROW_L, 130, 40), (mesh_mask._BROW_R, 70, 40)):
        ellipse(outline, mesh, x, y, 18, 4)
    for top, low, wide, high in (
        (mesh_mask._OUTER_TOP, mesh_mask._OUTER_LOW, 30, 14),
        (mesh_mask._INNER_TOP, mesh_mask._INNER_LOW, 20, 5),
    ):
        up = np.linspace(np.pi, 2 * np.pi, len(top))
        down = np.linspace(0, np.pi, len(low) + 2)[1:-1]
        for outline, turn in ((top, up), (low, down)):
            mesh[list(outline)] = np.stack([100 + wide * np.cos(turn), 150 + high * np.sin(turn)], 1)
    return mesh


def test_parts_lie_where_the_mesh_has_them_and_left_is_the_subjects() -> None:
    mask = mask_of_mesh(a_mesh(), 200, 220)
    places = {(130, 60): 4, (70, 60): 5, (130, 40): 6, (70, 40): 7, (100, 100): 2, (50, 100): 1}
    assert {place: mask[place[1], place[0]] for place in places} == places
    assert (mask[140, 100], mask[150, 100], mask[160, 100]) == (11, 10, 12)
    assert mask[0, 0] == mask[215, 100] == 255


def test_outlines_have_an_unknown_seam() -> None:
    mask = mask_of_mesh(a_mesh(), 200, 220, seam=2)
    assert mask[60, 130] == 4 and mask[150, 100] == 10
    row = mask[60, 100:170]
    where = np.flatnonzero(np.diff(row.astype(int)))
    assert all(255 in (row[at], row[at + 1]) for at in where)  # no class touches another


def test_a_face_half_outside_is_cut_off() -> None:
    mask = mask_of_mesh(a_mesh() - (100, 0), 80, 220)
    assert mask.shape == (220, 80) and mask[60, 30] == 4 and 5 not in mask

"""What is painted on a skin: beards and lipstick, a colour per vertex."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from rtface.datasets.labelled import Array
from rtface.train.synth.assets import Assets
from rtface.train.synth.identity import Person

_LIPS = (11, 12)


def shades(assets: Assets, person: Person) -> Array:
    """(V, 4) colours of the base mesh' vertices that multiply the skin, and how grainy they are."""
    out = np.ones((len(assets.body.vertices), 4), np.float32) * (1, 1, 1, 0)
    if any(person.beard):
        grown = (np.stack(beard_areas(assets)) * np.array(person.beard)[:, None]).max(0)
        hair = np.minimum(np.array(person.hair_colour) * 2.0 + 0.03, 1.0)
        out[:, :3] = 1 - 0.85 * grown[:, None] * (1 - hair)
        out[:, 3] = grown * person.stubble
    lips = np.isin(assets.vertex_class, _LIPS)
    out[lips, :3] *= person.lips
    mouth = assets.vertex_class == 10
    out[mouth, :3] *= 0.45  # little light gets there
    return out


@lru_cache(maxsize=1)
def beard_areas(assets: Assets) -> tuple[Array, Array, Array]:
    """(V,) each, 0..1: moustache, chin, cheeks and jaw of the base mesh."""
    vertices, classes = assets.body.vertices, assets.vertex_class
    points = vertices[assets.landmarks68]
    x, y, z = np.abs(vertices[:, 0]), vertices[:, 1], vertices[:, 2]
    nose, lip, corner, chin = points[33, 1], points[51, 1], points[54], points[8]
    bare = np.isin(classes, (1, 17)) & (z > points[0, 2] - 0.15) & (x < 0.85)
    moustache = _ramp(nose - 0.02 - y, 0.05) * _ramp(y - lip + 0.1, 0.05) * _ramp(corner[0] + 0.08 - x, 0.08)
    below = _ramp(corner[1] - 0.02 - y, 0.08) * _ramp(y - chin[1] + 0.25, 0.15)
    goatee = below * _ramp(0.3 - x, 0.1)
    cheek = corner[1] + 0.05 + 1.15 * np.maximum(x - corner[0], 0)
    full = (
        _ramp(np.minimum(cheek, points[0, 1] - 0.05) - y, 0.12) * _ramp(y - chin[1] + 0.25, 0.15) * _ramp(x - 0.2, 0.1)
    )
    return moustache * bare, goatee * bare, full * bare


def _ramp(distance: Array, width: float) -> Array:
    """0 where `distance` is below 0, 1 from `width` on."""
    return np.asarray(np.clip(distance / width, 0, 1), np.float32)

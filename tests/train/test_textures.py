"""Made pictures without faces."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.train.data import textures
from rtface.train.data.textures import texture


@pytest.mark.parametrize("kind", textures._KINDS, ids=lambda kind: str(kind.__name__))
def test_every_kind_fills_its_range_and_no_two_are_alike(kind: object) -> None:
    rng = np.random.default_rng(0)
    made = [kind(64, rng) for _ in range(8)]  # type: ignore[operator]
    assert all(field.shape == (64, 64) and field.dtype == np.float32 for field in made)
    assert all(0 <= field.min() < field.max() <= 1 and np.isfinite(field).all() for field in made)
    assert len({field.tobytes() for field in made}) == 8


def test_a_texture_is_a_picture_grey_or_coloured() -> None:
    rng = np.random.default_rng(1)
    made = [texture(48, rng) for _ in range(40)]
    assert all(picture.shape == (48, 48, 3) and picture.dtype == np.uint8 for picture in made)
    grey = sum(bool((picture == picture[..., :1]).all()) for picture in made)
    assert 8 < grey < 32
    assert np.mean([picture.std() > 5 for picture in made]) > 0.8  # something is to be seen

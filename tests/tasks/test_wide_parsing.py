"""A still's map goes on around the face's crop, with what belongs to this face and to no other."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.geometry.crop import Crop, crop_to_frame_matrix
from rtface.labels import PARSING_CLASSES
from rtface.tasks.wide_parsing import WIDE, widened, wider
from rtface.types import Parsing

SKIN, HAIR, CLOTH, LIP = (PARSING_CLASSES.index(name) for name in ("skin", "hair", "cloth", "upper_lip"))
CROP = Crop(200.0, 150.0, 100.0, roll=20.0)


def tight(size: int = 128) -> Parsing:
    """A face in hair that runs out of its crop above."""
    labels = np.zeros((size, size), np.uint8)
    labels[: 3 * size // 4, size // 4 : 3 * size // 4] = HAIR
    labels[size // 4 : 3 * size // 4, size // 3 : 2 * size // 3] = SKIN
    return Parsing(labels, crop_to_frame_matrix(CROP, size))


def around(**boxes: tuple[slice, slice]) -> NDArray[np.uint8]:
    """The wider square's map with these classes in these places."""
    labels = np.zeros((128, 128), np.uint8)
    for name, place in boxes.items():
        labels[place] = PARSING_CLASSES.index(name)
    return labels


@pytest.mark.parametrize("size", [128, 256])
def test_within_the_crop_its_own_map_holds_pixel_for_pixel(size: int) -> None:
    own = tight(size)
    wide = widened(own, CROP, np.full((128, 128), CLOTH, np.uint8))
    margin, whole = size // 4, size * 3 // 2
    assert wide.labels.shape == (whole, whole)
    assert (wide.labels[margin:-margin, margin:-margin] == own.labels).all()
    # A pixel lies where it lay in the frame.
    for x, y in ((0, 0), (size - 1, 5), (size // 2, size // 3)):
        before = own.to_frame @ (x, y, 1)
        assert wide.to_frame @ (x + margin, y + margin, 1) == pytest.approx(before, abs=1e-9)


def test_hair_goes_on_where_the_crop_ends() -> None:
    own = tight()
    hair = around(hair=(slice(5, 30), slice(40, 88)))
    wide = widened(own, CROP, hair)
    above = wide.labels[:32]
    assert set(np.unique(above)) == {0, HAIR} and (above == HAIR).mean() > 0.2
    rows = np.flatnonzero((above == HAIR).any(axis=1))
    assert rows[0] == pytest.approx(5 * 1.5, abs=1.5)  # 128 px of the wider square are 192 of the map
    assert (wide.labels[40:, :30] == 0).all()


def test_what_is_no_part_of_this_face_is_left_out() -> None:
    own = tight()
    lone = around(cloth=(slice(120, 128), slice(0, 40)), hair=(slice(5, 30), slice(40, 88)))
    wide = widened(own, CROP, lone)
    assert (wide.labels[170:] == 0).all()  # cloth that touches nothing of the face
    assert (wide.labels[:32] == HAIR).any()
    faces = widened(own, CROP, around(skin=(slice(0, 30), slice(40, 88)), upper_lip=(slice(110, 128), slice(40, 88))))
    assert not np.isin(faces.labels[:32], (SKIN, LIP)).any()  # another face's skin and lips


def test_hair_nearer_to_another_face_is_that_ones() -> None:
    own = Parsing(tight().labels, crop_to_frame_matrix(Crop(200, 150, 100), 128))
    crop, hair = Crop(200.0, 150.0, 100.0), around(hair=(slice(0, 30), slice(0, 128)))
    alone = widened(own, crop, hair).labels
    beside = widened(own, crop, hair, [Crop(290.0, 150.0, 100.0), Crop(900.0, 150.0, 100.0)]).labels
    assert (alone[:40, 170:] == HAIR).any() and not (beside[:40, 170:] == HAIR).any()
    assert (beside[:40, :100] == alone[:40, :100]).all()
    big = widened(own, crop, hair, [Crop(290.0, 150.0, 400.0)]).labels  # in its own sides it is near to all of it
    assert (big == HAIR).sum() < (beside == HAIR).sum()


def test_the_wider_square_is_concentric() -> None:
    assert wider(CROP) == Crop(CROP.x, CROP.y, WIDE * CROP.side, CROP.roll)


def test_an_empty_map_stays_empty() -> None:
    nothing = Parsing(np.zeros((128, 128), np.uint8), crop_to_frame_matrix(CROP, 128))
    assert not widened(nothing, CROP, np.full((128, 128), HAIR, np.uint8)).labels.any()

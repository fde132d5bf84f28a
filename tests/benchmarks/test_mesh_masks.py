"""Portraits get masks of their meshes; what has a mask keeps it."""

from __future__ import annotations

import numpy as np

from benchmarks.mesh_masks import agreement, masked
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.mesh_mask import mask_of_mesh
from tests.datasets.test_mesh_mask import a_mesh

PICTURE = np.zeros((220, 200, 3), np.uint8)
FACE = FaceLabel(mesh478=a_mesh())


def test_a_portrait_gets_its_meshs_mask() -> None:
    made = masked(0, LabelledImage("a", "mine", PICTURE, (FACE,), licence="CC0"))
    _, mask = made.load()
    assert mask is not None and mask[60, 130] == 4 and mask[0, 0] == 255
    assert (made.parsing_scheme, made.parsing_source, made.licence) == ("celebamask19", "mesh", "CC0")


def test_other_pictures_stay_as_they_are() -> None:
    own = LabelledImage("a", "mine", PICTURE, (FACE,), mask=lambda: PICTURE[..., 0])
    crowd = LabelledImage("b", "mine", PICTURE, (FACE, FACE))
    bare = LabelledImage("c", "mine", PICTURE, (FaceLabel(),))
    assert [masked(0, one) is one for one in (own, crowd, bare)] == [True] * 3


def test_a_mask_agrees_with_itself_and_not_with_the_mirrored_face() -> None:
    truth = mask_of_mesh(a_mesh(), 200, 220)
    image = LabelledImage("a", "mine", PICTURE, (FACE,), mask=lambda: truth)
    assert set(agreement([image], 0).values()) == {100.0}
    mirrored = LabelledImage("a", "mine", PICTURE, (FACE,), mask=lambda: truth[:, ::-1])
    assert agreement([mirrored], 0)["left_eye"] < 5

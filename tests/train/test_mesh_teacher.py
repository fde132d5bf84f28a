"""The mesh as a second teacher: what the two say together, who is who, and what the map is fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.errors import UsageError
from rtface.geometry.crop import crop_from_landmarks, points5_from_landmarks
from rtface.train.mesh_teacher import FEW, MeshTeacher, fitted, ocular, paired
from tests.train.made import Array, mesh_of, placed
from tests.train.test_mesh import shapes


def first68(mesh: Array) -> Array:
    return mesh[:68]


def a_mesh(points68: Array) -> Array:
    """Of which `first68` makes the points again."""
    return np.concatenate([points68, np.zeros((410, 2))]).astype(np.float32)


def test_a_label_of_two_teachers_lies_between_them() -> None:
    own = placed(100, 80, 40)
    shift = 0.04 * ocular(own)  # the mesh says: all points 4 % of the eyes' distance further right
    mesh = a_mesh(np.add(own, (shift, 0.0)))
    label, spread = MeshTeacher(first68, 0.25).together(own, 1.5, mesh)
    np.testing.assert_allclose(label, np.add(own, (0.25 * shift, 0.0)), atol=1e-3)
    assert spread == pytest.approx(np.sqrt((1.5**2 + 2.0**2) / 2), rel=1e-3)
    alone, same = MeshTeacher(first68, 1.0).together(own, 1.5, mesh)
    np.testing.assert_allclose(alone, np.add(own, (shift, 0.0)), atol=1e-3)
    assert same == pytest.approx(spread, rel=1e-3)


def test_teachers_that_agree_are_surer_than_one() -> None:
    own = placed(100, 80, 40)
    _, spread = MeshTeacher(first68).together(own, 1.5, a_mesh(own))
    assert spread == pytest.approx(1.5 / np.sqrt(2), rel=1e-3)


def test_a_known_face_is_the_one_that_lies_there() -> None:
    left, right = placed(60, 60, 20), placed(200, 70, 24, roll=20)
    found = [crop_from_landmarks(left), crop_from_landmarks(right + 3.0)]
    by_points5 = FaceLabel(points5=points5_from_landmarks(right), points5_source="human")
    by_mesh = FaceLabel(mesh478=a_mesh(left + 2.0))
    elsewhere = FaceLabel(landmarks68=placed(60, 220, 20))
    assert paired(found, [elsewhere, by_points5, by_mesh], first68) == [by_mesh, by_points5]
    assert paired(found, [elsewhere, by_points5, by_mesh]) == [None, by_points5]  # nobody reads the mesh
    low, high = left.min(0), left.max(0)
    by_box = FaceLabel(box_xyxy=np.array((*low, *high)))
    assert paired(found, [by_box]) == [by_box, None]
    near, nearer = FaceLabel(landmarks68=left + 9.0), FaceLabel(landmarks68=left + 1.0)
    assert paired(found, [near, nearer]) == [nearer, None]
    assert paired([found[0], found[0]], [nearer]) == [nearer, None]  # each serves once
    assert paired([], [near]) == [] and paired(found, []) == [None, None]


def test_the_map_is_fitted_on_hand_labelled_faces_with_a_mesh() -> None:
    def record(points: Array, source: str) -> LabelledImage:
        face = FaceLabel(mesh478=mesh_of(points).astype(np.float32), landmarks68=points, landmarks68_source=source)
        return LabelledImage("a", "made", np.zeros((4, 4, 3), np.uint8), (face, FaceLabel(mesh478=face.mesh478)))

    some = [record(points, "human") for points in shapes(FEW + 1)]
    wrong = [record(points + 50.0, "own") for points in shapes(20)]
    to_points = fitted([*some, *wrong], "a.parquet")
    (shape,) = shapes(1)
    assert np.abs(to_points(mesh_of(shape).astype(np.float32)) - shape).max() < 2e-3 * np.ptp(shape)
    with pytest.raises(UsageError, match=rf"a\.parquet: holds {FEW} faces .* more than {FEW}\. .* with --fit, or pass"):
        fitted([*some[1:], *wrong], "a.parquet")

"""The jaw slides along the visible contour, on both sides alike; irises stand where the eye looks."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.geometry.mirror import MIRROR_68
from rtface.train.synth import truth
from rtface.train.synth.camera import Camera, rotation
from rtface.train.synth.meshes import ball

CAMERA = Camera(side=200, half_height=2.0, fov=15.0)
RADII = np.array((0.8, 1.1, 1.0))
CENTRE = np.array((0.0, 7.0, 0.6))
#: A head that is an ellipsoid, and a jaw on its side.
VERTICES, FACES = ball(CENTRE, RADII, 60, 80)
ANGLES = np.radians(np.linspace(170, 370, 17))
JAW = CENTRE + np.stack([0.8 * np.cos(ANGLES), 1.05 * np.sin(ANGLES), np.zeros(17)], 1)
CURVES = truth.slides(VERTICES, FACES, JAW)


def jaw_at(yaw: float, pitch: float = 0.0) -> np.ndarray:
    turned = (VERTICES - CENTRE) @ rotation(yaw, pitch, 0).T
    return truth.slid_jaw(CURVES, JAW, turned, np.eye(2), CAMERA.project)


def contour(yaw: float) -> np.ndarray:
    return CAMERA.project((VERTICES - CENTRE) @ rotation(yaw, 0, 0).T)


def test_on_a_frontal_head_the_jaw_is_its_outline() -> None:
    outline = contour(0)
    jaw = jaw_at(0)
    assert jaw[0, 0] == pytest.approx(outline[:, 0].min(), abs=2)
    assert jaw[16, 0] == pytest.approx(outline[:, 0].max(), abs=2)
    assert jaw[8, 1] == pytest.approx(outline[:, 1].max(), abs=2)


def test_the_far_side_of_a_turned_head_ends_where_the_head_ends() -> None:
    outline, jaw = contour(40), jaw_at(40)  # nose to the image's right: the subject's left is far
    assert jaw[16, 0] == pytest.approx(outline[:, 0].max(), abs=3)
    place = CAMERA.project((JAW - CENTRE) @ rotation(40, 0, 0).T)
    assert jaw[16, 0] > place[16, 0] + 5  # the jaw itself is hidden behind the cheek
    assert jaw[0, 0] == pytest.approx(place[0, 0], abs=4)  # and seen on the near side


@pytest.mark.parametrize(("yaw", "pitch"), [(25.0, 0.0), (60.0, -15.0)])
def test_a_mirrored_head_has_a_mirrored_jaw(yaw: float, pitch: float) -> None:
    one, other = jaw_at(yaw, pitch), jaw_at(-yaw, pitch)
    mirrored = one[MIRROR_68[:17]] * (-1, 1) + (199, 0)
    np.testing.assert_allclose(other, mirrored, atol=2.0)


def test_skin_that_is_missing_before_the_jaw_is_an_error() -> None:
    with pytest.raises(ValueError, match="no skin"):
        truth.slides(VERTICES, FACES, JAW + np.array((0, 0, 9)))


def test_an_iris_is_middle_right_top_left_bottom_and_follows_the_look() -> None:
    straight = CAMERA.project(truth.iris(np.zeros(3), 0.12, np.array((0.0, 0.0, 1.0))))
    middle, right, top, left, bottom = straight
    assert right[0] > middle[0] > left[0] and top[1] < middle[1] < bottom[1]
    aside = np.array((np.sin(0.5), 0.0, np.cos(0.5)))
    assert CAMERA.project(truth.iris(np.zeros(3), 0.12, aside))[0, 0] > middle[0] + 1


def test_the_mesh_table_is_weights_of_vertices_and_both_sides_alike() -> None:
    vertices, weights = truth.mesh_table()
    assert vertices.shape == weights.shape == (468, 3) and vertices.max() < 19158
    np.testing.assert_allclose(weights.sum(1), 1.0, atol=1e-5)


def test_the_jaw_at_rest_is_evenly_spaced_and_both_sides_alike() -> None:
    steps = np.linalg.norm(np.diff(truth.JAW_AT_REST[:, :2], axis=0), axis=1)
    assert steps.max() - steps.min() < 0.03
    np.testing.assert_allclose(truth.JAW_AT_REST[::-1] * (-1, 1, 1), truth.JAW_AT_REST)


def test_brow_points_run_evenly_from_the_images_left_to_its_right() -> None:
    along, up = np.meshgrid(np.linspace(-0.6, 0.6, 121), np.linspace(0.0, 0.1, 5))
    places = np.stack([along.ravel(), up.ravel(), np.ones(along.size)], 1)
    opacity = np.where((np.abs(places[:, 0]) > 0.1) & (np.abs(places[:, 0]) < 0.5), 1.0, 0.0)
    chosen = places[truth.brow_points(places, opacity, places)]
    np.testing.assert_allclose(chosen[:5, 0], (-0.5, -0.4, -0.3, -0.2, -0.1), atol=0.02)
    np.testing.assert_allclose(chosen[5:, 0], (0.1, 0.2, 0.3, 0.4, 0.5), atol=0.02)
    np.testing.assert_allclose(chosen[:, 1], 0.1, atol=0.026)  # the upper edge
    with pytest.raises(ValueError, match="no hair"):
        truth.brow_points(places, np.zeros(len(places)), places)

"""What is rendered lies where the camera projects it."""

from __future__ import annotations

import numpy as np
import pytest

from rtface.train.synth.camera import Camera
from rtface.train.synth.gl import Light, Part, Renderer

LIGHT = Light(np.concatenate([np.ones((1, 3)), np.zeros((8, 3))]), np.array((0.0, 0.0, 1.0)), np.zeros(3))
CAMERA = Camera(side=96, half_height=2.0, fov=30.0, shift=(0.04, -0.03))


def square(middle: tuple[float, float, float], label: int, half: float = 0.1, **more: object) -> Part:
    corners = np.array(((-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0))) * half + middle
    faces = np.array(((0, 1, 2), (0, 2, 3)))
    places = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), np.float32)[faces]
    normals = np.broadcast_to((0.0, 0.0, 1.0), (4, 3))
    white = np.full((2, 2, 4), 255, np.uint8)
    return Part(corners.astype(np.float32), normals, faces, places, np.full(2, label), lambda: white, "white", **more)


def middle_of(where: np.ndarray) -> np.ndarray:
    return np.argwhere(where)[:, ::-1].mean(0)


def test_a_marker_is_drawn_where_its_middle_is_projected(renderer: Renderer) -> None:
    places = {4: (0.7, 0.5, 1.0), 5: (-0.9, 0.2, -1.0), 12: (0.1, -1.1, 0.0)}
    parts = [square(place, label) for label, place in places.items()]
    out = renderer.render(parts, CAMERA.projection(), LIGHT, 96, CAMERA.eye_z, 0)
    for label, place in places.items():
        expected = CAMERA.project(np.array(place))
        np.testing.assert_allclose(middle_of(out.labels == label), expected, atol=0.6)
        x, y = expected.round().astype(int)
        assert out.cover[y, x] == 1.0 and out.linear[y, x].min() > 0.9


def test_the_nearer_part_covers_the_other_and_nothing_is_drawn_elsewhere(renderer: Renderer) -> None:
    parts = [square((0, 0, 1.0), 2, 0.3), square((0, 0, 0.0), 1, 0.8)]
    out = renderer.render(parts, CAMERA.projection(), LIGHT, 96, CAMERA.eye_z, 0)
    x, y = CAMERA.project(np.zeros(3)).round().astype(int)
    assert out.labels[y, x] == 2 and set(np.unique(out.labels)) == {0, 1, 2}
    assert out.cover[0, 0] == 0.0 and not out.linear[0, 0].any()


def test_a_lens_is_told_apart_and_hidden_by_what_is_before_it(renderer: Renderer) -> None:
    parts = [square((0, 0, 0), 1, 0.8), square((0, 0, 0.5), 3, 0.4, lens=True), square((0.2, 0, 0.8), 13, 0.15)]
    out = renderer.render(parts, CAMERA.projection(), LIGHT, 96, CAMERA.eye_z, 0)
    x, y = CAMERA.project(np.array((-0.2, 0.0, 0.5))).round().astype(int)
    assert out.lens[y, x] == 1.0 and out.labels[y, x] == 1
    x, y = CAMERA.project(np.array((0.2, 0.0, 0.8))).round().astype(int)
    assert out.lens[y, x] == 0.0 and out.labels[y, x] == 13


def test_a_key_light_throws_a_shadow(renderer: Renderer) -> None:
    key = Light(np.zeros((9, 3)), np.array((1.0, 0.0, 1.0)), np.ones(3))
    parts = [square((0, 0, 0), 1, 1.5), square((0.5, 0, 0.5), 13, 0.25)]
    out = renderer.render(parts, CAMERA.projection(), key, 96, CAMERA.eye_z, 0)
    shadow, lit = (CAMERA.project(np.array(place)).round().astype(int) for place in ((0, 0, 0), (0, 1.0, 0)))
    assert out.linear[shadow[1], shadow[0]].max() < 0.2 < 0.5 < out.linear[lit[1], lit[0]].max()


def test_the_same_parts_make_the_same_pixels(renderer: Renderer) -> None:
    part = square((0, 0, 0), 13, 0.8, cut=0.3, opacity=0.7)
    one, other = (renderer.render([part], CAMERA.projection(), LIGHT, 96, CAMERA.eye_z, 5) for _ in range(2))
    assert np.array_equal(one.labels, other.labels) and np.array_equal(one.linear, other.linear)
    assert 0.1 < one.cover.mean() / (one.cover > 0).mean() < 1.0  # hair: neither solid nor gone
    assert pytest.approx(one.cover.max()) == 1.0

"""Heads laid over each other keep the labels of what is seen."""

from __future__ import annotations

import numpy as np

from rtface.datasets.labelled import FaceLabel
from rtface.train.synth import lights
from rtface.train.synth.classes import LASH, cleaned
from rtface.train.synth.gl import Rendered
from rtface.train.synth.scenes import _behind_lenses, _laid, _visible

RNG = np.random.default_rng


def tile(side: int, label: int, light: float) -> Rendered:
    """A head that fills the middle of its tile."""
    labels = np.zeros((side, side), np.uint8)
    labels[side // 4 : -side // 4, side // 4 : -side // 4] = label
    cover = (labels > 0).astype(np.float32)
    return Rendered(light * np.repeat(cover[..., None], 3, 2), cover, labels, np.zeros_like(cover))


def test_a_tile_lies_where_it_was_put_even_over_the_edge() -> None:
    linear, labels = np.zeros((60, 80, 3), np.float32), np.zeros((60, 80), np.uint8)
    linear, labels = _laid(linear, labels, tile(40, 13, 0.5), (-12, 30), RNG(0))
    assert np.argwhere(labels == 13).min(0).tolist() == [40, 0]
    assert np.argwhere(labels == 13).max(0).tolist() == [59, 17]
    assert (linear[labels == 13] == 0.5).all() and not linear[labels == 0].any()


def test_hidden_faces_lose_their_points_then_their_label() -> None:
    owner = np.full((10, 30), -1)
    owner[:, :10], owner[:5, 10:20], owner[:2, 20:30] = 0, 1, 2
    points = np.zeros((68, 2), np.float32)
    faces = [
        FaceLabel(box_xyxy=np.array((x - 5.0, 0.0, x + 9.0, 9.0), np.float32), landmarks68=points)
        for x in (0.0, 10.0, 20.0, 40.0)
    ]
    told, ignored = _visible(faces, [100, 100, 100, 100], owner)
    assert [face.landmarks68 is not None for face in told] == [True, False]
    assert told[0].box_xyxy is not None and told[0].box_xyxy[0] == 0.0  # clipped to the picture
    assert [box.tolist() for box in ignored] == [[15.0, 0.0, 29.0, 9.0]]  # the fourth is not seen at all


def test_brows_are_closed_and_other_classes_stay() -> None:
    labels = np.ones((120, 120), np.uint8)
    labels[40:44, 20:60:2] = 6  # hairs with gaps
    labels[60:64, 70:90] = 5
    labels[62, 74:80] = labels[50, 70:90] = LASH
    out = cleaned(labels)
    assert (out[41, 22:58] == 6).all()
    assert (out[60:64, 70:90] == 5).all() and (out == 5).sum() == 80  # lashes over the eye are eye, others skin
    assert set(np.unique(out)) == {1, 5, 6}


def test_clear_lenses_leave_eyes_to_be_seen_and_dark_ones_hide_them() -> None:
    head = tile(40, 1, 0.5)
    head.labels[18:22, 18:22] = 5
    head.lens[14:26, 14:26] = 1.0
    seen = {_behind_lenses(head, RNG(seed))[1][20, 20] for seed in range(30)}
    assert seen == {5, 3}
    for seed in range(5):
        assert _behind_lenses(head, RNG(seed))[1][15, 15] == 3


def test_light_has_all_its_moods_and_backgrounds_fit() -> None:
    scenes = [lights.sample(RNG(seed)) for seed in range(200)]
    assert 0.05 < np.mean([scene.night for scene in scenes]) < 0.25
    assert np.mean([scene.light.direction[2] < 0 and scene.background > 1.4 for scene in scenes]) > 0.02
    photo = np.full((50, 70, 3), (255, 0, 0), np.uint8)
    for seed in range(12):
        made = lights.background(RNG(seed), 90, 40, [photo] if seed % 2 else [])
        assert made.shape == (40, 90, 3) and made.min() >= 0 and made.max() <= 1

"""Detector scenes: labels stay with the pixels under every scale, turn, flip and stitch; feedback steers the mix."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel
from rtface.errors import InputError
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.scene_sources import SourcePicture, build_sources, source_picture
from rtface.train.data.scenes import CLOSING, CLOSING_SIZE, SHARES, Scene, SceneMaker, covered
from tests.train.made import Array, a_picture

CENTRE, RADIUS = (70.0, 60.0), 25.0
POINTS = np.array(((-9, -8), (11, -6), (4, 1), (-7, 10), (8, 11)), np.float32) + np.float32(CENTRE)


def square() -> Picture:
    """A black picture with one bright square, labelled as a face: its box is the square."""
    image = np.zeros((130, 160, 3), np.uint8)
    cv2.rectangle(image, (45, 35), (95, 85), (255, 255, 255), -1)
    box = np.array((44.5, 34.5, 95.5, 85.5), np.float32)
    return a_picture("square", "wider", "train", image, [FaceLabel(box_xyxy=box)])


def disc(source: str = "wider") -> Picture:
    """A black picture with one bright disc, labelled as a face with five lopsided points and a pose."""
    image = np.zeros((130, 160, 3), np.uint8)
    cv2.circle(image, (70, 60), 25, (255, 255, 255), -1, cv2.LINE_AA)
    box = np.array((70 - RADIUS, 60 - RADIUS, 70 + RADIUS, 60 + RADIUS), np.float32)
    pose = np.array((20.0, 5.0, 8.0), np.float32)
    return a_picture("disc", source, "train", image, [FaceLabel(box_xyxy=box, points5=POINTS, pose=pose)])


def maker(*pictures: Picture, size: int = 256, seed: int = 0) -> SceneMaker:
    made = SceneMaker(build_sources(pictures), size, np.random.default_rng(seed))
    made._photometric = lambda image: image  # type: ignore[method-assign]
    made.pasted = 0.0  # a pasted disc would touch the measured one
    return made


def bright(scene: Scene) -> Array:
    """Only the planted shape is full white: canvases stop at 254."""
    return (scene.image > 254).all(2)


def around(box: Array, mask: Array, margin: float = 3.0) -> Array:
    """Bounding box of the set pixels within a box grown by `margin`."""
    y, x = np.nonzero(mask)
    near = (x > box[0] - margin) & (x < box[2] + margin) & (y > box[1] - margin) & (y < box[3] + margin)
    return np.array((x[near].min(), y[near].min(), x[near].max(), y[near].max()), np.float64)


def test_boxes_stay_on_a_disc_under_scale_turn_flip_and_stitch() -> None:
    make, checked = maker(disc()), 0
    for _ in range(80):
        scene = make()
        for row in scene.faces:
            low, high = row[:2], row[2:4]
            assert (high > low).all() and low.min() >= 0 and high.max() <= 256
            if (high - low).min() < 14 or low.min() < 4 or high.max() > 251:
                continue  # too small to measure, or cut by the canvas
            # edges are grey where a picture is shrunk or enlarged: about two source pixels at either end
            assert around(row[:4], bright(scene)) == pytest.approx(row[:4], abs=2.0 + 0.04 * float((high - low).max()))
            checked += 1
    assert checked > 60


def test_shrinking_moves_nothing() -> None:
    """Pictures are averaged down by whole factors first; the disc stays centred in its box to a fraction of a px."""
    make, offsets = maker(disc()), []
    make.small = True
    for scene in (make() for _ in range(60)):
        for row in scene.faces:
            low, high = row[:2], row[2:4]
            if (high - low).max() > 25 or low.min() < 4 or high.max() > 251:
                continue
            x0, y0, x1, y1 = (int(v) for v in (*(low - 3), *(high + 4)))
            y, x = np.nonzero(bright(scene)[y0:y1, x0:x1])
            offsets.append((x.mean() + x0, y.mean() + y0) - (low + high) / 2)
    assert len(offsets) > 60
    assert np.mean(offsets, axis=0) == pytest.approx((0, 0), abs=0.12)


def test_boxes_stay_around_a_square() -> None:
    """A turned square reaches beyond the ellipse's box by at most the corner; its centre is the box's centre."""
    make, checked = maker(square(), seed=1), 0
    for scene in (make() for _ in range(120)):
        for row in scene.faces if len(scene.faces) == 1 else ():  # others' squares would be measured too
            if (row[2:4] - row[:2]).min() < 30 or row[:2].min() < 20 or row[2:4].max() > 236:
                continue
            seen = around(row[:4], bright(scene), margin=0.21 * float((row[2:4] - row[:2]).max()))
            extent = (seen[2:] - seen[:2]) / (row[2:4] - row[:2])
            assert (seen[:2] + seen[2:]) / 2 == pytest.approx((row[:2] + row[2:4]) / 2, abs=2.5)
            assert extent.min() > 0.9 and extent.max() < 1.42
            checked += 1
    assert checked > 15


def test_points_and_pose_follow_turn_and_flip() -> None:
    make, rolls, flips = maker(disc()), [], set()
    for _ in range(60):
        for row in make().faces:
            points, (yaw, pitch, roll) = row[4:14].reshape(5, 2), row[14:17]
            flipped = yaw < 0
            flips.add(bool(flipped))
            assert abs(yaw) == pytest.approx(20) and pitch == pytest.approx(5)
            # the eye line's own tilt in the picture, mirrored or not, plus the turn that the pose tells
            tilt = math.degrees(math.atan2(2, 20)) * (-1 if flipped else 1)
            dx, dy = points[1] - points[0]
            turned = roll - 8.0 * (-1 if flipped else 1)
            measured = math.degrees(math.atan2(dy, dx)) - tilt
            assert abs((measured - turned + 180) % 360 - 180) < 12  # pictures are stretched a little
            rolls.append(turned)
    assert flips == {True, False} and min(rolls) < -10 and max(rolls) > 10


def test_small_stitches_hold_smaller_faces() -> None:
    make = maker(disc())
    faces, size = [], []
    for make.small in (False, True):
        rows = [r for _ in range(60) for r in make().faces]
        faces.append(len(rows))
        size.append(np.mean([(r[2:4] - r[:2]).max() for r in rows]))
    assert faces[1] > 1.3 * faces[0] and size[1] < 0.95 * size[0]


def test_what_is_tiny_or_mostly_cut_off_is_ignored() -> None:
    crowd = disc()
    tiny = FaceLabel(box_xyxy=np.array((10, 60, 14, 65), np.float32))
    crowd.labels = replace(crowd.labels, faces=(*crowd.faces, tiny))
    make, seen = maker(crowd), {"faces": 0, "ignore": 0}
    for _ in range(80):
        scene = make()
        seen["faces"] += len(scene.faces)
        seen["ignore"] += len(scene.ignore)
        for box in scene.ignore:
            assert box.shape == (4,) and (box[2:] > box[:2]).all() and box.min() >= 0 and box.max() <= 255
        for row in scene.faces:
            assert (row[2:4] - row[:2]).max() >= 7  # of at least 8 px before the canvas cut it
    assert min(seen.values()) > 10


def test_only_fully_boxed_pictures_are_trusted() -> None:
    assert all(maker(disc("wider"))().trusted.all() for _ in range(5))
    make = maker(disc("helen"))
    untrusted = [make().trusted for _ in range(20)]
    assert any(not t.any() for t in untrusted)
    assert untrusted[0].shape == (32, 32)


def test_marks_of_a_picture_stay_on_what_they_mark() -> None:
    """The disc is marked as to be ignored, not labelled as a face."""
    source, (face,) = source_picture(disc()), disc().faces
    assert face.box_xyxy is not None
    source.ignore, source.faces = face.box_xyxy[None].astype(np.float64), []
    make, checked = maker(disc()), 0
    for scale in np.linspace(0.5, 3, 30):
        scene = make._canvas()
        make._lay(scene, source, float(scale), np.array(CENTRE), (0, 0, 256, 256))
        for box in scene.ignore:
            if box[:2].min() > 4 and box[2:].max() < 251:
                limit = 2.0 + 0.04 * float((box[2:] - box[:2]).max())
                assert around(box, bright(scene)) == pytest.approx(box, abs=limit)
                checked += 1
    assert checked > 10


def test_a_fifth_of_the_scenes_is_turned_far() -> None:
    make = maker(disc())
    rolls = np.concatenate([[abs(row[16]) - 8 for row in make().faces[:1]] for _ in range(400)])
    assert 0.07 < (rolls > 36).mean() < 0.17  # of a fifth, those beyond the others' limit: 55 of 90 degrees
    assert rolls.max() < 90 + 8.1


def test_a_head_pasted_beside_another_overlaps_it() -> None:
    """Grey discs lie on white ones; what is mostly hidden is no longer a face to find."""
    make, pairs = maker(disc()), 0
    make.pasted = 1.0
    for scene in (make() for _ in range(60)):
        before = len(scene.faces)
        for row in scene.faces[:-1]:
            pairs += 0.02 < covered(row[:4], scene.faces[-1][:4]) <= 0.5
        assert all(covered(row[:4], scene.faces[-1][:4].astype(float)) <= 0.5 for row in scene.faces[: before - 1])
    assert pairs > 8


def test_closing_scenes_are_larger_calmer_and_of_other_sets() -> None:
    make = SceneMaker(build_sources([disc(), a_picture("n", "negative", "train", np.zeros((9, 9, 3), np.uint8))]), 128,
                      np.random.default_rng(0))  # fmt: skip
    assert make().image.shape == (128, 128, 3)
    make.closing = True
    assert make().image.shape == (CLOSING_SIZE, CLOSING_SIZE, 3)
    turned = []
    for _ in range(400):
        make()
        turned.append(make._rolled)
    assert 0.02 < np.mean(turned) < 0.12
    both, closing = (dict(zip(*mix, strict=True)) for mix in make._mixes)
    assert both["crowd"] == pytest.approx(SHARES["crowd"] / (SHARES["crowd"] + SHARES["negative"]))
    assert closing["crowd"] == pytest.approx(CLOSING["crowd"] / (CLOSING["crowd"] + CLOSING["negative"]))
    own = SceneMaker(build_sources([disc()]), 128, np.random.default_rng(0), {"crowd": 1.0})
    assert own._mixes[0] == own._mixes[1]  # shares that were asked for stay


def test_made_textures_are_trusted_to_show_no_face() -> None:
    make = maker(disc(), a_picture("n", "negative", "train", np.zeros((64, 64, 3), np.uint8)))
    scenes = [make._canvas() for _ in range(30)]
    for scene in scenes:
        make._empty(scene)
    assert all(scene.faces == [] and scene.trusted.all() for scene in scenes)  # what is found there is false
    assert 5 < sum(scene.image.std() > 5 for scene in scenes) < 20  # the others are the black picture without faces


def test_sources_by_kind() -> None:
    five = FaceLabel(points5=POINTS)
    pictures = [
        disc("mafa"),
        a_picture("t", "mtfl", "train", np.zeros((9, 9, 3), np.uint8), [five]),
        a_picture("n", "negative", "train", np.zeros((9, 9, 3), np.uint8)),
        a_picture("u", "wider", "train", np.zeros((9, 9, 3), np.uint8), [FaceLabel()]),
    ]
    groups = build_sources(pictures)
    assert {k: len(v) for k, v in groups.items()} == {"masked": 1, "tight": 1, "negative": 1}
    (guessed,) = groups["tight"][0].faces
    assert guessed.box_weight < 1 and guessed.half[1] > guessed.half[0]  # a face is taller than wide
    assert np.isnan(guessed.pose).all()
    assert guessed.points == pytest.approx(POINTS)


def test_needs_boxed_faces_but_no_particular_set() -> None:
    with pytest.raises(InputError, match="no boxed faces"):
        SceneMaker({}, 256, np.random.default_rng(0))
    portraits: dict[str, list[SourcePicture]] = build_sources([disc("helen")])
    make = SceneMaker(portraits, 256, np.random.default_rng(0))
    assert sum(len(make().faces) for _ in range(20)) > 20  # "empty" scenes too have something to show

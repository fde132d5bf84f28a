"""Samples and augmentation: crops as the runtime cuts them, labels where the pixels went."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest

from rtface.datasets.labelled import FaceLabel
from rtface.geometry.crop import crop_from_landmarks, frame_to_crop_matrix, map_points, warp_crops
from rtface.geometry.mirror import MIRROR_68
from rtface.train.data.faces import FLIP_5, UNKNOWN, Augment, Item, flip
from rtface.train.data.pixel_cache import Picture
from rtface.train.data.samples import Sample, build_samples
from tests.train.made import TEMPLATE, Array, a_picture, mask, mesh_of, picture, placed

SKIN, RIGHT_EYE, LEFT_EYE, LOWER_LIP = 1, 5, 4, 12  # the subject's right eye is the image's left


def labelled(
    unit: float = 22.0, roll: float = 0.0, pose: tuple[float, ...] = (12.0, -4.0, 0.0), fine: bool = True
) -> Sample:
    """A face turned by `roll`, all labels known; its pose's roll is `roll` too."""
    size = int(unit * 6)
    points = placed(size / 2 + 0.3, size / 2 - 0.4, unit, roll).astype(np.float32)
    scheme = "celebamask19" if fine else "fasseg6"
    drawn = a_picture(
        "a", "helen", "train", picture(points, size, size, 3), [], mask(points, size, size, fine), parsing_scheme=scheme
    )
    truth = np.array((*pose[:2], roll), np.float32)
    ones = np.ones(68, np.float32)
    return Sample(drawn, "landmarks", None, None, points, ones, pose=truth, pose_weight=np.ones(3, np.float32))


def crop_px(normalised: Array, size: int = 128) -> Array:
    return (normalised + 1) * (size / 2) - 0.5


def roll_of(points68: Array) -> float:
    """Degrees clockwise, by the eye line."""
    dx, dy = points68[42:48].mean(0) - points68[36:42].mean(0)
    return math.degrees(math.atan2(dy, dx))


def still(sample: Sample, size: int = 128) -> Item:
    return Augment(size, np.random.default_rng(0), strength=0.0)(sample)


@pytest.mark.parametrize("roll", [0.0, 20.0, -140.0])
def test_without_strength_the_crop_is_the_runtimes(roll: float) -> None:
    sample = labelled(roll=roll)
    assert sample.landmarks is not None
    crop = crop_from_landmarks(sample.landmarks)
    item = still(sample)
    np.testing.assert_array_equal(item.image, warp_crops(sample.picture.image, [crop])[0])
    there = map_points(frame_to_crop_matrix(crop), sample.landmarks)
    assert crop_px(item.landmarks) == pytest.approx(there, abs=1e-3)
    assert roll_of(crop_px(item.landmarks)) == pytest.approx(0, abs=1)
    assert item.pose == pytest.approx((12, -4, roll - crop.roll), abs=1e-4)
    assert abs(item.pose[2]) < 1  # the crop stands upright, so the face in it does
    assert (item.is_face, item.emotion_weight, item.points5_weight) == (1.0, 0.0, 0.0)


def test_without_strength_a_large_face_is_averaged_like_the_runtimes() -> None:
    sample = labelled(unit=120.0)
    assert sample.landmarks is not None
    crop = crop_from_landmarks(sample.landmarks)
    assert crop.side > 256
    # a chequered film: averaged away at any phase, black and white where single pixels are sampled
    y, x = np.indices(sample.picture.image.shape[:2])
    film = np.where((x + y) % 2, 60, -60)[..., None]
    sample.picture.image = np.clip(sample.picture.image.astype(int) + film, 0, 255).astype(np.uint8)
    item = still(sample)
    runtime = warp_crops(sample.picture.image, [crop])[0]
    # the 2x2 blocks start elsewhere: the mean difference is far below the 8 to 20 of a crop displaced by a pixel
    assert np.abs(item.image.astype(int) - runtime).mean() < 2.0


@pytest.mark.parametrize("size", [64, 128])
def test_masks_land_with_the_points(size: int) -> None:
    item = still(labelled(roll=15.0), size)
    points = crop_px(item.landmarks, size)
    for part, label in ((slice(36, 42), RIGHT_EYE), (slice(42, 48), LEFT_EYE), (slice(48, 60), LOWER_LIP)):
        x, y = points[part].mean(0).round().astype(int)
        assert item.parsing[y, x] == label
    x, y = points[30].round().astype(int)
    assert item.parsing[y, x] == SKIN
    assert set(np.unique(item.parsing)) <= {0, SKIN, RIGHT_EYE, LEFT_EYE, LOWER_LIP, UNKNOWN}  # nothing is blended


def test_a_mask_is_unknown_outside_the_picture() -> None:
    sample = labelled()
    assert sample.landmarks is not None and sample.picture.parsing is not None
    sample.landmarks = sample.landmarks - 40.0  # the crop hangs over the upper left corner
    item = still(sample)
    assert (item.parsing[:8] == UNKNOWN).all() and not item.image[:8].any()


def test_no_mask_is_unknown_everywhere() -> None:
    sample = labelled()
    sample.picture.parsing = None
    assert (still(sample).parsing == UNKNOWN).all()


def test_flip_indices_pair_left_with_right() -> None:
    assert TEMPLATE[MIRROR_68] * (-1, 1) == pytest.approx(TEMPLATE)
    pairs = {
        0: 16,
        8: 8,
        17: 26,
        21: 22,
        30: 30,
        31: 35,
        36: 45,
        39: 42,
        37: 44,
        41: 46,
        48: 54,
        51: 51,
        55: 59,
        60: 64,
        65: 67,
    }
    assert {k: int(MIRROR_68[k]) for k in pairs} == pairs
    np.testing.assert_array_equal(MIRROR_68[MIRROR_68], np.arange(68))
    np.testing.assert_array_equal(FLIP_5, [1, 0, 2, 4, 3])


def test_a_flip_mirrors_pixels_and_changes_sides() -> None:
    sample = labelled(roll=0.0)
    assert sample.landmarks is not None
    sample.landmarks[30] += (3.0, 0.0)  # a nose to the image's right
    sample.points5 = sample.landmarks[[36, 45, 30, 48, 54]]
    item, before = still(sample), still(sample)
    flip(item)
    np.testing.assert_array_equal(item.image, before.image[:, ::-1])
    assert item.landmarks[36] == pytest.approx(before.landmarks[45] * (-1, 1))
    assert item.landmarks[36, 0] < item.landmarks[45, 0]  # the image's left eye is still at the left
    assert item.landmarks[30, 0] == pytest.approx(-before.landmarks[30, 0])
    assert item.points5 == pytest.approx(item.landmarks[[36, 45, 30, 48, 54]])
    assert item.pose == pytest.approx(before.pose * (-1, 1, -1))
    x, y = crop_px(item.landmarks)[36:42].mean(0).round().astype(int)
    assert item.parsing[y, x] == RIGHT_EYE and before.parsing[y, 127 - x] == LEFT_EYE


@pytest.mark.parametrize("fine", [True, False])
def test_flipped_twice_is_as_before(fine: bool) -> None:
    sample = labelled(roll=10.0, fine=fine)
    sample.points5 = np.arange(10, dtype=np.float32).reshape(5, 2)
    sample.landmark_weight = np.linspace(0, 1, 68, dtype=np.float32)
    item, before = still(sample), still(sample)
    flip(item)
    assert not np.array_equal(item.landmark_weight, before.landmark_weight)
    if not fine:  # FASSEG's eye is one class, left and right
        np.testing.assert_array_equal(item.parsing, before.parsing[:, ::-1])
    flip(item)
    for name in ("image", "parsing"):
        np.testing.assert_array_equal(getattr(item, name), getattr(before, name))
    for name in ("landmarks", "landmark_weight", "points5", "pose"):
        assert getattr(item, name) == pytest.approx(getattr(before, name), abs=1e-6)


def test_roll_follows_every_turn_and_flip() -> None:
    sample = labelled(roll=25.0)
    augment = Augment(96, np.random.default_rng(5))
    rolls, yaws = [], set()
    for _ in range(60):
        item = augment(sample)
        rolls.append(item.pose[2])
        yaws.add(float(item.pose[0]))
        assert roll_of(crop_px(item.landmarks, 96)) == pytest.approx(item.pose[2], abs=8)  # the shear turns a little
        assert item.image.shape == (96, 96, 3) and item.image.dtype == np.uint8
    assert yaws == {12.0, -12.0}
    assert min(rolls) < -25 and max(rolls) > 25


def test_points_follow_the_pixels_through_augmentation() -> None:
    """A dot painted at a point is found where the label says."""
    sample = labelled(unit=30.0)
    assert sample.landmarks is not None
    image = np.zeros_like(sample.picture.image)
    cv2.circle(image, tuple(int(v) for v in sample.landmarks[45].round()), 5, (255, 255, 255), -1)
    sample.picture.image = image
    augment, seen = Augment(128, np.random.default_rng(1)), 0
    augment._photometric = lambda image, group: image  # type: ignore[method-assign]
    augment._occlude = lambda item: None  # type: ignore[method-assign]
    for _ in range(30):
        item = augment(sample)
        y, x = np.nonzero(item.image[..., 0] > 128)
        # flipped, the dot is at the image's left outer eye corner
        at = crop_px(item.landmarks)[36 if item.pose[0] < 0 else 45]
        if len(x) > 40 and x.min() > 0 and x.max() < 127:
            seen += 1
            assert (x.mean(), y.mean()) == pytest.approx(at, abs=1.0)
    assert seen > 15


def test_grouping_by_what_is_labelled() -> None:
    points = placed(40, 40, 12).astype(np.float32)
    image = np.zeros((80, 80, 3), np.uint8)
    five, box = np.zeros((5, 2), np.float32), np.array((10, 10, 70, 70), np.float32)

    def one(
        source: str, face: FaceLabel | None = None, split: str = "train", votes: Array | None = None
    ) -> dict[str, list[Sample]]:
        return build_samples([a_picture("a", source, split, image, [face] if face else [], emotion_votes=votes)])

    by_hand = FaceLabel(landmarks68=points, landmarks68_source="human")
    (sample,) = one("helen", by_hand)["landmarks"]
    assert sample.landmark_weight is not None and sample.landmark_weight.tolist() == [1.0] * 68
    by_machine = FaceLabel(landmarks68=points, landmarks68_source="semi-automatic")
    (sample,) = one("udacity", by_machine)["video"]
    assert sample.landmark_weight is not None and sample.landmark_weight.max() < 0.5
    assert [s.points5_weight for s in one("mtfl", FaceLabel(points5=five, points5_source="human"))["five"]] == [1.0]
    assert one("helen", FaceLabel(box_xyxy=box, points5=five, points5_source="teacher")) == {}  # a bystander
    assert [s.is_face for s in one("negative")["negative"]] == [False]

    (sample,) = one("fasseg3", FaceLabel(box_xyxy=box, pose=np.array((60, 1, 2), np.float32), yaw_true=75.0))["parsing"]
    assert sample.pose is not None and sample.pose.tolist() == [75, 1, 2]  # what was measured, for what was guessed
    assert sample.pose_weight == pytest.approx((2.0, 0.3, 0.3))

    votes = np.array((6, 3, 0, 0, 1, 0, 0, 0, 0, 0), np.float32)
    (sample,) = one("ferplus", votes=votes)["emotion"]
    assert sample.emotion == pytest.approx((2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0))  # a lone vote is dropped
    assert one("ferplus", votes=np.eye(10, dtype=np.float32)[8] * 10) == {}  # "unknown"
    assert list(one("ferplus", votes=np.eye(10, dtype=np.float32)[9] * 10)) == ["negative"]


def test_synthetic_labels_are_believed_to_the_profile() -> None:
    points = placed(50, 50, 20).astype(np.float32)
    pose = np.array((80, 5, 2), np.float32)
    face = FaceLabel(landmarks68=points, landmarks68_source="synthetic", pose=pose, pose_spread=0.0)
    image = np.zeros((8, 8, 3), np.uint8)
    (sample,) = build_samples([a_picture("a", "synthetic", "train", image, [face])])["landmarks"]
    assert sample.landmark_weight is not None and sample.landmark_weight.tolist() == [1.0] * 68
    assert sample.pose_weight is not None and sample.pose_weight.tolist() == [1.0] * 3
    (sample,) = build_samples([a_picture("a", "lfw", "train", image, [replace(face, landmarks68_source="teacher")])])[
        "landmarks"
    ]
    assert sample.pose_weight is not None and sample.pose_weight.max() < 0.5


@pytest.mark.parametrize(
    ("source", "trust"), [("human", 1.0), ("hand", 1.0), ("hand-map", 0.7), ("teacher", 0.35), (None, 0.35)]
)
def test_points_weigh_what_their_source_is_believed(source: str | None, trust: float) -> None:
    face = FaceLabel(landmarks68=placed(50, 50, 20).astype(np.float32), landmarks68_source=source)
    pictures = [a_picture("a", "mine", "train", np.zeros((8, 8, 3), np.uint8), [face])]
    (sample,) = build_samples(pictures)["landmarks"]
    assert sample.landmark_weight is not None and np.allclose(sample.landmark_weight, trust)


def test_points_that_are_only_a_meshs_are_read_anew_where_a_map_is_known() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((8, 8, 3), np.uint8)

    def both(source: str, n: int, off: float = 0.0) -> list[Picture]:
        shapes = [placed(50, 50, 20) + rng.normal(0, 1, (68, 2)) @ np.diag((1, 0.5)) for _ in range(n)]
        faces = [
            FaceLabel(landmarks68=(s + off).astype(np.float32), landmarks68_source=source, mesh478=mesh_of(s))
            for s in shapes
        ]
        return [a_picture("a", source, "train", image, [face]) for face in faces]

    truth = placed(70, 60, 25, roll=30)
    read = FaceLabel(landmarks68=truth + 9, landmarks68_source="teacher-mesh", mesh478=mesh_of(truth))
    portrait = a_picture("b", "portraits", "train", image, [read])

    def points_of(pictures: list[Picture]) -> Array:
        (sample,) = [one for one in build_samples(pictures)["landmarks"] if one.picture.id == "b"]
        assert sample.landmarks is not None
        return sample.landmarks

    np.testing.assert_allclose(points_of([portrait]), truth + 9, atol=1e-3)  # nothing tells how
    assert np.abs(points_of([*both("synthetic", 201), portrait]) - truth).mean() < 1.0
    mixed = [*both("synthetic", 201, off=9.0), *both("human", 201), portrait]
    assert np.abs(points_of(mixed) - truth).mean() < 1.0  # hands come first


def test_meshes_become_points_where_enough_faces_carry_both() -> None:
    rng = np.random.default_rng(0)
    image = np.zeros((8, 8, 3), np.uint8)

    def both(n: int) -> list[Picture]:
        shapes = [placed(50, 50, 20) + rng.normal(0, 1, (68, 2)) @ np.diag((1, 0.5)) for _ in range(n)]
        faces = [
            FaceLabel(landmarks68=s.astype(np.float32), landmarks68_source="human", mesh478=mesh_of(s)) for s in shapes
        ]
        return [a_picture("a", "helen", "train", image, [f]) for f in faces]

    guessed = a_picture("b", "lfw", "unlabelled", image, [FaceLabel(mesh478=mesh_of(placed(70, 60, 25, roll=30)))])
    assert "faces" not in build_samples([*both(200), guessed])
    (sample,) = build_samples([*both(201), guessed])["faces"]
    assert sample.landmarks is not None and sample.landmarks.shape == (68, 2)
    assert np.abs(sample.landmarks - placed(70, 60, 25, roll=30)).mean() < 1.0
    assert sample.landmark_weight is not None
    assert sample.landmark_weight[:17].max() < sample.landmark_weight[17:].min() < 1.0

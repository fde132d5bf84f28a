"""Several looks at a still: what agrees stays, what differs meets in the middle or is put to the majority_vote."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from rtface.geometry.crop import CROP_SIZE, Crop, crop_to_frame_matrix
from rtface.geometry.mirror import MIRROR_68, MIRROR_478, MIRROR_BLENDSHAPES, MIRROR_CLASSES
from rtface.labels import BLENDSHAPES
from rtface.tasks.tta import VIEWS, average, majority_vote, mirrored, unmirrored

CROP = Crop(x=200.0, y=150.0, side=300.0, roll=10.0)


def answer(pose: float, happy: float) -> dict[str, np.ndarray]:
    return {
        "landmarks": np.full((1, 68, 2), pose, np.float32),
        "pose": np.full((1, 3), pose, np.float32),
        "emotion": np.float32([[happy, 1 - happy]]),
        "parsing": np.full((1, 4, 4), int(pose), np.uint8),
    }


def test_the_mirror_of_the_mirror_is_the_face() -> None:
    assert MIRROR_68[MIRROR_68].tolist() == list(range(68))
    assert {36: 45, 0: 16, 17: 26, 48: 54, 30: 30}.items() <= dict(enumerate(MIRROR_68.tolist())).items()
    assert MIRROR_CLASSES[MIRROR_CLASSES].tolist() == list(range(19))
    assert MIRROR_478[MIRROR_478].tolist() == list(range(478))
    # outer and inner corners of the eyes, mouth, nose, chin, irises: middles, and outer rims
    pairs = {33: 263, 133: 362, 61: 291, 4: 4, 152: 152, 468: 473, 471: 474, 159: 386}
    assert pairs.items() <= dict(enumerate(MIRROR_478.tolist())).items()
    other = {name: BLENDSHAPES[index] for name, index in zip(BLENDSHAPES, MIRROR_BLENDSHAPES, strict=True)}
    assert other["eyeLookInLeft"] == "eyeLookInRight" and other["mouthRight"] == "mouthLeft"
    assert other["jawOpen"] == "jawOpen" and MIRROR_BLENDSHAPES[MIRROR_BLENDSHAPES].tolist() == list(range(52))
    crops = np.random.default_rng(0).integers(0, 255, (2, 128, 128, 3), dtype=np.uint8)
    assert (mirrored(mirrored(crops)) == crops).all() and (mirrored(crops)[0, 5, 0] == crops[0, 5, 127]).all()


def test_a_mirrored_answer_is_turned_back() -> None:
    points = np.random.default_rng(0).uniform(0, 127, (1, 68, 2)).astype(np.float32)
    labels = np.zeros((1, 128, 128), np.uint8)
    labels[0, 30, 5] = 4  # the left eye, in the mirror
    told = {
        "landmarks": points[:, MIRROR_68] * (-1, 1) + (127, 0),
        "pose": np.float32([[-10, 5, 3]]),
        "emotion": np.float32([[0.8, 0.2]]),
        "parsing": labels,
    }
    back = unmirrored(told)
    assert back["landmarks"] == pytest.approx(points, abs=1e-4)
    assert back["pose"].tolist() == [[10, 5, -3]]
    assert back["emotion"] is told["emotion"]
    assert back["parsing"][0, 30, 122] == 5 and int(back["parsing"].sum()) == 5


def test_whole_looks_give_points_and_pose_and_all_looks_the_emotion() -> None:
    answers = [answer(1, 0.9), answer(2, 0.7), answer(50, 0.3), answer(70, 0.1)]
    mean = average(answers)
    assert mean["landmarks"] == pytest.approx(np.full((1, 68, 2), 1.5))
    assert mean["pose"].tolist() == [[1.5, 1.5, 1.5]]
    assert mean["emotion"] == pytest.approx(np.float32([[0.5, 0.5]]))
    assert mean["parsing"] is answers[0]["parsing"]
    assert average([{}]) == {}


def disc(crop: Crop) -> np.ndarray:
    """What a perfect network says of a disc of class 2 about the middle of `CROP`, seen in `crop`."""
    picture = np.zeros((320, 420), np.uint8)
    cv2.circle(picture, (200, 150), 60, 2, -1)
    flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, crop_to_frame_matrix(crop), (CROP_SIZE, CROP_SIZE), flags=flags))


def test_a_vote_finds_borders_between_the_looks_pixels() -> None:
    looks = [look.crops([CROP])[0] for look in VIEWS]
    parsing = majority_vote([disc(look) for look in looks], looks, CROP)
    assert parsing.labels.shape == (256, 256) and set(np.unique(parsing.labels)) == {0, 2}
    truth = np.zeros((320, 420), np.uint8)
    cv2.circle(truth, (200, 150), 60, 2, -1)

    def wrong(labels: np.ndarray, to_frame: np.ndarray) -> int:
        said = cv2.warpAffine(labels, to_frame, (420, 320), flags=cv2.INTER_NEAREST)
        return int((said != truth).sum())

    one = wrong(disc(CROP), crop_to_frame_matrix(CROP))
    assert 0 < wrong(parsing.labels, parsing.to_frame) < 0.6 * one


def test_the_majority_wins_and_small_faces_stay_at_the_crops_size() -> None:
    small = Crop(20.0, 20.0, 64.0)
    two, one = np.full((CROP_SIZE, CROP_SIZE), 3, np.uint8), np.full((CROP_SIZE, CROP_SIZE), 7, np.uint8)
    parsing = majority_vote([two, one, two], [small] * 3, small)
    assert parsing.labels.shape == (CROP_SIZE, CROP_SIZE) and (parsing.labels == 3).all()

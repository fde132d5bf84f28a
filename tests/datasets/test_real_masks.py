"""Faithful copies of the public sets with masks and emotions: parts lie where the face has them, words mean what the
sets' papers say."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.datasets.registry import read
from rtface.labels import EMOTIONS, PARSING_CLASSES
from tests.datasets import schematic
from tests.datasets.made import save, text

SIDE = 200
FACE = schematic.placed(schematic.ibug68())
#: Part → its outline by iBUG's numbers. The subject's left is the image's right.
OUTLINES = {
    "skin": [*range(17), *range(26, 16, -1)],
    "left_brow": range(22, 27),
    "right_brow": range(17, 22),
    "left_eye": range(42, 48),
    "right_eye": range(36, 42),
    "nose": [27, *range(31, 36)],
    "upper_lip": [*range(48, 55), 64, 63, 62, 61, 60],
    "inner_mouth": range(60, 68),
    "lower_lip": [48, 60, 67, 66, 65, 64, 54, 55, 56, 57, 58, 59],
}


def part(name: str) -> NDArray[np.uint8]:
    """255 where the part is; (200, 200)."""
    layer = np.zeros((SIDE, SIDE), np.uint8)
    outline = np.round(FACE[list(OUTLINES[name])]).astype(np.int32)
    if name.endswith("brow"):
        cv2.polylines(layer, [outline], False, 255, 5)
    else:
        cv2.fillPoly(layer, [outline], 255)
    return layer


TRUTH = np.zeros((SIDE, SIDE), np.uint8)
for _name in OUTLINES:
    TRUTH[part(_name) > 0] = PARSING_CLASSES.index(_name)


def check(mask: NDArray[np.uint8] | None) -> None:
    """Every part of the face is where it is, and nowhere else; 255 may be beside them."""
    assert mask is not None and mask.shape == (SIDE, SIDE)
    for name in OUTLINES:
        here, there = mask == PARSING_CLASSES.index(name), PARSING_CLASSES.index(name) == TRUTH
        assert (here & there).sum() == there.sum() == here.sum() > 0, name


def test_celebamask(tmp_path: Path) -> None:
    """Its files name the sides of the image; a part that is not seen has no file."""
    names = {
        "skin": "skin",
        "left_brow": "r_brow",
        "right_brow": "l_brow",
        "left_eye": "r_eye",
        "right_eye": "l_eye",
        "nose": "nose",
        "upper_lip": "u_lip",
        "inner_mouth": "mouth",
        "lower_lip": "l_lip",
    }
    save(tmp_path / "CelebA-HQ-img/1234.jpg", schematic.picture(SIDE, SIDE))
    for name, file in names.items():  # PNGs in colour, as they are handed out; skin goes on under the other parts
        own = np.where(PARSING_CLASSES.index(name) == TRUTH, 255, 0).astype(np.uint8)
        layer = part(name) if name == "skin" else own
        save(tmp_path / f"CelebAMask-HQ-mask-anno/0/01234_{file}.png", cv2.merge([layer] * 3))
    rows = ("idx orig_idx orig_file", "1234         119613      119614.jpg")
    text(tmp_path / "CelebA-HQ-to-CelebA-mapping.txt", *rows)
    (image,) = read("celebamask", tmp_path)
    assert image.split == "train" and image.parsing_source == "human"
    check(image.load()[1])


def test_lapa_and_helens_masks_number_their_classes_alike(tmp_path: Path) -> None:
    """0 background, skin, left and right brow, left and right eye (the image's), nose, lips and mouth, hair."""
    order = ("skin", "right_brow", "left_brow", "right_eye", "left_eye")
    order = (*order, "nose", "upper_lip", "inner_mouth", "lower_lip")
    labels = np.zeros((SIDE, SIDE), np.uint8)
    for number, name in enumerate(order, 1):
        labels[PARSING_CLASSES.index(name) == TRUTH] = number
    save(tmp_path / "lapa/val/images/5_1.jpg", schematic.picture(SIDE, SIDE))
    save(tmp_path / "lapa/val/labels/5_1.png", labels)
    points = schematic.placed(schematic.lapa106())
    text(tmp_path / "lapa/val/landmarks/5_1.txt", "106", *(f"{x:.6f} {y:.6f}" for x, y in points))
    (lapa,) = read("lapa", tmp_path / "lapa")
    check(lapa.load()[1])

    root = tmp_path / "SmithCVPR2013_dataset_resized"
    save(root / "images/100032540_1.jpg", schematic.picture(SIDE, SIDE))
    for number in range(11):
        sure = np.where(labels == number, 255, 0).astype(np.uint8)
        save(root / f"labels/100032540_1/100032540_1_lbl{number:02d}.png", sure)
    text(root / "exemplars.txt", "1 , 100032540_1")
    (helen,) = read("helenmask", root)
    assert helen.split == "train"
    check(helen.load()[1])


#: Set → its numbers' meanings, from its paper or its site, in its own order and words of ours.
MEANINGS = {
    "rafdb": (1, ("surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")),
    "fer2013": (0, ("anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral")),
    "affectnet": (0, ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")),
}


def write_rafdb(root: Path, numbers: list[int]) -> None:
    lines = []
    for at, number in enumerate(numbers, 1):
        save(root / f"basic/Image/aligned/train_{at:05d}_aligned.jpg", schematic.picture(100, 100))
        lines.append(f"train_{at:05d}.jpg {number}")
    text(root / "basic/EmoLabel/list_patition_label.txt", *lines)


def write_fer2013(root: Path, numbers: list[int]) -> None:
    grey = " ".join(["127"] * 48 * 48)
    text(root / "fer2013.csv", "emotion,pixels,Usage", *(f"{number},{grey},Training" for number in numbers))


def write_affectnet(root: Path, numbers: list[int]) -> None:
    head = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    marks = ";".join(f"{x:.2f};{y:.2f}" for x, y in FACE)
    lines = []
    for at, number in enumerate(numbers):
        save(root / f"Manually_Annotated_Images/689/{at}.jpg", schematic.picture(SIDE, SIDE))
        lines.append(f"689/{at}.jpg,45,30,120,150,{marks},{number},0.1,-0.2")
    text(root / "training.csv", head, *lines, f"689/none.jpg,45,30,120,150,{marks},8,-2,-2")


@pytest.mark.parametrize("name", MEANINGS)
def test_numbers_mean_the_sets_own_words(tmp_path: Path, name: str) -> None:
    first, words = MEANINGS[name]
    globals()[f"write_{name}"](tmp_path, list(range(first, first + len(words))))
    images = read(name, tmp_path)
    votes = [image.emotion_votes for image in images]
    assert [EMOTIONS[int(vote.argmax())] for vote in votes if vote is not None] == list(words)
    assert all(image.load()[0].ndim == 3 and image.split == "train" for image in images)

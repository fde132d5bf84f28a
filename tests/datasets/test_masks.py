"""Readers of face masks: class numbers, sides, what stays unknown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.masks import face_of_mask, set_sides
from rtface.datasets.readers.celebamask import PARTS
from rtface.datasets.registry import read
from rtface.errors import SourceError
from rtface.labels import PARSING_CLASSES
from tests.datasets.made import picture, points, save, spaced, text

SIZE = 64
#: Class → rows and columns of a face that looks at us: the subject's left (4, 6, 8) is on the image's right.
FACE = {
    1: (slice(8, 60), slice(10, 54)),
    6: (slice(14, 17), slice(36, 48)),
    7: (slice(14, 17), slice(16, 28)),
    4: (slice(20, 25), slice(38, 46)),
    5: (slice(20, 25), slice(18, 26)),
    8: (slice(22, 34), slice(54, 58)),
    9: (slice(22, 34), slice(6, 10)),
    2: (slice(24, 40), slice(28, 36)),
    11: (slice(44, 46), slice(22, 42)),
    10: (slice(46, 48), slice(24, 40)),
    12: (slice(48, 51), slice(22, 42)),
    13: (slice(0, 8), slice(10, 54)),
}


def face_mask() -> np.ndarray:
    labels = np.zeros((SIZE, SIZE), np.uint8)
    for name, (rows, columns) in FACE.items():
        labels[rows, columns] = name
    return labels


class TestSides:
    @pytest.mark.parametrize("turns", range(4))
    def test_swapped_sides_are_set_right_however_the_face_is_turned(self, turns: int) -> None:
        truth = np.rot90(face_mask(), turns)
        swapped = truth.copy()
        for a, b in ((4, 5), (6, 7), (8, 9)):
            swapped[truth == a], swapped[truth == b] = b, a
        np.testing.assert_array_equal(set_sides(swapped), truth)
        np.testing.assert_array_equal(set_sides(truth), truth)

    @pytest.mark.parametrize(("seen", "columns"), [(4, slice(38, 46)), (5, slice(18, 26))])
    def test_a_lone_eye_is_told_by_its_side_of_the_nose(self, seen: int, columns: slice) -> None:
        for written in (4, 5):
            labels = face_mask()
            labels[np.isin(labels, (4, 5))] = 1
            labels[20:25, columns] = written
            assert set(np.unique(set_sides(labels))) & {4, 5} == {seen}

    def test_five_points_and_a_box_follow_from_a_mask(self) -> None:
        face = face_of_mask(face_mask())
        assert face is not None and face.points5 is not None and face.box_xyxy is not None
        assert face.box_xyxy.tolist() == [10, 8, 53, 59]
        left, right, nose, mouth_left, mouth_right = face.points5.tolist()
        assert left == [21.5, 22.0] and right == [41.5, 22.0]
        assert nose[0] == 31.5 and 32 < nose[1] < 39
        assert (mouth_left[0], mouth_right[0]) == (22.0, 41.0)
        assert (face.points5_source, face.box_source) == ("mask", "mask")
        one_eyed = np.where(face_mask() == 4, 1, face_mask())
        assert face_of_mask(one_eyed).points5 is None  # type: ignore[union-attr]
        assert face_of_mask(np.zeros((4, 4), np.uint8)) is None


class TestCelebAMask:
    def make(self, root: Path, swap: bool = False) -> Path:
        picture(root / "CelebA-HQ-img/3.jpg", 2 * SIZE, 2 * SIZE)
        for name in FACE:
            part = np.zeros((SIZE, SIZE), np.uint8)
            part[FACE[name]] = 255
            word = PARTS[name - 1]
            if swap and word[:2] in ("l_", "r_") and word != "l_lip":
                word = {"l": "r", "r": "l"}[word[0]] + word[1:]
            save(root / "CelebAMask-HQ-mask-anno/0" / f"00003_{word}.png", part)
        return root

    def test_part_names_are_the_classes_in_order(self) -> None:
        ours = {"glasses": "eye_g", "inner_mouth": "mouth", "earring": "ear_r", "necklace": "neck_l"}
        ours |= {"upper_lip": "u_lip", "lower_lip": "l_lip"}
        for side in ("left", "right"):
            ours |= {f"{side}_{part}": f"{side[0]}_{part}" for part in ("eye", "brow", "ear")}
        assert tuple(ours.get(name, name) for name in PARSING_CLASSES[1:]) == PARTS

    @pytest.mark.parametrize("swap", [False, True])
    def test_parts_make_a_mask_as_large_as_the_picture(self, tmp_path: Path, swap: bool) -> None:
        (record,) = read("celebamask", self.make(tmp_path, swap))
        image, mask = record.load()
        assert mask is not None and mask.shape == image.shape[:2] == (128, 128)
        np.testing.assert_array_equal(mask[::2, ::2], face_mask())
        np.testing.assert_array_equal(mask[1::2, 1::2], face_mask())
        assert (record.id, record.parsing_scheme, record.parsing_source) == ("celebamask-3", "celebamask19", "human")
        assert record.split == ""

    @pytest.mark.parametrize(("original", "split"), [(162769, "train"), (162770, "val"), (182637, "test")])
    def test_the_split_is_celebas(self, tmp_path: Path, original: int, split: str) -> None:
        self.make(tmp_path)
        text(tmp_path / "CelebA-HQ-to-CelebA-mapping.txt", "idx orig_idx orig_file", f"3 {original} {original}.jpg")
        assert read("celebamask", tmp_path)[0].split == split

    def test_damage_is_named(self, tmp_path: Path) -> None:
        self.make(tmp_path)
        odd = save(tmp_path / "CelebAMask-HQ-mask-anno/0/00003_hair.png", np.zeros((9, 9), np.uint8))
        (record,) = read("celebamask", tmp_path)
        with pytest.raises(SourceError, match=r"00003_hair\.png: is 9x9 px, other parts 64x64"):
            record.load()
        odd.write_bytes(b"no picture")
        with pytest.raises(SourceError, match=r"00003_hair\.png: is not a picture"):
            record.load()
        odd.rename(odd.with_name("00003_fringe.png"))
        with pytest.raises(SourceError, match="expected a name like 00000_skin"):
            read("celebamask", tmp_path)
        with pytest.raises(SourceError, match="has none of CelebA-HQ-img"):
            read("celebamask", tmp_path / "CelebAMask-HQ-mask-anno")


#: The 19 → LaPa's and Helen's 11.
TO_11 = {1: 1, 6: 2, 7: 3, 4: 4, 5: 5, 2: 6, 11: 7, 10: 8, 12: 9, 13: 10}


def known_to_both() -> np.ndarray:
    """What the mask must be read as: background and ears unknown."""
    return np.where(np.isin(face_mask(), list(TO_11)), face_mask(), 255)


class TestLapa:
    def make(self, root: Path, *rows: str) -> Path:
        labels = np.zeros((SIZE, SIZE), np.uint8)
        for ours, theirs in TO_11.items():
            labels[face_mask() == ours] = theirs
        save(root / "val/labels/a.png", labels)
        picture(root / "val/images/a.jpg", SIZE, SIZE)
        text(root / "val/landmarks/a.txt", *(rows or ("106", *(spaced(point) for point in points(106)))))
        return root

    def test_mask_and_points(self, tmp_path: Path) -> None:
        (record,) = read("lapa", self.make(tmp_path))
        np.testing.assert_array_equal(record.load()[1], known_to_both())
        assert record.faces[0].landmarks68 is not None and record.split == "val"

    def test_damage_is_named(self, tmp_path: Path) -> None:
        for rows, says in (
            (["106", "1 2"], "expected 106 and as many points, got 106 and 1"),
            (["68", *["1 2"] * 106], "got 68 and 106"),
            (["106", *["1 2"] * 105, "3"], "line 107: expected 2 numbers"),
        ):
            with pytest.raises(SourceError, match=says):
                read("lapa", self.make(tmp_path, *rows))
        save(tmp_path / "val/labels/a.png", np.full((SIZE, SIZE), 11, np.uint8))
        text(tmp_path / "val/landmarks/a.txt", "106", *["1 2"] * 106)
        with pytest.raises(SourceError, match="expected one channel of classes 0 to 10"):
            read("lapa", tmp_path)[0].load()
        save(tmp_path / "val/labels/a.png", np.zeros((SIZE, 2 * SIZE), np.uint8))
        with pytest.raises(SourceError, match="its mask is 128x64 px, the picture 64x64"):
            read("lapa", tmp_path)[0].load()
        with pytest.raises(SourceError, match="has no folder train, val or test"):
            read("lapa", tmp_path / "val")


class TestHelen:
    def make(self, root: Path) -> Path:
        text(root / "testing.txt", "1 , 100_1")
        picture(root / "images/100_1.jpg", SIZE, SIZE)
        for number in range(11):
            ours = [a for a, b in TO_11.items() if b == number]
            sure = np.isin(face_mask(), ours) if number else ~np.isin(face_mask(), list(TO_11))
            layer = np.where(sure, 200, 20).astype(np.uint8)
            layer[50, 30] = 90  # nothing is sure there
            save(root / "labels/100_1" / f"100_1_lbl{number:02d}.png", layer)
        return root

    def test_the_surest_class_or_none(self, tmp_path: Path) -> None:
        (record,) = read("helenmask", self.make(tmp_path))
        expected = known_to_both()
        expected[50, 30] = 255
        np.testing.assert_array_equal(record.load()[1], expected)
        assert (record.id, record.split) == ("helenmask-100_1", "test")

    def test_damage_is_named(self, tmp_path: Path) -> None:
        (record,) = read("helenmask", self.make(tmp_path))
        layer = tmp_path / "labels/100_1/100_1_lbl07.png"
        save(layer, np.zeros((9, 9), np.uint8))
        with pytest.raises(SourceError, match="its eleven masks differ in size"):
            record.load()
        layer.unlink()
        with pytest.raises(SourceError, match=r"lbl07\.png: no such file"):
            record.load()
        text(tmp_path / "testing.txt", "100_1")
        with pytest.raises(SourceError, match="line 1: expected a number, a comma and a name"):
            read("helenmask", tmp_path)

"""Readers of WIDER FACE's boxes, and of RetinaFace's points."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.datasets.registry import read
from rtface.errors import SourceError
from tests.datasets.made import picture, text

NAME = "0--Parade/a.jpg"


def wider(root: Path, *rows: str) -> Path:
    picture(root / "WIDER_val/images" / NAME)
    text(root / "wider_face_split/wider_face_val_bbx_gt.txt", *rows)
    return root


def test_wider_boxes(tmp_path: Path) -> None:
    rows = ["10 20 30 40 0 0 0 0 0 0", "1 2 8 9 0 0 0 1 0 0", "5 5 0 7 0 0 0 0 0 0"]
    root = wider(
        tmp_path, NAME, "3", *rows, "0--Parade/none.jpg", "0", "0 0 0 0 0 0 0 0 0 0", NAME[:-5] + "b.jpg", "1", rows[0]
    )
    first, none, last = read("wider", root)
    assert (first.id, first.split, last.id) == ("wider-0--Parade/a", "val", "wider-0--Parade/b")
    (face,) = first.faces  # the second is invalid, the third empty
    assert face.box_xyxy is not None and face.box_xyxy.tolist() == [10, 20, 40, 60]
    assert face.box_source == "human"
    assert first.ignore_xyxy.tolist() == [[1, 2, 9, 11]]
    assert none.faces == () and none.ignore_xyxy.shape == (0, 4)
    assert first.load()[0].shape == (30, 40, 3)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([NAME, "2", "1 2 3 4 0 0 0 0 0 0"], r"expected 2 faces of 0--Parade/a\.jpg, got 1: the file is cut short"),
        ([NAME, "1", "1 2 3 4 0 0"], r"line 3: expected 10 numbers .*, got 6"),
        ([NAME, NAME], r"line 2: expected the number of faces, got '0--Parade"),
        ([NAME], r"line 1: expected the number of faces, got 'nothing'"),
        ([NAME, "0", "0 0 0 0 0 0 0 0 0 0"] * 2, "names wider-0--Parade/a more than once"),
    ],
)
def test_damaged_wider_lists_are_named(tmp_path: Path, rows: list[str], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read("wider", wider(tmp_path, *rows))


def test_a_set_without_its_pictures_is_named(tmp_path: Path) -> None:
    text(tmp_path / "wider_face_split/wider_face_train_bbx_gt.txt", NAME)
    with pytest.raises(SourceError, match="has none of WIDER_train/images"):
        read("wider", tmp_path)


def retina(root: Path, *rows: str) -> Path:
    picture(root / "train/images" / NAME)
    text(root / "train/label.txt", *rows)
    return root


def test_retinaface_points(tmp_path: Path) -> None:
    some = "10 20 30 40 12.5 22 0.0 30 23 0.0 20 35 1.0 14 50 0.0 28 51 0.0 0.82"
    none = "1 2 8 9 " + "-1.0 " * 15 + "0.2"
    first, second = read("retinaface", retina(tmp_path, f"# {NAME}", some, none, "3 3 4 5", "# 0--Parade/b.jpg"))
    with_points, without, bare = first.faces
    assert with_points.points5 is not None and with_points.points5.tolist() == [
        [12.5, 22],
        [30, 23],
        [20, 35],
        [14, 50],
        [28, 51],
    ]
    assert with_points.box_xyxy is not None and with_points.box_xyxy.tolist() == [10, 20, 40, 60]
    assert without.points5 is None and without.box_xyxy is not None
    assert bare.box_xyxy is not None and bare.box_xyxy.tolist() == [3, 3, 7, 8]
    assert second.faces == () and second.split == "train"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["1 2 3 4"], "line 1: expected a picture's name after #"),
        ([f"# {NAME}", "1 2 3 4 5"], "line 2: expected 4, 19 or 20 numbers, got 5"),
        ([f"# {NAME}", "1 2 3 four"], "got 'four'"),
    ],
)
def test_damaged_retinaface_lists_are_named(tmp_path: Path, rows: list[str], says: str) -> None:
    with pytest.raises(SourceError, match=says):
        read("retinaface", retina(tmp_path, *rows))

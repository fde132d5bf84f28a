"""A plain folder with a CSV, and choosing a reader."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.registry import FORMATS, read
from rtface.errors import SourceError, UsageError
from tests.datasets.made import picture, points, save, spaced, text


def test_every_column(tmp_path: Path) -> None:
    mask = np.full((30, 40), 255, np.uint8)
    mask[4, 5] = 18
    save(tmp_path / "m.png", mask)
    picture(tmp_path / "in/a.jpg")
    head = "image,split,source,x0,y0,x1,y1,points5,landmarks68,yaw,pitch,roll,parsing"
    full = f"in/a.jpg,val,mine,1,2,20,25,{spaced(points(5, 3))},{spaced(points(68))},10,-5,2,m.png"
    text(tmp_path / "labels.csv", head, full, "in/a.jpg,,,5,6,9,10,,,,,,", "b.jpg" + "," * 12)
    one, bare = read("folder", tmp_path)
    assert (one.id, one.source, one.split) == ("mine-in/a", "mine", "val")
    first, second = one.faces
    assert first.landmarks68 is not None and first.landmarks68[7].tolist() == [7.0, 14.5]
    assert first.points5 is not None and first.points5.tolist() == points(5, 3).tolist()  # not the 68's
    assert first.box_xyxy is not None and first.box_xyxy.tolist() == [1, 2, 20, 25]
    assert first.pose is not None and first.pose.tolist() == [10, -5, 2]
    assert second.landmarks68 is None and second.box_xyxy is not None and second.box_source == "human"
    image, labels = one.load()
    assert labels is not None and labels[4, 5] == 18 and labels[0, 0] == 255 and image.shape == (30, 40, 3)
    assert (bare.id, bare.split, bare.faces) == ("folder-b", "", ())


def test_emotions_by_name_and_by_votes(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    named = text(tmp_path / "one.csv", "image,emotion,x0,y0,x1,y1", "a.jpg,fear,10,10,20,20")
    (record,) = read("folder", named)
    assert record.emotion_votes is not None and record.emotion_votes.tolist() == [0] * 6 + [10, 0, 0, 0]
    assert record.cut == (6, 6, 25, 25)  # 3.5 px more on every side
    assert record.faces[0].box_xyxy is not None and record.faces[0].box_xyxy.tolist() == [4, 4, 14, 14]
    counted = text(tmp_path / "two.csv", "image,neutral,contempt,no_face", "a.jpg,3,6,1")
    (record,) = read("folder", counted)
    assert record.emotion_votes is not None and record.emotion_votes.tolist() == [3, 0, 0, 0, 0, 0, 0, 6, 0, 1]
    assert record.cut is None


@pytest.mark.parametrize(
    ("head", "row", "says"),
    [
        ("photo,x0", "a.jpg,1", r"lacks the column image \(or file"),
        ("image,left", "a.jpg,1", "column 'left' is unknown; known are image, split"),
        ("image,x0,y0,x1,y1", "a.jpg,1,2,3,", "expected 4 numbers .x0 y0 x1 y1., got 3"),
        ("image,x0,y0,x1,y1", "a.jpg,9,2,3,4", "expected x0 < x1 and y0 < y1, got 9 2 3 4"),
        ("image,points5", "a.jpg,1 2 3", "expected 10 numbers .points5., got 3"),
        ("image,emotion", "a.jpg,joy", "expected an emotion of neutral, .*, got 'joy'"),
        ("image,split", "a.jpg,dev", "expected a split of train, val, test, unlabelled, got 'dev'"),
        ("image,emotion,parsing,x0,y0,x1,y1", "a.jpg,fear,m.png,1,2,3,4", "a row has either"),
        ("image,x0,y0,x1,y1", "a.jpg,1,2", "expected 5 cells, got 3"),
    ],
)
def test_damage_is_named(tmp_path: Path, head: str, row: str, says: str) -> None:
    file = text(tmp_path / "labels.csv", head, row)
    with pytest.raises(SourceError, match=rf"labels\.csv, line \d: {says}"):
        read("folder", file)


def test_masks_of_other_classes_are_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    save(tmp_path / "m.png", np.full((30, 40), 19, np.uint8))
    (record,) = read("folder", text(tmp_path / "labels.csv", "image,parsing", "a.jpg,m.png"))
    with pytest.raises(SourceError, match=r"m\.png: expected one channel of class ids"):
        record.load()


def test_every_format_is_a_reader(tmp_path: Path) -> None:
    for name in FORMATS:
        with pytest.raises(SourceError, match="nowhere"):
            read(name, tmp_path / "nowhere")
    with pytest.raises(UsageError, match="Did you mean wflw"):
        read("wflv", tmp_path)
    empty = text(tmp_path / "labels.csv", "image")
    with pytest.raises(SourceError, match="holds no picture in the layout folder"):
        read("folder", empty)

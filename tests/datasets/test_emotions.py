"""Readers of emotion sets: each set's numbers in FER+'s order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.labelled import LabelledImage
from rtface.datasets.registry import read
from rtface.errors import SourceError
from rtface.labels import EMOTIONS
from tests.datasets.made import picture, text

PIXELS = " ".join(str(k % 256) for k in range(48 * 48))
NEW = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"


def emotion(record: LabelledImage) -> str:
    assert record.emotion_votes is not None and record.emotion_votes.sum() == 10
    return EMOTIONS[int(record.emotion_votes.argmax())]


class TestFer:
    def make(self, root: Path, *votes: str, pixels: str = PIXELS, emotions: tuple[int, ...] = (0, 3, 6)) -> Path:
        usages = ("Training", "PublicTest", "PrivateTest")
        rows = [f"{e},{pixels},{usage}" for e, usage in zip(emotions, usages, strict=False)]
        text(root / "fer2013.csv", "emotion,pixels,Usage", *rows)
        if votes:
            text(root / "fer2013new.csv", NEW, *votes)
        return root

    def test_votes_go_with_the_pictures_of_their_rows(self, tmp_path: Path) -> None:
        votes = (
            "Training,a.png,4,0,0,1,3,2,0,0,0,0",
            "PublicTest,,0,0,0,0,0,0,0,0,0,10",
            "PrivateTest,c.png,0,0,0,0,0,0,0,9,1,0",
        )
        first, last = read("ferplus", self.make(tmp_path, *votes))  # the second was struck out
        assert first.emotion_votes is not None and first.emotion_votes.tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
        assert (first.id, first.split, last.id, last.split) == ("ferplus-0000000", "train", "ferplus-0000002", "test")
        assert emotion(last) == "contempt"
        image, _ = first.load()
        assert image.shape == (48, 48, 3) and image[1, 2].tolist() == [50, 50, 50]
        assert first.faces[0].box_xyxy is not None and first.faces[0].box_source == "crop"

    def test_own_labels(self, tmp_path: Path) -> None:
        records = read("fer2013", self.make(tmp_path))
        assert [emotion(r) for r in records] == ["anger", "happiness", "neutral"]
        assert [r.split for r in records] == ["train", "val", "test"]
        more = read("fer2013", self.make(tmp_path, emotions=(1, 2, 4)))
        assert [emotion(r) for r in more] == ["disgust", "fear", "sadness"]
        assert emotion(read("fer2013", self.make(tmp_path, emotions=(5,)))[0]) == "surprise"

    @pytest.mark.parametrize(
        ("votes", "pixels", "says"),
        [
            (("Training,a.png,10,0,0,0,0,0,0,0,0,0",), PIXELS, r"fer2013new\.csv, line 3: ends before the other"),
            (("PublicTest,a.png,10,0,0,0,0,0,0,0,0,0",), PIXELS, "Usage is 'PublicTest', that of fer2013.csv 'Train"),
            (("Training,a.png,10,0,0,0,0,0,0,0,0",), PIXELS, "line 2: expected 12 cells, got 11"),
            (("Training,a.png,ten,0,0,0,0,0,0,0,0,0",), PIXELS, "expected 10 numbers .votes., got 'ten'"),
            (("Training,a.png,10,0,0,0,0,0,0,0,0,0",), "1 2 3", "expected 2304 pixels, got 3"),
            (("Training,a.png,10,0,0,0,0,0,0,0,0,0",), PIXELS.replace("255", "256"), "not within 0 to 255"),
            (("Training,a.png,10,0,0,0,0,0,0,0,0,0",), PIXELS.replace("255", "x"), "a pixel is no number"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, votes: tuple[str, ...], pixels: str, says: str) -> None:
        with pytest.raises(SourceError, match=says):
            read("ferplus", self.make(tmp_path, *votes, pixels=pixels))

    def test_a_missing_file_and_another_file_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"has none of fer2013new\.csv"):
            read("ferplus", self.make(tmp_path))
        text(tmp_path / "fer2013.csv", "label,pixels,Usage")
        with pytest.raises(SourceError, match="lacks the columns emotion"):
            read("fer2013", tmp_path)


class TestRafDb:
    def make(self, root: Path, *rows: str, aligned: bool = True) -> Path:
        text(root / "basic/EmoLabel/list_patition_label.txt", *rows)
        if aligned:
            picture(root / "basic/Image/aligned/train_00001_aligned.jpg", 100, 100)
        else:
            picture(root / "basic/Image/original/train_00001.jpg", 100, 80)
            text(root / "basic/Annotation/boundingbox/train_00001_boundingbox.txt", "20.0 30.0 60.0 70.0 ")
        return root

    def test_labels_from_one(self, tmp_path: Path) -> None:
        rows = [f"train_0000{k}.jpg {k}" for k in range(1, 8)] + ["test_0001.jpg 7"]
        records = read("rafdb", self.make(tmp_path, *rows))
        said = ["surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral", "neutral"]
        assert [emotion(r) for r in records] == said
        assert {r.split for r in records[:7]} == {"train"} and records[7].split == "test"
        assert records[0].load()[0].shape == (100, 100, 3) and records[0].faces == ()

    def test_originals_are_cut_around_their_box(self, tmp_path: Path) -> None:
        (record,) = read("rafdb", self.make(tmp_path, "train_00001.jpg 4", aligned=False))
        assert record.cut == (6, 16, 75, 85)
        assert record.faces[0].box_xyxy is not None and record.faces[0].box_xyxy.tolist() == [14, 14, 54, 54]
        assert record.load()[0].shape == (64, 69, 3)  # the picture ends at row 80

    @pytest.mark.parametrize("row", ["train_00001.jpg 8", "train_00001.jpg", "00001.jpg 3"])
    def test_damage_is_named(self, tmp_path: Path, row: str) -> None:
        with pytest.raises(SourceError, match=r"list_patition_label\.txt, line 1: expected a name like"):
            read("rafdb", self.make(tmp_path, row))


class TestAffectNet:
    HEAD = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
    TAIL = '"1.5;2.5;3;4",{},0.1,-0.2'

    def row(self, name: str, expression: object, box: str = "10,5,20,24") -> str:
        return f"{name},{box},{self.TAIL.format(expression)}"

    def make(self, root: Path, *rows: str, head: bool = True) -> Path:
        picture(root / "Manually_Annotated_Images/1/a.jpg", 60, 50)
        text(root / "validation.csv", *([self.HEAD] if head else []), *rows)
        return root

    @pytest.mark.parametrize("head", [True, False])
    def test_expressions_in_our_order(self, tmp_path: Path, head: bool) -> None:
        records = read("affectnet", self.make(tmp_path, *(self.row(f"1/{k}.jpg", k) for k in range(11)), head=head))
        said = ["neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt"]
        assert [emotion(r) for r in records] == said  # none, uncertain and no face are left out
        assert {r.split for r in records} == {"val"}

    def test_the_picture_is_cut_around_the_face(self, tmp_path: Path) -> None:
        (record,) = read("affectnet", self.make(tmp_path, self.row("1/a.jpg", 1)))
        image, _ = record.load()
        (x0, y0, _, _), face = record.cut or (0, 0, 0, 0), record.faces[0].box_xyxy
        assert (x0, y0) == (1, 0) and image.shape == (39, 39, 3)
        assert face is not None and face.tolist() == [9, 5, 29, 29]
        assert image[2, 2].min() > 200  # the white pixel (3, 2)

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            ('1/a.jpg,10,5,20,24,"",11,0,0', "expected an expression of 0 to 10, got '11'"),
            ('1/a.jpg,10,5,0,24,"",1,0,0', "expected a box of some size, got 0 x 24"),
            ("1/a.jpg,10,5", "expected 9 cells, got 3"),
            ('1/a.jpg,ten,5,20,24,"",1,0,0', "expected 4 numbers .the face's box., got 'ten'"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, row: str, says: str) -> None:
        with pytest.raises(SourceError, match=rf"validation\.csv, line 2: {says}"):
            read("affectnet", self.make(tmp_path, row))

    def test_a_cut_outside_the_picture_is_named(self, tmp_path: Path) -> None:
        (record,) = read("affectnet", self.make(tmp_path, self.row("1/a.jpg", 1, "500,500,20,20")))
        with pytest.raises(SourceError, match="lies outside the picture"):
            record.load()


def test_single_labels_count_as_all_votes() -> None:
    from rtface.datasets.labelled import votes_for

    assert votes_for("unknown").tolist() == [0] * 8 + [10, 0]
    assert np.argmax(votes_for("fear")) == EMOTIONS.index("fear")

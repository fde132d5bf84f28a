"""Faithful copies of public layouts, in their real order: what is imported lies where the face is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.readers.lapa import PAIRS_OF_68
from rtface.datasets.registry import read
from rtface.errors import SourceError
from rtface.geometry.mirror import MIRROR_68
from rtface.labels import EMOTIONS
from tests.datasets import schematic
from tests.datasets.made import mat, save, spaced, text

TRUTH = schematic.placed(schematic.ibug68())


def rows(values: np.ndarray) -> list[str]:
    return [f"{x:.4f} {y:.4f}" for x, y in values]


def lapa(root: Path) -> None:
    save(root / "train/images/1.jpg", schematic.picture())
    save(root / "train/labels/1.png", np.zeros((200, 200), np.uint8))
    text(root / "train/landmarks/1.txt", "106", *rows(schematic.placed(schematic.lapa106())))


def wflw(root: Path) -> None:
    points = schematic.placed(schematic.wflw98())
    save(root / "WFLW_images/0--Parade/0_Parade_1.jpg", schematic.picture())
    attributes = "60 40 150 160 0 0 0 0 0 0 0--Parade/0_Parade_1.jpg"
    name = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_train.txt"
    text(root / name, f"{spaced(points)} {attributes}")


def pts(root: Path) -> None:
    save(root / "helen/trainset/1.jpg", schematic.picture())
    text(root / "helen/trainset/1.pts", "version: 1", "n_points: 68", "{", *rows(TRUTH + 1), "}")


def lp(root: Path) -> None:
    save(root / "HELEN/1.jpg", schematic.picture())
    mat(root / "HELEN/1.mat", Pose_Para=np.zeros((1, 7)), pt2d=TRUTH.T + 1)


#: Layout → what writes it, and how far its 68 points may lie from the face's, % of the outer eye corners' distance:
#: a mark-up of other points comes near, not nearer.
LAYOUTS = {"pts": (pts, 0.01), "aflw2000": (lp, 0.01), "wflw": (wflw, 1.0), "lapa": (lapa, 1.0)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_68_points_lie_on_the_face(tmp_path: Path, name: str) -> None:
    write, limit = LAYOUTS[name]
    write(tmp_path)
    (record,) = read(name, tmp_path)
    points = record.faces[0].landmarks68
    assert points is not None and record.split == "train"
    assert schematic.nme_pct(points, TRUTH) <= limit
    assert np.linalg.norm(points - TRUTH, axis=1).max() <= 0.05 * np.linalg.norm(TRUTH[36] - TRUTH[45])


def test_lapas_mirrored_points_are_ibugs() -> None:
    """LaPa's own left-right pairs (its README's figure), brought to 68 points, are iBUG's."""
    mirror = np.arange(106)
    runs = [(range(33), range(32, -1, -1)), (range(33, 38), range(46, 41, -1)), (range(38, 42), range(50, 46, -1))]
    runs += [(range(55, 66), range(65, 54, -1)), (range(66, 71), range(79, 74, -1)), (range(71, 74), range(82, 79, -1))]
    runs += [(range(84, 91), range(90, 83, -1)), (range(91, 96), range(95, 90, -1))]
    runs += [(range(96, 101), range(100, 95, -1)), (range(101, 104), range(103, 100, -1))]
    for here, there in runs:
        mirror[list(here)], mirror[list(there)] = list(there), list(here)
    np.testing.assert_array_equal(np.sort(PAIRS_OF_68[MIRROR_68]), np.sort(mirror[PAIRS_OF_68]))


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("helen/trainset", "train"),
        ("helen/testset", "test"),
        ("ibug", "test"),
        ("300W/01_Indoor", "test"),
        ("300w/afw", ""),
    ],
)
def test_what_was_published_for_testing_is_test(tmp_path: Path, folder: str, split: str) -> None:
    text(tmp_path / folder / "1.pts", "version: 1", "n_points: 68", "{", *rows(TRUTH), "}")
    assert read("pts", tmp_path)[0].split == split


def test_aflw2000_is_for_testing(tmp_path: Path) -> None:
    three = np.vstack([TRUTH.T + 1, np.zeros((1, 68))])
    mat(tmp_path / "image00002.mat", Pose_Para=np.zeros((1, 7)), pt3d_68=three)
    assert read("aflw2000", tmp_path)[0].split == "test"


def coco(root: Path, **person: object) -> None:
    save(root / "train2017/000000000009.jpg", schematic.picture())
    known = {"id": 1, "image_id": 9, "bbox": [40, 30, 120, 150], "iscrowd": 0, "face_valid": True}
    known |= {"face_kpts": np.column_stack([TRUTH, np.full(68, 1.5)]).ravel().tolist(), "keypoints": [0] * 51}
    content = {
        "licenses": [{"id": 4, "name": "Attribution License", "url": "http://example.org/by"}],
        "images": [{"id": 9, "file_name": "000000000009.jpg", "license": 4}, {"id": 8, "file_name": "8.jpg"}],
        "annotations": [known | person],
    }
    text(root / "annotations/coco_wholebody_train_v1.0.json", json.dumps(content))


class TestCocoWholeBody:
    def test_faces_points_and_terms(self, tmp_path: Path) -> None:
        coco(tmp_path)
        (image,) = read("cocowholebody", tmp_path)
        (face,) = image.faces
        assert face.landmarks68 is not None and schematic.nme_pct(face.landmarks68, TRUTH) < 0.01
        assert face.box_xyxy is None  # COCO-WholeBody's lies tight around the points
        assert (image.split, image.licence) == ("train", "Attribution License (http://example.org/by)")
        assert image.ignore_xyxy.shape == (0, 4) and image.load()[0].shape == (200, 200, 3)

    @pytest.mark.parametrize(
        "person",
        [
            {"iscrowd": 1},
            {"face_valid": False, "keypoints": [90, 80, 2, *[0] * 48]},
            {"face_kpts": [0.0] * 204},
        ],
        ids=["crowd", "nose seen", "points missing"],
    )
    def test_a_face_that_nobody_placed_is_ignored(self, tmp_path: Path, person: dict[str, object]) -> None:
        coco(tmp_path, **person)
        (image,) = read("cocowholebody", tmp_path)
        assert image.faces == () and image.ignore_xyxy.tolist() == [[40, 30, 160, 180]]

    def test_damage_is_named(self, tmp_path: Path) -> None:
        coco(tmp_path, face_kpts=[1.0, 2.0])
        with pytest.raises(SourceError, match="face_kpts of annotation 1"):
            read("cocowholebody", tmp_path)
        (tmp_path / "annotations/coco_wholebody_train_v1.0.json").write_text("{}")
        with pytest.raises(SourceError, match="is not a file of annotations"):
            read("cocowholebody", tmp_path)
        with pytest.raises(SourceError, match="coco_wholebody_train"):
            read("cocowholebody", tmp_path / "train2017")


class TestFerPlusAsFolders:
    VOTES = "4,0,0,1,3,2,0,0,0,0"

    @pytest.mark.parametrize("form", ["lists in the folders", "one list"])
    def test_pngs_and_their_votes(self, tmp_path: Path, form: str) -> None:
        grey = np.arange(48 * 48, dtype=np.uint8).reshape(48, 48)
        for folder, name in (("FER2013Train", "fer0000000"), ("FER2013Valid", "fer0028638")):
            save(tmp_path / "data" / folder / f"{name}.png", grey)
            if form == "lists in the folders":
                row = f'{name}.png,"(0, 0, 48, 48)",{self.VOTES}'
                text(tmp_path / "data" / folder / "label.csv", row)
        if form == "one list":
            head = "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
            rows = [f"Training,fer0000000.png,{self.VOTES}", f"PublicTest,fer0028638.png,{self.VOTES}"]
            text(tmp_path / "fer2013new.csv", head, *rows, f"Training,,{self.VOTES}")
        first, second = read("ferplus", tmp_path)
        assert [(one.id, one.split) for one in (first, second)] == [
            ("ferplus-fer0000000", "train"),
            ("ferplus-fer0028638", "val"),
        ]
        assert first.emotion_votes is not None and first.emotion_votes.tolist() == [4, 0, 0, 1, 3, 2, 0, 0, 0, 0]
        np.testing.assert_array_equal(first.load()[0][..., 0], grey)

    def test_another_folder_is_named(self, tmp_path: Path) -> None:
        text(tmp_path / "other/label.csv", "a.png,b")
        with pytest.raises(SourceError, match=r"no label\.csv in FER2013Train"):
            read("ferplus", tmp_path)


class TestAffectNetAsArrays:
    def make(self, root: Path, name: str, value: object) -> None:
        save(root / f"{name}.jpg".replace("annotations", "images"), schematic.picture(224, 224))
        file = root / f"{name}_exp.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.array(value))

    def test_expressions_are_numbers_or_texts(self, tmp_path: Path) -> None:
        self.make(tmp_path, "train_set/annotations/0", "1")
        self.make(tmp_path, "train_set/annotations/17", 7)
        self.make(tmp_path, "train_set/annotations/18", "8")  # none of the eight
        self.make(tmp_path, "val_set/annotations/3", "2")
        images = {image.id: image for image in read("affectnet", tmp_path)}
        told = {}
        for name, image in images.items():
            assert image.emotion_votes is not None and image.load()[0].shape == (224, 224, 3)
            told[name] = (EMOTIONS[int(image.emotion_votes.argmax())], image.split)
        assert told == {
            "affectnet-train_set/0": ("happiness", "train"),
            "affectnet-train_set/17": ("contempt", "train"),
            "affectnet-val_set/3": ("sadness", "val"),
        }

    @pytest.mark.parametrize("value", ["happy", 12, [1, 2]])
    def test_damage_is_named(self, tmp_path: Path, value: object) -> None:
        self.make(tmp_path, "train_set/annotations/0", value)
        with pytest.raises(SourceError, match=r"0_exp\.npy"):
            read("affectnet", tmp_path)


def test_a_csv_of_points_in_columns(tmp_path: Path) -> None:
    """As OpenFace and py-feat write them, with their own name for the picture's column."""
    save(tmp_path / "a.png", schematic.picture())
    head = ["input", *(f"x_{at}" for at in range(68)), *(f"y_{at}" for at in range(68))]
    cells = ["a.png", *(f"{value:.4f}" for value in TRUTH.T.ravel())]
    text(tmp_path / "points.csv", ", ".join(head), ", ".join(cells))
    (image,) = read("folder", tmp_path / "points.csv")
    points = image.faces[0].landmarks68
    assert points is not None and schematic.nme_pct(points, TRUTH) < 0.01
    text(tmp_path / "points.csv", "x0,y0", "1,2")
    with pytest.raises(SourceError, match=r"lacks the column image \(or file"):
        read("folder", tmp_path / "points.csv")


def test_layouts_of_boxes_and_five_points_lie_on_the_face(tmp_path: Path) -> None:
    five, (x0, y0, x1, y1) = schematic.placed(schematic.five()), schematic.box(TRUTH)
    save(tmp_path / "mtfl/lfw_5590/a.jpg", schematic.picture())
    values = " ".join(f"{value:.3f}" for value in five.T.ravel())  # all x, then all y
    text(tmp_path / "mtfl/training.txt", rf"lfw_5590\a.jpg {values} 1 2 2 3")
    (mtfl,) = read("mtfl", tmp_path / "mtfl")
    np.testing.assert_allclose(mtfl.faces[0].points5, five, atol=0.01)

    save(tmp_path / "retina/train/images/0--Parade/a.jpg", schematic.picture())
    flagged = " ".join(f"{x:.3f} {y:.3f} 0.0" for x, y in five)
    row = f"{x0:.2f} {y0:.2f} {x1 - x0:.2f} {y1 - y0:.2f} {flagged} 0.9"
    text(tmp_path / "retina/train/label.txt", "# 0--Parade/a.jpg", row)
    (retina,) = read("retinaface", tmp_path / "retina")
    np.testing.assert_allclose(retina.faces[0].points5, five, atol=0.01)
    np.testing.assert_allclose(retina.faces[0].box_xyxy, (x0, y0, x1, y1), atol=0.02)

    save(tmp_path / "wider/WIDER_train/images/0--Parade/a.jpg", schematic.picture())
    row = f"{x0:.0f} {y0:.0f} {x1 - x0:.0f} {y1 - y0:.0f} 0 0 0 0 0 0"
    text(tmp_path / "wider/wider_face_split/wider_face_train_bbx_gt.txt", "0--Parade/a.jpg", "1", row)
    (wider,) = read("wider", tmp_path / "wider")
    np.testing.assert_allclose(wider.faces[0].box_xyxy, (x0, y0, x1, y1), atol=1.01)

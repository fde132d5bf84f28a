"""Faithful copies of public layouts, in their real order: what is imported lies where the face is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.readers.lapa import PAIRS_OF_68
from rtface.datasets.registry import read
from rtface.geometry.mirror import MIRROR_68
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

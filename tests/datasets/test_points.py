"""Readers of point sets: bases of counting, orders, signs; and what they say of damaged files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets.matfile import read_mat
from rtface.datasets.registry import read
from rtface.errors import SourceError
from tests.datasets.made import mat, picture, points, spaced, text


def pts(path: Path, values: np.ndarray, said: int = 68, end: str = "}") -> Path:
    rows = [f"{x:.6f} {y:.6f}" for x, y in values]
    return text(path, "version: 1", f"n_points:  {said}", "{", *rows, *([end] if end else []))


class TestPts:
    def test_counts_from_one_and_reads_set_and_split_from_the_path(self, tmp_path: Path) -> None:
        pts(tmp_path / "helen/testset/a_1.pts", points(68, start=1.0))
        picture(tmp_path / "helen/testset/a_1.jpg")
        pts(tmp_path / "afw/b.pts", points(68, start=11.0))
        picture(tmp_path / "afw/b.png", width=50)
        afw, helen = read("pts", tmp_path)
        assert (helen.id, helen.source, helen.split) == ("helen-helen/testset/a_1", "helen", "test")
        assert (afw.source, afw.split) == ("afw", "")
        (face,) = helen.faces
        assert face.landmarks68 is not None and face.landmarks68_source == face.points5_source == "human"
        np.testing.assert_allclose(face.landmarks68, points(68), atol=1e-6)  # 1 came off
        assert face.points5 is not None
        np.testing.assert_allclose(face.points5[[0, 2, 4]], [points(68)[36:42].mean(0), *points(68)[[30, 54]]])
        assert afw.load()[0].shape == (30, 50, 3) and afw.load()[1] is None

    def test_a_set_is_known_when_its_own_folder_is_given(self, tmp_path: Path) -> None:
        pts(tmp_path / "lfpw/trainset/a.pts", points(68))
        (record,) = read("pts", tmp_path / "lfpw/trainset")
        assert (record.source, record.split) == ("lfpw", "train")

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (lambda p: pts(p, points(68), end=""), r"line 71: the closing \} is missing"),
            (lambda p: pts(p, points(67)), r"expected 68 points, got 67"),
            (lambda p: pts(p, points(39), said=39), r"expected 68 points, got 39"),
            (lambda p: text(p, "{", "1.0", "}"), r"line 2: expected 2 numbers \(x y\), got 1"),
            (lambda p: text(p, "{", "1.0 one", "}"), r"got 'one'"),
            (lambda p: text(p, "{", "1.0 nan", "}"), r"finite"),
            (lambda p: p.write_bytes(b"\xff\xfe\x00\x81"), r"is not a text file"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, change: Callable[[Path], object], says: str) -> None:
        change(tmp_path / "a.pts")
        with pytest.raises(SourceError, match=says):
            read("pts", tmp_path)

    def test_a_missing_picture_is_named_when_it_is_loaded(self, tmp_path: Path) -> None:
        pts(tmp_path / "a.pts", points(68))
        (record,) = read("pts", tmp_path)
        with pytest.raises(SourceError, match=r"a\.jpg: no such file"):
            record.load()


class TestWflw:
    LIST = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr_{}.txt"

    def make(self, root: Path, split: str, *rows: str) -> Path:
        picture(root / "WFLW_images/0--Parade/one.jpg")
        text(root / self.LIST.format(split), *rows)
        return root

    @staticmethod
    def row(values: np.ndarray, name: str = "0--Parade/one.jpg") -> str:
        return f"{spaced(values)} 1 2 30 40 0 0 0 0 1 0 {name}"

    def test_98_points_become_68(self, tmp_path: Path) -> None:
        # the name is all that follows: WFLW has none with a space, but nothing forbids it
        self.make(
            tmp_path, "train", self.row(points(98)), self.row(points(98, start=5)), self.row(points(98), "b c.jpg")
        )
        one, other = read("wflw", tmp_path)
        assert (one.source, one.split, len(one.faces), other.picture) == (
            "wflw",
            "train",
            2,
            tmp_path / "WFLW_images/b c.jpg",
        )
        face = one.faces[0].landmarks68
        assert face is not None and face.shape == (68, 2)
        known = {0: 0, 8: 16, 16: 32, 17: 33, 21: 37, 22: 42, 26: 46, 27: 51, 30: 54, 33: 57, 36: 60, 38: 63}
        known |= {39: 64, 42: 68, 45: 72, 47: 75, 48: 76, 54: 82, 60: 88, 62: 90, 64: 92, 67: 95}
        for ours, theirs in known.items():
            assert face[ours, 0] == theirs, ours

    def test_mirrored_points_come_from_mirrored_points(self) -> None:
        """WFLW's own left-right pairs, on our 68, are iBUG's."""
        from rtface.datasets.readers.wflw import POINT_OF_68
        from rtface.geometry.mirror import MIRROR_68

        mirror = np.arange(98)
        mirror[:33] = mirror[:33][::-1]
        pairs = {33: 46, 34: 45, 35: 44, 36: 43, 37: 42, 38: 50, 39: 49, 40: 48, 41: 47, 55: 59, 56: 58}
        pairs |= {60: 72, 61: 71, 62: 70, 63: 69, 64: 68, 65: 75, 66: 74, 67: 73, 76: 82, 77: 81, 78: 80, 83: 87}
        pairs |= {84: 86, 88: 92, 89: 91, 93: 95, 96: 97}
        for a, b in pairs.items():
            mirror[a], mirror[b] = b, a
        np.testing.assert_array_equal(POINT_OF_68[MIRROR_68], mirror[POINT_OF_68])

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            (spaced(points(98)), r"line 1: expected 206 numbers and a picture's name, got 196 words"),
            (spaced(points(98)).replace("7 14.5", "x 14.5", 1) + " 1 2 3 4 0 0 0 0 0 0 a.jpg", r"got 'x'"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, row: str, says: str) -> None:
        with pytest.raises(SourceError, match=says):
            read("wflw", self.make(tmp_path, "test", row))

    def test_a_missing_list_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "WFLW_images").mkdir()
        with pytest.raises(SourceError, match="list_98pt_rect_attr_train"):
            read("wflw", tmp_path)


class TestAflw2000:
    def make(self, root: Path, pose: tuple[float, ...] = (0.2, 0.5, -0.1), **more: np.ndarray) -> Path:
        picture(root / "image1.jpg")
        three = np.vstack([points(68, start=1.0).T, np.zeros((1, 68))])
        arrays = {"Pose_Para": np.array([[*pose, 1, 2, 3, 0.1]]), "pt3d_68": three} | more
        mat(root / "image1.mat", **arrays)
        return root

    @pytest.mark.parametrize("compressed", [False, True])
    def test_mat_files_read_as_written(self, tmp_path: Path, compressed: bool) -> None:
        a, name = np.arange(6.0).reshape(2, 3), np.array([[7.5]])
        read_back = read_mat(mat(tmp_path / "a.mat", compressed, long_name=a, n=name))
        assert set(read_back) == {"long_name", "n"}
        np.testing.assert_array_equal(read_back["long_name"], a)
        assert read_back["n"].tolist() == [[7.5]]

    @pytest.mark.parametrize("compressed", [False, True])
    def test_mat_files_of_scipy_read_alike(self, tmp_path: Path, compressed: bool) -> None:
        io = pytest.importorskip("scipy.io")
        values = {"x": np.random.default_rng(0).normal(size=(3, 5)), "whole": np.arange(300, dtype=np.int16)[None]}
        io.savemat(tmp_path / "a.mat", values | {"text": "left out", "cell": {"k": 1}}, do_compression=compressed)
        arrays = read_mat(tmp_path / "a.mat")
        assert set(arrays) == {"x", "whole"}
        for name, value in values.items():
            np.testing.assert_array_equal(arrays[name], value)

    def test_signs_units_and_base(self, tmp_path: Path) -> None:
        (record,) = read("aflw2000", self.make(tmp_path))
        (face,) = record.faces
        assert face.pose == pytest.approx(np.degrees((-0.5, 0.2, -0.1)), abs=1e-4)  # yaw is to the other side
        assert face.landmarks68 is not None and face.landmarks68[5].tolist() == pytest.approx([5.0, 10.5])
        assert face.landmarks68_source == "semi-automatic"
        assert record.load()[0].shape == (30, 40, 3)

    def test_extreme_angles_leave_no_pose(self, tmp_path: Path) -> None:
        (record,) = read("aflw2000", self.make(tmp_path, (0.0, 1.8, 0.0)))
        assert record.faces[0].pose is None and record.faces[0].landmarks68 is not None

    def test_300w_lp_has_its_points_in_two_rows(self, tmp_path: Path) -> None:
        root = self.make(tmp_path)
        mat(root / "image1.mat", Pose_Para=np.zeros((1, 7)), pt2d=points(68, start=2.0).T)
        mat(root / "landmarks/image1_pts.mat", pts_2d=points(68))
        (record,) = read("aflw2000", root)
        assert record.faces[0].landmarks68 is not None and record.faces[0].landmarks68[0].tolist() == [1.0, 1.5]

    @pytest.mark.parametrize(
        ("damage", "says"),
        [
            (lambda p: p.write_bytes(p.read_bytes()[:-20]), "damaged"),
            (lambda p: p.write_bytes(b"\x89HDF" * 60), "not a level-5"),
            (lambda p: mat(p, Pose_Para=np.zeros((1, 7)), pt2d=np.zeros((2, 21))), r"got shape \(2, 21\)"),
            (lambda p: mat(p, pt3d_68=np.zeros((3, 68))), r"expected Pose_Para \(1, 7\), got 0"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, damage: Callable[[Path], object], says: str) -> None:
        root = self.make(tmp_path)
        damage(root / "image1.mat")
        with pytest.raises(SourceError, match=rf"image1\.mat.*{says}"):
            read("aflw2000", root)


class TestMtfl:
    ROW = r"lfw_5590\a_1.jpg 10 20 15 11 19 30.5 31 40 50 51 1 2 2 4"

    def test_five_points_and_pose(self, tmp_path: Path) -> None:
        text(tmp_path / "training.txt", self.ROW)
        text(tmp_path / "testing.txt", self.ROW.replace("lfw_5590", "AFLW"))
        picture(tmp_path / "lfw_5590/a_1.jpg")
        train, test = read("mtfl", tmp_path)
        assert (train.id, train.split, test.split, train.pose_class) == ("mtfl-lfw_5590/a_1", "train", "test", 4)
        (face,) = train.faces
        assert face.points5 is not None and face.points5_source == "human"
        assert face.points5.tolist() == [[10, 30.5], [20, 31], [15, 40], [11, 50], [19, 51]]
        assert train.load()[0].shape == (30, 40, 3)

    @pytest.mark.parametrize(
        ("row", "says"),
        [
            (ROW[:-4], r"expected 14 numbers .*, got 12"),
            (ROW[:-1] + "6", "pose class of 1 to 5, got 6"),
        ],
    )
    def test_damage_is_named(self, tmp_path: Path, row: str, says: str) -> None:
        text(tmp_path / "training.txt", self.ROW, row)
        with pytest.raises(SourceError, match=rf"training\.txt, line 2: .*{says}"):
            read("mtfl", tmp_path)

    def test_a_folder_without_lists_is_another(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"has none of training\.txt, testing\.txt"):
            read("mtfl", tmp_path)

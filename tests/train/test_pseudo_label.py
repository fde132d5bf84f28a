"""Own labels, by the shipped networks on a portrait: what they are, and what is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from skimage import data

from rtface import Analyzer, Options
from rtface.datasets import corpus, writer
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.writer import Settings
from rtface.datasets.writer import write as write_records
from rtface.errors import SourceError
from rtface.geometry.crop import points5_from_landmarks
from rtface.geometry.mirror import MIRROR_68, MIRROR_CLASSES
from rtface.train.data.mixed import mixed_samples
from rtface.train.data.pixel_cache import read_pictures
from rtface.train.mesh_teacher import MeshTeacher, ocular
from rtface.train.pseudo_label import Labeller, to_label
from rtface.train.sources import Source
from tests.conftest import Cli
from tests.evaluate.made import record, write
from tests.train.made import mesh_of
from tests.train.test_mesh import shapes


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return np.ascontiguousarray(data.astronaut()[:300, 70:370, ::-1])


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Analyzer]:
    with Analyzer(Options(precision="fp32", threads=1)) as opened:
        yield opened


@pytest.fixture(scope="module")
def labelled(portrait: np.ndarray, analyzer: Analyzer) -> LabelledImage:
    made = Labeller(analyzer)(LabelledImage("p", "made", portrait, pose_class=3))
    assert made is not None
    return made


def test_a_face_has_points_pose_and_how_sure_they_are(
    labelled: LabelledImage, portrait: np.ndarray, analyzer: Analyzer
) -> None:
    (face,) = labelled.faces
    (seen,) = analyzer.image(portrait).faces
    assert face.landmarks68 is not None and seen.landmarks is not None and seen.pose is not None
    ocular = float(np.linalg.norm(seen.landmarks.points[36] - seen.landmarks.points[45]))
    assert np.linalg.norm(face.landmarks68 - seen.landmarks.points, axis=1).mean() < 0.05 * ocular
    assert face.landmarks68_spread is not None and 0.0 < face.landmarks68_spread < 4.0
    assert face.pose == pytest.approx((seen.pose.yaw, seen.pose.pitch, seen.pose.roll), abs=8)
    assert face.pose_spread is not None and 0.0 < face.pose_spread < 8.0
    assert {face.landmarks68_source, face.points5_source, face.box_source, labelled.parsing_source} == {"own"}
    assert labelled.pose_class is None  # the picture's other labels are not taken over


def test_the_mask_is_unknown_where_looks_disagree_and_elsewhere(labelled: LabelledImage, portrait: np.ndarray) -> None:
    image, mask = labelled.load()
    assert mask is not None and mask.shape == image.shape[:2] == portrait.shape[:2]
    assert {1, 2, 4, 5, 12, 13} <= set(np.unique(mask).tolist())
    points = labelled.faces[0].landmarks68
    assert points is not None
    for part, label in ((slice(36, 42), 5), (slice(42, 48), 4)):  # the image's left eye is the subject's right
        x, y = points[part].mean(0).round().astype(int)
        assert mask[y, x] == label
    assert mask[-1, 0] == 255 and (mask == 255).mean() > 0.05
    inside = mask[int(points[:, 1].min()) : int(points[:, 1].max()), int(points[:, 0].min()) : int(points[:, 0].max())]
    assert 0.0 < (inside == 255).mean() < 0.25  # seams between the parts


def test_the_mirror_image_has_the_mirrored_labels(
    labelled: LabelledImage, portrait: np.ndarray, analyzer: Analyzer
) -> None:
    other = Labeller(analyzer)(LabelledImage("m", "made", np.ascontiguousarray(portrait[:, ::-1])))
    assert other is not None
    points, back = labelled.faces[0].landmarks68, other.faces[0].landmarks68
    assert points is not None and back is not None
    turned = back[MIRROR_68] * (-1, 1) + (portrait.shape[1] - 1, 0)
    ocular = float(np.linalg.norm(points[36] - points[45]))
    assert np.linalg.norm(turned - points, axis=1).mean() < 0.02 * ocular
    mask, mirrored = labelled.load()[1], other.load()[1]
    assert mask is not None and mirrored is not None
    unmirrored = np.append(MIRROR_CLASSES, np.full(256 - len(MIRROR_CLASSES), 255, np.uint8))[mirrored[:, ::-1]]
    known = (mask != 255) & (unmirrored != 255)
    assert (mask == unmirrored)[known].mean() > 0.97


def test_unsure_faces_are_left_out(portrait: np.ndarray, analyzer: Analyzer) -> None:
    one = LabelledImage("p", "made", portrait)
    assert Labeller(analyzer, max_spread=0.0)(one) is None
    assert Labeller(analyzer, min_quality=1.0)(one) is None
    assert Labeller(analyzer)(replace(one, picture=np.full((200, 200, 3), 127, np.uint8))) is None


def shifted(labelled: LabelledImage, percent: float) -> np.ndarray:
    """The label's points, all moved right by this much of the outer eye corners' distance."""
    points = labelled.faces[0].landmarks68
    assert points is not None
    return np.add(points, (percent / 100 * ocular(points), 0.0))


def test_a_mesh_is_a_second_teacher(labelled: LabelledImage, portrait: np.ndarray, analyzer: Analyzer) -> None:
    own = labelled.faces[0]
    assert own.landmarks68 is not None and own.landmarks68_spread is not None
    teacher = MeshTeacher(lambda mesh: mesh[:68])
    bystander = FaceLabel(box_xyxy=np.array((0.0, 250.0, 40.0, 300.0)), mesh478=np.zeros((478, 2), np.float32))

    def label(percent: float, mesh: MeshTeacher | None = teacher) -> LabelledImage | None:
        face = FaceLabel(mesh478=np.resize(shifted(labelled, percent), (478, 2)))
        return Labeller(analyzer, mesh=mesh)(LabelledImage("p", "made", portrait, (bystander, face)))

    both = label(3.0)
    assert both is not None
    (face,) = both.faces
    assert face.landmarks68_source == "own+mesh" and face.landmarks68 is not None and face.points5 is not None
    np.testing.assert_allclose(face.landmarks68, shifted(labelled, 1.5), atol=0.02)
    np.testing.assert_allclose(face.points5, points5_from_landmarks(face.landmarks68), atol=1e-3)
    assert face.landmarks68_spread == pytest.approx(np.sqrt((own.landmarks68_spread**2 + 1.5**2) / 2), rel=1e-3)
    np.testing.assert_allclose(face.pose, own.pose)  # a mesh says nothing of these
    np.testing.assert_array_equal(both.load()[1], labelled.load()[1])
    assert label(20.0) is None  # they lie too far apart: somebody errs
    alone = label(20.0, mesh=None)
    assert alone is not None and alone.faces[0].landmarks68_source == "own"
    np.testing.assert_array_equal(alone.faces[0].landmarks68, own.landmarks68)


def test_hand_set_points_stay_and_are_learned(
    labelled: LabelledImage, portrait: np.ndarray, analyzer: Analyzer, tmp_path: Path
) -> None:
    five = points5_from_landmarks(shifted(labelled, 2.0))
    for source, stays in (("human", True), ("teacher", False)):
        known = FaceLabel(points5=five, points5_source=source)
        made = Labeller(analyzer)(LabelledImage("p", "made", portrait, (known,)))
        assert made is not None
        assert made.faces[0].points5_source == (source if stays else "own")
        path = tmp_path / f"{source}.parquet"
        write_records([made], path, Settings())
        (sample,) = mixed_samples([Source("own", (path,))], tmp_path / "cache").samples["own"]
        assert sample.points5_weight == float(stays) and sample.points5 is not None and sample.landmarks is not None
        assert np.allclose(sample.points5, five, atol=1e-3) == stays
        np.testing.assert_allclose(sample.landmarks, shifted(labelled, 0.0), atol=1e-3)


def corpus_with_meshes(path: Path, portrait: np.ndarray, labelled: LabelledImage, count: int) -> Path:
    """The portrait with a mesh that is 2 % off, and `count` hand-labelled faces with one."""
    mesh = mesh_of(shifted(labelled, 2.0)).ravel().tolist()
    rows = [record("portrait", portrait, split="unlabelled", faces=[{"mesh478": mesh}])]
    grey = np.full((8, 8, 3), 90, np.uint8)
    own = shifted(labelled, 0.0)
    for number, other in enumerate(shapes(count)):  # the portrait's shape is one of those that the map knows
        points = own + 0.5 * (other - other.mean(0)) / np.ptp(other) * np.ptp(own)
        face = {"landmarks68": points.ravel().tolist(), "mesh478": mesh_of(points).ravel().tolist()}
        rows.append(record(f"{number}", grey, split="train", faces=[face | {"landmarks68_source": "human"}]))
    return write(path, rows)


def test_the_map_is_fitted_on_the_file_or_on_another(
    labelled: LabelledImage, portrait: np.ndarray, tmp_path: Path, cli: Cli
) -> None:
    enough = corpus_with_meshes(tmp_path / "enough.parquet", portrait, labelled, 220)
    few = corpus_with_meshes(tmp_path / "few.parquet", portrait, labelled, 5)
    fast = ("--format", "parquet", "--limit", 1, "--threads", 1)
    labels = {}
    for name, file, *more in (
        ("itself", enough),
        ("other", few, "--fit", enough),
        ("quarter", few, "--fit", enough, "--mesh-share", 0.25),
        ("none", few, "--mesh-share", 0),
    ):
        out = tmp_path / f"own-{name}.parquet"
        done = cli("label", file, "--out", out, *fast, *more)
        assert done.code == 0, done.err
        both = "" if name == "none" else ", 1 faces by mesh and looks"
        assert done.out.strip() == f"{out}  1 pictures, 0 without a sure face{both}"
        labels[name] = read_pictures([out], tmp_path / "cache")[0].faces[0]
    for name, percent in (("itself", 1.0), ("other", 1.0), ("quarter", 0.5), ("none", 0.0)):
        face = labels[name]
        assert face.landmarks68_source == ("own" if name == "none" else "own+mesh")
        np.testing.assert_allclose(face.landmarks68, shifted(labelled, percent), atol=0.15)
    done = cli("label", few, "--out", tmp_path / "own.parquet", *fast)
    assert done.code == 2 and "few.parquet: holds 5 faces" in done.err and "--fit" in done.err
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/face.png"), portrait)
    done = cli("label", tmp_path / "in", "--out", tmp_path / "own.parquet", "--fit", enough)
    assert done.code == 2 and "--fit: no face of" in done.err and "benchmarks.mesh" in done.err
    assert not (tmp_path / "own.parquet").exists()


def test_other_meshes_do_not_go_on_with_earlier_parts(
    labelled: LabelledImage, portrait: np.ndarray, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PART_ROWS", 1)
    file = corpus_with_meshes(tmp_path / "some.parquet", portrait, labelled, 220)
    out = tmp_path / "own.parquet"
    asked: list[str] = []
    original = Labeller.__call__

    def stopped(self: Labeller, record: LabelledImage) -> LabelledImage | None:
        asked.append(record.id)
        if len(asked) == 2:
            raise KeyboardInterrupt
        return original(self, record)

    monkeypatch.setattr(Labeller, "__call__", stopped)
    command = ("label", file, "--format", "parquet", "--out", out, "--limit", 2, "--threads", 1)
    assert cli(*command).code == 130 and not out.exists()
    assert cli(*command).code == 0 and asked == ["portrait", "0", "0"]
    asked.clear()
    assert cli(*command, "--overwrite").code == 130
    corpus_with_meshes(file, portrait, labelled, 230)
    assert cli(*command, "--overwrite").code == 0 and asked == ["portrait", "0", "portrait", "0"]


def test_from_pictures_to_samples(portrait: np.ndarray, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in/face.png"), portrait)
    cv2.imwrite(str(tmp_path / "in/grey.png"), np.full((60, 60, 3), 90, np.uint8))
    out = tmp_path / "own.parquet"
    done = cli("label", tmp_path / "in", "--out", out, "--threads", 1)
    assert done.code == 0, done.err
    assert done.out.strip() == f"{out}  1 pictures, 1 without a sure face"
    (picture,) = read_pictures([out], tmp_path / "cache")
    assert (picture.split, picture.labels.parsing_source) == ("unlabelled", "own")
    assert picture.labels.licence == "unknown; labels by networks: non-commercial research only"
    (sample,) = mixed_samples([Source("own", (out,))], tmp_path / "cache").samples["own"]
    spread = picture.faces[0].landmarks68_spread
    assert spread is not None and spread > 0 and sample.landmark_weight is not None
    assert sample.landmark_weight[0] == pytest.approx(0.35 / (1 + (spread / 2.0) ** 2), rel=1e-4)
    assert sample.picture.parsing is not None and sample.pose is not None
    again = cli("label", tmp_path / "in", "--out", out)
    assert again.code == 1 and "exists already" in again.err
    assert cli("label", tmp_path / "in", "--out", out / "folder").code == 1  # a file is in the way
    assert cli("label", tmp_path / "in", "--out", tmp_path / "corpus", "--threads", 1).code == 0
    assert (tmp_path / "corpus/in.parquet").is_file()  # a folder gets a file of the pictures' name


def test_a_corpus_file_gives_its_pictures_but_vals(portrait: np.ndarray, tmp_path: Path, cli: Cli) -> None:
    rows = [record(f"{split}0", portrait, split=split) for split in ("train", "val", "unlabelled")]
    path = write(tmp_path / "some.parquet", rows)
    assert [image.id for image in to_label(corpus.read(path))] == ["train0", "unlabelled0"]
    done = cli("label", path, "--format", "parquet", "--out", tmp_path / "own.parquet", "--limit", 1, "--threads", 1)
    assert done.code == 0, done.err
    assert pq.read_table(tmp_path / "own.parquet")["id"].to_pylist() == ["train0"]
    broken = write(tmp_path / "broken.parquet", [rows[0] | {"image": b"no picture"}])
    with pytest.raises(SourceError, match="row train0: holds no picture"):
        next(corpus.read(broken)).load()
    broken.write_bytes(b"no parquet file")
    with pytest.raises(SourceError, match=r"broken\.parquet: is not a parquet file"):
        list(corpus.read(broken))

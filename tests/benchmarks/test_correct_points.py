"""Corrections move what they name, corrected faces teach the others, and a corpus file carries the points."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from benchmarks import correct_points
from benchmarks.hand_points import SIDE, Lesson, axes, brow_tile, face_tile, jaw_normals, moved
from rtface.datasets import corpus
from rtface.datasets.labelled import FaceLabel, LabelledImage
from rtface.datasets.writer import Settings, write
from rtface.geometry.mirror import MIRROR_68, MIRROR_478
from tests.train.made import mesh_of, placed

FACE = placed(100.0, 100.0, 40.0, roll=20.0)
POINTS = Path(correct_points.__file__).with_name("results") / "hand_points.json"


def test_a_jaw_moves_across_its_contour_and_between_its_control_points_by_the_mean() -> None:
    shift = moved(FACE, {"jaw": {"4": 10}}) - FACE
    _, _, ocular = axes(FACE)
    across = (shift[:17] * jaw_normals(FACE)).sum(1) * 100 / ocular
    np.testing.assert_allclose(across[:8], [0, 0, 0, 5, 10, 5, 0, 0], atol=1e-9)
    assert not shift[8:].any()
    middle = FACE[36:48].mean(0)
    assert np.linalg.norm(FACE[4] + shift[4] - middle) > np.linalg.norm(FACE[4] - middle)  # + is outwards


def test_brows_and_single_points_move_along_the_faces_axes() -> None:
    right, down, ocular = axes(FACE)
    shift = (moved(FACE, {"brow_left": {"peak": [4, 2]}, "points": {"48": [3, -1]}}) - FACE) * 100 / ocular
    np.testing.assert_allclose(shift[19], -4 * right - 2 * down, atol=1e-9)  # left: away from the nose is to the left
    np.testing.assert_allclose(shift[[18, 20]], [shift[19] / 2] * 2, atol=1e-9)
    np.testing.assert_allclose(shift[48], 3 * right - down, atol=1e-9)
    assert set(np.flatnonzero(shift.any(1))) == {18, 19, 20, 48}
    mirrored = moved(FACE, {"brow_right": {"peak": [4, 2]}}) - FACE
    np.testing.assert_allclose(mirrored[24] * 100 / ocular, 4 * right - 2 * down, atol=1e-9)


@pytest.mark.parametrize(
    "wrong", [{"jaw": {"3": 1}}, {"brow_left": {"top": [0, 1]}}, {"nose": {}}, {"points": {"68": [0, 0]}}]
)
def test_a_control_point_that_there_is_not_is_named(wrong: dict[str, dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"no such control point: (3|top|nose|68)"):
        moved(FACE, wrong)


def test_corrected_faces_teach_others_and_their_mirror_images() -> None:
    rng = np.random.default_rng(0)
    faces = [placed(*rng.uniform(50, 200, 2), rng.uniform(20, 60), rng.uniform(-30, 30)) for _ in range(30)]
    faces = [face + rng.normal(0, 0.3, face.shape) for face in faces]
    corrected = [moved(face, {"jaw": {"2": -6, "14": -6, "8": 3}, "brow_left": {"peak": [0, 4]}}) for face in faces]
    lesson = Lesson([mesh_of(face) for face in faces], faces, corrected)
    right, down, ocular = axes(FACE)
    shift = (lesson(mesh_of(FACE), FACE) - FACE) * 100 / ocular
    assert shift[2] @ right == pytest.approx(6, abs=0.5) and shift[14] @ right == pytest.approx(-6, abs=0.5)
    assert shift[8] @ down == pytest.approx(3, abs=0.3) and not shift[36:48].round(6).any()
    flip, wide = np.array((-1.0, 1.0)), np.array((200.0, 0.0))
    mesh, face = mesh_of(FACE)[MIRROR_478] * flip + wide, FACE[MIRROR_68] * flip + wide
    mirrored = lesson(mesh_of(FACE), FACE)[MIRROR_68] * flip + wide
    np.testing.assert_allclose(lesson(mesh, face), mirrored, atol=1e-6)


def test_tiles_show_the_points_and_rulers() -> None:
    picture = np.full((200, 200, 3), 90, np.uint8)
    picture[::7] = 160
    assert face_tile(picture, FACE, "a").shape == (SIDE, SIDE, 3)
    tile = brow_tile(picture, FACE, "a")
    assert tile.shape == (SIDE // 2, SIDE, 3)
    assert (tile == (60, 255, 60)).all(-1).sum() > 30  # ten green dots, the middles of which are one colour


def portrait(name: str, split: str, at: float) -> LabelledImage:
    points = placed(100.0 + at, 100.0, 40.0, roll=at)
    face = FaceLabel(mesh478=mesh_of(points).astype(np.float32), pose=np.zeros(3, np.float32))
    return LabelledImage(name, "mine", np.full((200, 220, 3), 99, np.uint8), (face,), split=split, licence="CC0")


def run(*words: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["correct_points", *map(str, words)])
        correct_points.main()


def test_from_a_proposal_to_a_corpus_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    heads = []
    for at in range(80):
        points = (placed(100, 100, 40, roll=rng.uniform(-20, 20)) + rng.normal(0, 1, (68, 2))).astype(np.float32)
        mesh, pose = mesh_of(points).astype(np.float32), np.zeros(3, np.float32)
        face = FaceLabel(landmarks68=points, landmarks68_source="synthetic", mesh478=mesh, pose=pose)
        heads.append(LabelledImage(str(at), "synthetic", np.zeros((40, 40, 3), np.uint8), (face,), split="train"))
    write(heads, tmp_path / "synth.parquet", Settings())
    pictures = tmp_path / "open.parquet"
    write([portrait("a", "train", 0), portrait("b", "train", 5), portrait("c", "val", -5)], pictures, Settings())
    file, known = tmp_path / "points.json", ["--pictures", pictures]
    (tmp_path / "ids.txt").write_text("a c\n")
    run("propose", file, *known, "--synth", tmp_path / "synth.parquet", "--ids", tmp_path / "ids.txt")
    proposed = correct_points.load(file)
    assert {name: entry["looks"] for name, entry in proposed.items()} == {"a": 0, "c": 0}
    truth = placed(100.0, 100.0, 40.0)
    assert np.abs(correct_points.points_of(proposed["a"]) - truth).max() < 3

    (tmp_path / "fix.json").write_text(json.dumps({"a": {"jaw": {"8": 5}}}))
    for _ in range(2):
        run("apply", file, "--corrections", tmp_path / "fix.json", "--ids", tmp_path / "ids.txt")
    looked = correct_points.load(file)
    assert {name: entry["looks"] for name, entry in looked.items()} == {"a": 2, "c": 2}
    chin = correct_points.points_of(looked["a"])[8] - correct_points.points_of(proposed["a"])[8]
    assert chin[1] == pytest.approx(0.1 * axes(truth)[2], abs=0.3)

    run("sheet", file, *known, "--out", tmp_path / "sheets")
    assert (tmp_path / "sheets" / "000.png").is_file()
    run("write", file, *known, "--out", tmp_path / "hand.parquet")
    (row,) = corpus.read(tmp_path / "hand.parquet")
    assert (row.id, row.licence, row.faces[0].landmarks68_source) == ("a", "CC0", "hand")
    assert row.faces[0].mesh478 is not None and row.faces[0].landmarks68 is not None
    np.testing.assert_allclose(row.faces[0].landmarks68, correct_points.points_of(looked["a"]), atol=1e-4)
    run("others", file, *known, "--synth", tmp_path / "synth.parquet", "--out", tmp_path / "rest.parquet")
    (rest,) = corpus.read(tmp_path / "rest.parquet")
    assert (rest.id, rest.faces[0].landmarks68_source) == ("b", "hand-map")
    capsys.readouterr()
    people = FaceLabel(landmarks68=truth.astype(np.float32), landmarks68_source="human", mesh478=mesh_of(truth))
    write([LabelledImage("d", "afw", heads[0].picture, (people,), split="val")], tmp_path / "afw.parquet", Settings())
    run("report", file, *known, "--synth", tmp_path / "synth.parquet", "--measure", tmp_path / "afw.parquet")
    printed = capsys.readouterr().out
    assert "synthetic map 2 pictures: jaw" in printed
    assert float(printed.rpartition("all ")[2]) < 3


def test_a_correction_of_an_unknown_picture_is_refused_and_a_skipped_one_goes() -> None:
    entries = {"a": {"split": "train", "looks": 0, "points": FACE.ravel().tolist()}}
    with pytest.raises(ValueError, match="not in the file: z"):
        correct_points.apply(entries, {"z": {}})
    correct_points.apply(entries, {"a": "skip"})
    assert entries == {}


def test_the_committed_points_are_whole_and_of_two_open_sets() -> None:
    entries = correct_points.load(POINTS)
    splits = [entry["split"] for entry in entries.values()]
    assert (splits.count("train"), splits.count("val")) == (156, 52)
    assert {name.rpartition("-")[0] for name in entries} == {"voteview-bioguide", "uk-parliament"}
    for name, entry in entries.items():
        points = correct_points.points_of(entry)
        right, down, ocular = axes(points)
        assert entry["looks"] == 2 and np.isfinite(points).all() and ocular > 25, name
        across, along = points @ right, points @ down
        assert (np.diff(across[[0, 8, 16]]) > 0).all() and along[:17].argmax() in range(6, 11), name
        assert along[17:27].max() < along[36:48].max() and along[48:60].mean() > along[27:36].mean(), name

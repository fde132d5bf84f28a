"""Whole pictures from the real head assets, where they and a GL driver are there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface.datasets import corpus
from rtface.datasets.labelled import MEDIAPIPE_BLENDSHAPES
from rtface.train.synth import identity, lights, make
from rtface.train.synth.assets import Assets, unpack
from rtface.train.synth.camera import Camera
from rtface.train.synth.gl import Renderer
from rtface.train.synth.head import Heads, Shot
from rtface.train.synth.make import Maker, write_corpus
from rtface.train.synth.scenes import Plan, shot
from tests.conftest import Cli

SIDE = 96
#: A grown-up of no particular kind: the base mesh itself is nobody.
AVERAGE = {
    f"macrodetails/{kind}": 0.5
    for sex in ("female", "male")
    for kind in (f"caucasian-{sex}-young", f"universal-{sex}-young-averagemuscle-averageweight")
}
PLAN = Plan(side=SIDE, scene_share=0.4, seed=5)


@pytest.fixture(scope="module")
def folder(archive: Path, renderer: Renderer) -> Path:
    return unpack(archive)


@pytest.fixture(scope="module")
def assets(folder: Path) -> Assets:
    return Assets(folder)


@pytest.fixture(scope="module")
def heads(assets: Assets, renderer: Renderer) -> Heads:
    return Heads(assets, renderer)


@pytest.fixture(scope="module")
def person(assets: Assets) -> identity.Person:
    plain = {"hair": "", "hat": "", "mask": False, "glasses": 0, "hand": False, "earrings": "", "necklace": False}
    return replace(identity.sample(np.random.default_rng(1), assets), shape=AVERAGE, **plain)


def a_shot(pose: tuple[float, float, float] = (0, 0, 0), eyes: tuple[float, float] = (0, 0), **weights: float) -> Shot:
    rng = np.random.default_rng(3)
    made = shot(rng, lights.sample(rng), SIDE)
    return replace(made, pose=np.array(pose), eyes=np.array(eyes), weights=weights, camera=Camera(SIDE, 1.5, 15.0))


def middle_of(labels: np.ndarray, *classes: int) -> np.ndarray:
    return np.argwhere(np.isin(labels, classes))[:, ::-1].mean(0)


def test_classes_and_points_agree_and_left_is_the_subjects(heads: Heads, person: identity.Person) -> None:
    rendered, face = heads.render(person, a_shot(eyeWide_L=0.5, eyeWide_R=0.5), np.random.default_rng(0))
    labels, points = rendered.labels, face.landmarks68
    assert points is not None and face.mesh478 is not None
    for left, right, of_left, of_right in ((4, 5, slice(42, 48), slice(36, 42)), (6, 7, slice(22, 27), slice(17, 22))):
        assert middle_of(labels, left)[0] > SIDE / 2 > middle_of(labels, right)[0]
        np.testing.assert_allclose(middle_of(labels, left), points[of_left].mean(0), atol=4)
        np.testing.assert_allclose(middle_of(labels, right), points[of_right].mean(0), atol=4)
    assert middle_of(labels, 8)[0] > SIDE / 2 > middle_of(labels, 9)[0]
    np.testing.assert_allclose(middle_of(labels, 11, 12), points[48:60].mean(0), atol=3)
    for iris, eye in ((468, 5), (473, 4)):
        x, y = face.mesh478[iris].round().astype(int)
        assert labels[y, x] == eye
    np.testing.assert_allclose(face.mesh478[[33, 263, 61, 291, 152]], points[[36, 45, 48, 54, 8]], atol=4)


def test_a_head_turned_to_the_right_shows_its_right_side(heads: Heads, person: identity.Person) -> None:
    rendered, face = heads.render(person, a_shot((60, 0, 0)), np.random.default_rng(0))
    assert face.landmarks68 is not None and face.pose is not None
    assert face.landmarks68[30, 0] > face.landmarks68[[36, 39], 0].mean() + 5 and face.pose.tolist() == [60, 0, 0]
    assert (rendered.labels == 9).sum() > 20 > (rendered.labels == 8).sum()


def test_eyes_that_turn_take_irises_and_gaze_along(heads: Heads, person: identity.Person) -> None:
    faces = [
        heads.render(person, a_shot(eyes=look), np.random.default_rng(0))[1] for look in ((20, 0), (-20, 0), (0, 15))
    ]
    right, left, up = (face.mesh478[[468, 473]].mean(0) for face in faces if face.mesh478 is not None)
    assert right[0] > left[0] + 2 and up[1] < right[1] - 1
    for face, expected in zip(faces, ((20, 0), (-20, 0), (0, 15)), strict=True):
        np.testing.assert_allclose(face.gaze, expected, atol=2.0)


def test_a_head_aside_that_looks_at_the_camera_has_no_gaze_angle(heads: Heads, person: identity.Person) -> None:
    face = heads.render(person, a_shot((30, 0, 0), (0, 0)), np.random.default_rng(0))[1]
    assert face.gaze is not None and np.abs(face.gaze).max() < 3
    shapes = dict(zip(MEDIAPIPE_BLENDSHAPES, face.blendshapes52.tolist(), strict=True))  # type: ignore[union-attr]
    assert shapes["eyeLookInLeft"] > 0.6 < shapes["eyeLookOutRight"]


def test_a_blink_closes_the_eye_of_its_side(heads: Heads, person: identity.Person) -> None:
    rendered, face = heads.render(person, a_shot(eyeBlink_L=1.0), np.random.default_rng(0))
    assert (rendered.labels == 4).sum() * 3 < (rendered.labels == 5).sum()
    assert face.blendshapes52 is not None and face.blendshapes52[MEDIAPIPE_BLENDSHAPES.index("eyeBlinkLeft")] == 1.0


def test_a_corpus_file_is_the_same_for_any_number_of_workers(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.datasets.writer.PART_ROWS", 2)
    steps: list[int] = []
    for workers in (1, 2):
        write_corpus(folder, PLAN, 3, tmp_path / f"{workers}.parquet", workers=workers, step=steps.append)
    assert sum(steps) == 6
    one, two = (list(corpus.read(tmp_path / f"{workers}.parquet")) for workers in (1, 2))
    for first, second in zip(one, two, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(first.load(), second.load(), strict=True))
        assert len(first.faces) == len(second.faces) > 0
        assert first.licence is not None and "MIT" in first.licence and first.source == "synthetic"


def test_a_run_goes_on_where_it_was_stopped(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.datasets.writer.PART_ROWS", 1)
    path, made = tmp_path / "a.parquet", []
    whole = Maker.row

    def row(self: Maker, index: int) -> dict[str, object]:
        made.append(index)
        if made == [0, 1]:
            raise KeyboardInterrupt
        return whole(self, index)

    monkeypatch.setattr(make.Maker, "row", row)
    with pytest.raises(KeyboardInterrupt):
        write_corpus(folder, PLAN, 2, path)
    assert not path.exists()
    write_corpus(folder, PLAN, 2, path)
    assert made == [0, 1, 1] and len(list(corpus.read(path))) == 2


def test_the_verb_draws_a_sheet_and_writes_a_file(archive: Path, folder: Path, tmp_path: Path, cli: Cli) -> None:
    out, sheet = tmp_path / "synth.parquet", tmp_path / "sheet.png"
    told = cli("train", "synth", "--assets", archive, "--out", out, "--sheet", sheet, "--count", 2, "--side", SIDE)
    assert told.code == 0 and "2 pictures" in told.out
    assert sheet.stat().st_size > 10_000 and len(list(corpus.read(out))) == 2
    again = cli("train", "synth", "--assets", archive, "--out", out)
    assert again.code == 2 or "exists already" in again.err

"""Heads: a training of two steps, the files that are grafted, and what they leave as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from rtface import Analyzer, Options, models
from rtface.cli.app import main
from rtface.datasets.labelled import FaceLabel, arkit_order
from rtface.engine import OrtEngine
from rtface.errors import InputError, ModelError, OptionError
from rtface.geometry.mirror import MIRROR_478, MIRROR_BLENDSHAPES
from rtface.labels import ALL_TASKS, BLENDSHAPES, TASKS
from rtface.models.registry import PACKAGE_DIR
from rtface.tasks.parsing_scores import DECODERS
from rtface.train.add_model import signature
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment, flip
from rtface.train.data.samples import Sample
from rtface.train.heads import collate, learn, losses, mixed, rarity, train_heads, validate
from rtface.train.nets.heads import ANCHORS, HEAD_OUTPUTS, Heads
from rtface.train.run import read_checkpoint
from rtface.train.trunk import Trunk
from tests.evaluate.made import record, write
from tests.train.made import a_picture, encoded, mesh_of, picture, placed

SHUT = np.float32([0.8 if name.startswith("eyeBlink") else 0.05 for name in BLENDSHAPES])
CALM = np.full(52, 0.05, np.float32)
OWN = ("landmarks", "parsing", "emotion", "pose", "face", "quality")


def a_sample(seed: int, expression: np.ndarray | None = CALM) -> Sample:
    points = placed(80, 64, 26, roll=3.0 * seed)
    face = FaceLabel(landmarks68=points.astype(np.float32))
    drawn = a_picture(str(seed), "lfw", "train", picture(points, 160, 120, seed), [face])
    mesh = mesh_of(points).astype(np.float32)
    return Sample(drawn, "faces", landmarks=points.astype(np.float32), mesh=mesh, expression=expression)


SAMPLES = [a_sample(seed, SHUT if seed == 0 else CALM) for seed in range(12)]


def test_a_source_is_drawn_as_often_as_its_share_says_and_rare_faces_of_it_more_often() -> None:
    chances = mixed([3.0, 1.0, 5.0], [SAMPLES, SAMPLES[8:], []])
    assert chances.sum() == pytest.approx(1.0)
    assert chances[: len(SAMPLES)].sum() == pytest.approx(0.75)
    assert chances[0] > chances[1] == pytest.approx(chances[7])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps."""
    folder = tmp_path_factory.mktemp("heads")
    config = HeadsConfig(folder, folder, folder, minutes=None, steps=2, batch=4, small_share=0.5)
    assert learn(config, SAMPLES, SAMPLES[:3]) == folder / "last.pt"
    return folder


def test_the_sets_of_meshes_are_known_before_a_step_and_research_ones_are_refused(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"helen \(faces.parquet, 8 pictures\)"):
        train_heads(HeadsConfig(corpus, tmp_path / "run", tmp_path, minutes=None, steps=1, only_open=True))
    assert not (tmp_path / "run" / "last.pt").exists()


def test_what_a_run_begins_with_is_noted_with_its_terms(corpus: Path, tmp_path: Path) -> None:
    init = PACKAGE_DIR / "engine-full.onnx"
    with pytest.raises(InputError, match="too few faces"):
        train_heads(HeadsConfig(corpus, tmp_path / "run", tmp_path, minutes=None, steps=1, init=init))
    parents = json.loads((tmp_path / "run" / "manifest.json").read_text())["parents"]
    assert [parent["part"] for parent in parents] == ["base", "init"]
    assert parents[1]["file"] == init.name and "non-commercial" in parents[1]["terms"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight of Helen's pictures with a mesh."""
    points = placed(80, 64, 26)
    label = {"mesh478": mesh_of(points).ravel().tolist(), "landmarks68": points.ravel().tolist()}
    label |= {"landmarks68_source": "human", "box_xyxy": [40.0, 10.0, 120.0, 110.0]}
    rows = [
        record(f"a{at}", picture(points, 160, 120, at), source="helen", split="train", faces=[label])
        | {"image": encoded(picture(points, 160, 120, at))}
        for at in range(8)
    ]
    made = tmp_path_factory.mktemp("data")
    write(made / "faces.parquet", rows)
    return made


@pytest.fixture(scope="module")
def folder(run: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the heads grafted onto the networks that ship, in float and INT8."""
    made = tmp_path_factory.mktemp("models")
    for file in PACKAGE_DIR.glob("*.*"):
        if file.suffix in (".onnx", ".toml") and not file.stem.startswith("engine-full"):
            shutil.copy(file, made)
    with pytest.raises(SystemExit) as leaving:
        main(
            [
                *("export", "heads", "--run", str(run), "--out", str(made), "--int8", "--data", str(corpus)),
                *("--cache", str(corpus), "--license", "made up"),
            ]
        )
    assert not leaving.value.code
    return made


def engine(name: str, models_dir: Path | None = None) -> OrtEngine:
    return OrtEngine(models.load(name, models_dir), name, 1, decoders=DECODERS)


def test_a_run_begins_at_the_mean_and_leaves_a_checkpoint(run: Path) -> None:
    saved = read_checkpoint(run / "last.pt", ("ema",))["ema"]
    heads = Heads()
    heads.load_state_dict(saved)
    figures = validate(_Averaged(heads), Trunk("engine-iter0"), SAMPLES[:3])  # type: ignore[arg-type]
    assert figures["mesh_pct"] < 25 and figures["shapes"] < 0.3


class _Averaged:
    def __init__(self, net: Heads) -> None:
        self.net, self.ema = net, self
        self.state = net.state_dict()


def test_a_step_lowers_every_loss() -> None:
    torch.manual_seed(0)
    heads, trunk = Heads().train(), Trunk("engine-iter0")
    crops, labels = collate([Augment(128, np.random.default_rng(0), 0.0)(sample) for sample in SAMPLES[:4]])
    features = trunk(crops)
    optimizer = torch.optim.Adam(heads.parameters(), 3e-3)
    first = losses(heads(*features), labels)
    for _ in range(30):
        optimizer.zero_grad()
        torch.stack(tuple(losses(heads(*features), labels).values())).sum().backward()
        optimizer.step()
    last = losses(heads(*features), labels)
    assert set(first) == {"mesh", "anchors", "heat", "expression", "mesh_std"}
    assert all(last[name] < first[name] for name in ("mesh", "anchors", "heat", "expression")), (first, last)


def test_faces_without_blend_shapes_teach_the_mesh_alone() -> None:
    augment = Augment(128, np.random.default_rng(0), 0.0)
    _, labels = collate([augment(a_sample(1, None)), augment(a_sample(2))])
    assert labels.told.tolist() == [0, 1] and labels.mesh.shape == (2, 478, 2)


def test_a_mirrored_face_has_its_points_and_shapes_exchanged() -> None:
    item = Augment(128, np.random.default_rng(0), 0.0)(a_sample(0, np.arange(52, dtype=np.float32)))
    mesh = np.array(item.mesh)
    flip(item)
    assert item.mesh is not None and item.expression is not None
    np.testing.assert_allclose(item.mesh[33], mesh[263] * (-1, 1))
    np.testing.assert_allclose(item.mesh, mesh[MIRROR_478] * (-1, 1))
    assert item.expression.tolist() == MIRROR_BLENDSHAPES.tolist()


def test_rare_faces_are_drawn_more_often() -> None:
    chances = rarity([a_sample(0, SHUT), *(a_sample(1) for _ in range(199))])
    assert chances.sum() == pytest.approx(1) and chances[0] > 3 * chances[1]


def test_mediapipes_order_becomes_arkits() -> None:
    names = ["_neutral", *sorted(name for name in BLENDSHAPES if name != "tongueOut")]
    told = arkit_order(np.array([0.5 if name == "jawOpen" else 0.0 for name in names], np.float32))
    assert told[BLENDSHAPES.index("jawOpen")] == 0.5 and told.sum() == 0.5 and len(set(ANCHORS)) == len(ANCHORS)


@pytest.mark.parametrize("precision", ["", "-int8"])
@pytest.mark.parametrize(
    ("full", "base", "size"), [("engine-full", "engine-iter0", 128), ("engine-full-96", "engine-96", 96)]
)
def test_the_networks_own_answers_stay_bit_for_bit(
    folder: Path, precision: str, full: str, base: str, size: int
) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    before = engine(base + precision).run(crops, OWN)
    after = engine(full + precision, folder).run(crops, (*OWN, *HEAD_OUTPUTS))
    for name in OWN:
        assert np.array_equal(before[name], after[name]), name
    assert (
        after["mesh"].shape == (3, 478, 2)
        and after["expression"].shape == (3, 52)
        and after["mesh_score"].shape == (3,)
    )
    entry = models.entry(full + precision, folder)
    shipped = models.entry(base)
    assert (entry.landmark_shift, entry.emotion_temperature) == (shipped.landmark_shift, shipped.emotion_temperature)
    assert entry.bytes < 900_000 and entry.role.endswith("full-engine") and "mesh" in " ".join(entry.outputs)


def test_int8_heads_answer_as_float_ones(folder: Path) -> None:
    drawn = picture(placed(64, 56, 26), 128, 128, 1)[None]
    one, other = (engine(name, folder).run(drawn, HEAD_OUTPUTS) for name in ("engine-full", "engine-full-int8"))
    assert np.abs(one["mesh"] - other["mesh"]).mean() < 1.5
    assert np.abs(one["expression"] - other["expression"]).max() < 0.1


def test_mesh_and_expression_by_an_analyzer(folder: Path) -> None:
    points = placed(160, 120, 40)
    image = picture(points, 320, 240, 3)
    box = np.array([[100.0, 40.0, 220.0, 200.0]])
    told = tuple(task for task in ALL_TASKS if task != "gaze")  # these heads have no eyes that look
    with Analyzer(Options(tasks=told, models_dir=str(folder), precision="fp32")) as analyzer:
        (face,) = analyzer.image(image, boxes=box).faces
        (less,) = analyzer.image(image, boxes=box, tasks=TASKS).faces
        (moving,) = analyzer.video(image, at=0.0).faces or (face,)
    record = face.to_dict(told)
    assert len(record["mesh_px"]) == 478 and len(record["expression"]) == 52 and len(record["eye_open"]) == 2
    assert record["smile"] is not None and "on_camera" not in record and less.mesh is None
    assert moving.mesh is not None
    with (
        Analyzer(Options(models_dir=str(folder))) as analyzer,
        pytest.raises(InputError, match="when the networks were"),
    ):
        analyzer.image(image, tasks="mesh")
    with pytest.raises(ModelError, match="no line of sight"):
        Analyzer(Options(tasks="all", models_dir=str(folder)))
    with pytest.raises(OptionError, match="expected 0 with the tasks mesh"):
        Analyzer(Options(tasks="all", iterations=1, models_dir=str(folder)))


def test_other_checkpoints_and_networks_are_refused(run: Path, folder: Path, tmp_path: Path) -> None:
    assert signature(_whole(folder, tmp_path)).role == "full-engine"
    with pytest.raises(ModelError, match="has no layer"):
        Trunk("detector")
    state = torch.load(run / "last.pt", weights_only=True)
    state["ema"] = {"x": torch.zeros(1)}
    torch.save(state, tmp_path / "last.pt")
    with pytest.raises(SystemExit):
        main(["export", "heads", "--run", str(tmp_path), "--out", str(folder), "--license", "made up"])


def _whole(folder: Path, tmp_path: Path) -> Path:
    path = tmp_path / "whole.onnx"
    path.write_bytes(models.load("engine-full", folder))
    return path

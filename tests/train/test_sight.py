"""Who looks where: labels by geometry, a training of two steps on the network that ships, and the files with it."""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnxruntime
import pytest
import torch

from rtface import Analyzer, Options, models
from rtface.cli.app import main
from rtface.datasets.eyes import shows_an_eye
from rtface.datasets.labelled import FaceLabel
from rtface.errors import InputError, ModelError
from rtface.geometry.face_model import rotation_matrix
from rtface.geometry.mirror import MIRROR_478
from rtface.labels import ALL_TASKS
from rtface.models import entry, load
from rtface.models.registry import PACKAGE_DIR
from rtface.train.add_model import signature
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment, flip
from rtface.train.data.samples import Sample
from rtface.train.data.sight import DEPTH_MM, LIFT_MM, OUT_MM, RADIUS_MM, YAW_LIMIT, by_geometry, sight_of
from rtface.train.gaze import Looks, collate, eyes_in, learn_gaze, load_sight, losses, teaches_gaze, train_gaze
from rtface.train.nets.blocks import fold_all
from rtface.train.nets.eyes import Frame, frame_of
from rtface.train.nets.sight import AROUND, Sight, upright
from rtface.train.run import read_checkpoint
from tests.evaluate.made import record, write
from tests.train.made import a_picture, picture, placed
from tests.train.test_eyes import FACES, meshes

FULL = ("engine-full", "engine-full-96", "engine-full-int8", "engine-full-96-int8")


def mesh_of(pose: tuple[float, float, float], yaw: float, pitch: float, scale: float = 2.0) -> np.ndarray:
    """A mesh in px whose eyes look there: corners, lids and irises; a head of 88 mm between the outer corners."""
    head = np.zeros((478, 3))
    for side, outer, inner, upper, lower, iris in ((-1, 33, 133, 159, 145, 468), (1, 263, 362, 386, 374, 473)):
        head[outer], head[inner] = (side * 44.0, 0, 0), (side * 14.0, 0, 0)
        head[upper], head[lower] = (side * 29.0, -5, 0), (side * 29.0, 5, 0)
        head[iris] = (side * (29.0 + OUT_MM), -LIFT_MM, DEPTH_MM)  # the eyeball's middle
    seen = head @ rotation_matrix(*pose).T
    a, b = math.radians(yaw), math.radians(pitch)
    seen[[468, 473]] += RADIUS_MM * np.array((math.sin(a) * math.cos(b), -math.sin(b), -math.cos(a) * math.cos(b)))
    return seen[:, :2] * scale + (300, 200)


@pytest.mark.parametrize("pose", [(0, 0, 0), (25, -10, 5), (-30, 15, -40)])
@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (20, 0), (-15, 10), (5, -20)])
def test_a_mesh_says_where_eyes_look_however_the_head_is_turned(
    pose: tuple[float, float, float], yaw: float, pitch: float
) -> None:
    found = by_geometry(mesh_of(pose, yaw, pitch), np.float32(pose))
    assert found is not None and found.tolist() == pytest.approx((yaw, pitch), abs=0.01)


def test_a_label_counts_before_geometry_and_what_neither_tells_is_unknown() -> None:
    mesh, pose = mesh_of((10, 0, 0), 15, 5).astype(np.float32), np.float32((10, 0, 0))
    known = FaceLabel(mesh478=mesh, pose=pose, gaze=np.float32((1, 2)))
    read = sight_of(replace(known, gaze=None))
    assert np.array_equal(sight_of(known), (1, 2)) and read is not None and read == pytest.approx((15, 5), abs=0.01)  # type: ignore[arg-type]
    assert sight_of(FaceLabel(mesh478=mesh)) is None
    assert sight_of(FaceLabel(mesh478=mesh, pose=np.float32((YAW_LIMIT + 1, 0, 0)))) is None
    assert by_geometry(np.zeros((478, 2)), pose) is None


def test_an_eye_shows_where_it_is_open_and_not_behind_dark_glasses() -> None:
    mesh, mask = mesh_of((0, 0, 0), 0, 0).astype(np.float32), np.ones((400, 600), np.uint8)
    face = FaceLabel(mesh478=mesh)
    assert shows_an_eye(face) and not shows_an_eye(face, mask)
    x, y = mesh[[33, 133]].mean(0).astype(int)
    mask[y - 8 : y + 8, x - 20 : x + 20] = 4  # the other eye's class
    assert not shows_an_eye(face, mask)
    mask[y - 8 : y + 8, x - 20 : x + 20] = 5
    assert shows_an_eye(face, mask)
    shut = np.zeros(52, np.float32)
    shut[10] = 0.9  # of the right eye, which alone is seen
    assert not shows_an_eye(replace(face, blendshapes52=shut), mask)
    with pytest.raises(ValueError, match="mesh"):
        shows_an_eye(FaceLabel())


def looking(sample: Sample, seed: int) -> Sample:
    return replace(sample, gaze=np.random.default_rng(seed).uniform(-25, 25, 2).astype(np.float32))


LOOKING = [looking(sample, seed) for seed, sample in enumerate(FACES)]


def test_a_crops_gaze_turns_with_it_and_is_mirrored_with_it() -> None:
    sample = replace(LOOKING[4], gaze=np.float32((20.0, 0.0)))  # a face rolled clockwise by 12 degrees
    item = Augment(128, np.random.default_rng(0), 0.0)(sample)  # cut upright: what was to the right is above there
    assert item.gaze is not None
    assert math.hypot(*item.gaze) == pytest.approx(20, abs=0.3)
    assert math.degrees(math.atan2(item.gaze[1], item.gaze[0])) == pytest.approx(12, abs=0.5)
    before = item.gaze.copy()
    flip(item)
    assert item.gaze.tolist() == pytest.approx([-before[0], before[1]])
    assert Augment(128, np.random.default_rng(0), 0.0)(FACES[0]).gaze is None


def test_vectors_point_in_the_crop_as_the_face_is_turned() -> None:
    mesh = meshes(1)
    turned = torch.stack((-mesh[..., 1], mesh[..., 0]), 2)  # a quarter, clockwise as it is seen
    vectors = torch.tensor([[[0.3, 0.1, 0.9], [0.0, -0.2, 1.0]]])
    one, other = upright(vectors, frame_of(mesh).maps()), upright(vectors, frame_of(turned).maps())
    torch.testing.assert_close(other, torch.stack((-one[..., 1], one[..., 0], one[..., 2]), 2))
    torch.testing.assert_close(one.norm(dim=2), vectors.norm(dim=2))
    tilted = Frame(torch.zeros(1, 2, 2), torch.tensor([[0.4, 0.3]]))  # its right is 4 to the right, 3 down
    expected = torch.tensor([[[0.3 * 0.8 - 0.1 * 0.6, 0.3 * 0.6 + 0.1 * 0.8, 0.9], [0.2 * 0.6, -0.2 * 0.8, 1.0]]])
    torch.testing.assert_close(upright(vectors, tilted.maps()), expected)


def sight_with_history() -> Sight:
    torch.manual_seed(0)
    return Sight().eval()


def test_a_mirrored_face_looks_the_other_way() -> None:
    sight, mesh = sight_with_history(), meshes()
    eyes = torch.rand(3, 2, 48, 8, 12, generator=torch.Generator().manual_seed(0))
    flipped = mesh[:, MIRROR_478] * torch.tensor((-1.0, 1.0))
    with torch.no_grad():
        one = sight(eyes.flatten(0, 1), frame_of(mesh).maps(), mesh)
        other = sight(
            eyes.flip(1).flatten(0, 1), frame_of(flipped).maps(), flipped
        )  # what is seen of a patch is upright and mirrored already
    torch.testing.assert_close(other.flip(1) * torch.tensor((-1.0, 1.0, 1.0)), one, atol=1e-5, rtol=0)
    assert [int(MIRROR_478[point]) for point in AROUND[0]] == list(AROUND[1])


def test_a_folded_network_answers_as_before() -> None:
    sight, mesh = sight_with_history(), meshes()
    with torch.no_grad():
        for tensor in (sight.norm.running_mean, sight.norm.running_var, sight.norm.weight, sight.norm.bias):
            assert tensor is not None
            tensor.copy_(torch.rand_like(tensor) + 0.1)
        told = torch.rand(6, 48, 8, 12), frame_of(mesh).maps(), mesh
        before = sight(*told)
        after = fold_all(sight)(*told)
    torch.testing.assert_close(after, before)


def config_of(folder: Path, **more: object) -> HeadsConfig:
    known = {"steps": 2, "batch": 4, "threads": 1, "small_share": 0.5, "part": "gaze"} | more
    return HeadsConfig(folder, folder, folder, None, **known)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps on the network that ships."""
    folder = tmp_path_factory.mktemp("gaze")
    even = np.full(len(LOOKING), 1 / len(LOOKING))
    assert learn_gaze(config_of(folder), LOOKING, LOOKING[:3], even) == folder / "last.pt"
    return folder


@pytest.fixture(scope="module")
def folder(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the line of sight grafted anew onto the networks that ship."""
    made = tmp_path_factory.mktemp("models")
    for file in PACKAGE_DIR.glob("*.*"):
        if file.suffix in (".onnx", ".toml"):
            shutil.copy(file, made)
    with pytest.raises(SystemExit) as leaving:
        main(["export", "gaze", "--run", str(run), "--out", str(made), "--license", "made up"])
    assert not leaving.value.code
    return made


def test_a_run_says_how_far_it_is_off_and_goes_on(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = (run / "log.csv").read_text().splitlines()
    assert {"gaze", "each_eye", "angle_deg"} <= set(figures[0].split(","))
    shutil.copy(run / "last.pt", tmp_path / "last.pt")
    even = np.full(len(LOOKING), 1 / len(LOOKING))
    learn_gaze(config_of(tmp_path, steps=3), LOOKING, [], even)
    assert "going on from step 2" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "last.pt", ("step",))["step"] == 3
    other = tmp_path / "other"
    learn_gaze(config_of(other, steps=1, rate=0.0, init=run / "last.pt"), LOOKING, [], even)
    saved, begun = (load_sight(at / "last.pt").first.weight for at in (run, other))
    torch.testing.assert_close(begun, saved, atol=1e-6, rtol=0)


def test_a_run_goes_on_from_a_file_that_holds_a_line_of_sight(run: Path, folder: Path, tmp_path: Path) -> None:
    even = np.full(len(LOOKING), 1 / len(LOOKING))
    learn_gaze(config_of(tmp_path, steps=1, rate=0.0, init=folder / "engine-full.onnx"), LOOKING, LOOKING[:2], even)
    crops = collate([Augment(128, np.random.default_rng(0), 0.0)(sample) for sample in LOOKING[:6]]).crops
    seen = Looks(load("engine-full", folder))(crops)
    with torch.no_grad():
        one, other = (load_sight(at / "last.pt")(*seen) for at in (run, tmp_path))
    torch.testing.assert_close(other, one, atol=5e-3, rtol=1e-2)  # weights are float16 in the file
    learn_gaze(config_of(tmp_path / "next", steps=1, rate=0.0, init=tmp_path / "last.pt"), LOOKING, [], even)
    learn_gaze(config_of(tmp_path / "next", steps=2, rate=0.0), LOOKING, [], even)  # goes on, whatever it began with
    with torch.no_grad():
        torch.testing.assert_close(load_sight(tmp_path / "next" / "last.pt")(*seen), other, atol=5e-3, rtol=1e-2)
    with pytest.raises(ModelError, match="holds no line of sight"):
        init = PACKAGE_DIR / "engine-iter0.onnx"
        learn_gaze(config_of(tmp_path / "other", steps=1, init=init), LOOKING, [], even)


def test_what_learns_comes_nearer_to_where_faces_look() -> None:
    torch.manual_seed(0)
    sight, looks = Sight(), Looks(load("engine-full"))
    made = collate([Augment(128, np.random.default_rng(0), 0.0)(sample) for sample in LOOKING[:12]])
    told = looks(made.crops)
    learning = torch.optim.Adam(sight.parameters(), 3e-3)
    seen = []
    for _ in range(40):
        total = torch.stack(tuple(losses(sight(*told), made.sight).values())).sum()
        learning.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        learning.step()
        seen.append(float(total.detach()))
    assert seen[-1] < 0.4 * seen[0]


@pytest.mark.parametrize("name", FULL)
def test_the_other_answers_stay_bit_for_bit_and_gaze_is_torchs(run: Path, folder: Path, name: str) -> None:
    size = entry(name).size or 128
    crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    sessions = [
        onnxruntime.InferenceSession(models.load(name, where), providers=["CPUExecutionProvider"])
        for where in (None, folder)
    ]
    names = [[output.name for output in session.get_outputs()] for session in sessions]
    assert names[0] == names[1] and names[0][-1] == "gaze"
    old, new = (dict(zip(names[0], session.run(names[0], {"crops": crops}), strict=True)) for session in sessions)
    assert all(np.array_equal(old[one], new[one]) for one in names[0] if one != "gaze")
    with torch.no_grad():
        x, y, z = load_sight(run / "last.pt")(*Looks(load(name))(torch.from_numpy(crops))).sum(1).unbind(1)
    expected = torch.rad2deg(
        torch.stack((torch.atan2(x, z.clamp(min=1e-3)), torch.asin(-y / (x * x + y * y + z * z).sqrt())), 1)
    )
    usual = (z > 1e-3).numpy()
    np.testing.assert_allclose(new["gaze"][usual], expected.numpy()[usual], atol=0.3)  # weights are float16 there
    assert any("gaze" in output for output in entry(name, folder).outputs)
    before, after = (entry(name, where).weights_licence.split("; line of sight: ") for where in (None, folder))
    assert after == [before[0], "made up"]
    assert signature(folder / "engine-iter0.onnx").gaze is False


def test_a_line_of_sight_is_not_grafted_onto_eyes_that_it_did_not_learn_on(
    run: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models_dir = tmp_path / "models"
    shutil.copytree(folder, models_dir)
    file = models_dir / "engine-full.onnx"
    network = onnx.load(file)
    weight = next(one for one in network.graph.initializer if ".eyes.layers.1.conv.weight" in one.name)
    weight.raw_data = (onnx.numpy_helper.to_array(weight) * 1.01).astype(np.float16).tobytes()
    onnx.save(network, file)
    registry = models_dir / "registry.toml"
    old, new = entry("engine-full", folder).sha256, hashlib.sha256(file.read_bytes()).hexdigest()
    registry.write_text(registry.read_text().replace(old, new))
    before = {one.name: one.read_bytes() for one in models_dir.glob("*.*")}
    with pytest.raises(SystemExit) as leaving:
        main(["export", "gaze", "--run", str(run), "--out", str(models_dir), "--license", "made up"])
    assert leaving.value.code and "other eyes than this line of sight learned on" in capsys.readouterr().err
    assert {one.name: one.read_bytes() for one in models_dir.glob("*.*")} == before
    even = np.full(len(LOOKING), 1 / len(LOOKING))
    learn_gaze(
        config_of(tmp_path / "anew", steps=1, init=run / "last.pt", models=models_dir), LOOKING, [], even
    )  # as the error says
    with pytest.raises(SystemExit) as leaving:
        main(["export", "gaze", "--run", str(tmp_path / "anew"), "--out", str(models_dir), "--license", "made up"])
    assert not leaving.value.code


def test_all_tasks_by_an_analyzer(folder: Path) -> None:
    image, box = picture(placed(160, 120, 40), 320, 240, 3), np.array([[100.0, 40.0, 220.0, 200.0]])
    with Analyzer(Options(tasks="all", models_dir=str(folder))) as analyzer:
        assert analyzer.options.tasks == ALL_TASKS
        (face,) = analyzer.image(image, boxes=box).faces
    record = face.to_dict(ALL_TASKS)
    assert len(record["mesh_px"]) == 478 and len(record["expression"]) == 52
    assert all(math.isfinite(record[name]) for name in ("gaze_yaw_deg", "gaze_pitch_deg", "on_camera"))


def test_a_network_without_it_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    registry = tmp_path / "registry.toml"
    lines = registry.read_text("utf-8")
    shown = ', "gaze float32 (faces, 2) yaw pitch of the line of sight in the crop, degrees"'
    assert lines.count(shown) == len(FULL)
    registry.write_text(lines.replace(shown, ""), "utf-8")
    with pytest.raises(ModelError, match="no line of sight"):
        Analyzer(Options(tasks="gaze", models_dir=str(tmp_path)))
    Analyzer(Options(tasks="mesh", models_dir=str(tmp_path))).close()


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    import onnx

    with pytest.raises(ModelError, match="no branch that looks at the eyes"):
        eyes_in(onnx.load_from_string(load("engine-iter0")))
    torch.save({"ema": {"x": torch.zeros(1)}}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="no line of sight"):
        load_sight(tmp_path / "last.pt")


def test_only_faces_with_a_mesh_and_a_look_or_a_pose_teach_it() -> None:
    mesh = np.zeros((478, 2), np.float32)
    rows = [
        a_picture("a", "lfw", "train", np.zeros((9, 9, 3), np.uint8), [face]).labels
        for face in (FaceLabel(mesh478=mesh, pose=np.zeros(3)), FaceLabel(mesh478=mesh), FaceLabel(gaze=np.zeros(2)))
    ]
    assert [teaches_gaze(row) for row in rows] == [True, False, False]


def test_the_verb_trains_on_a_corpus_and_refuses_one_in_which_nobody_looks(corpus: Path, tmp_path: Path) -> None:
    config = HeadsConfig(corpus, tmp_path / "run", tmp_path, minutes=None, steps=1, batch=2, threads=1, part="gaze")
    assert train_gaze(config) == tmp_path / "run" / "last.pt"
    row = record(
        "a", np.zeros((40, 40, 3), np.uint8), split="train", faces=[{"mesh478": [1.0] * 956, "pose": [80, 0, 0]}]
    )
    (tmp_path / "blind").mkdir()
    write(tmp_path / "blind" / "faces.parquet", [row])
    with pytest.raises(InputError, match="no face tells where it looks"):
        train_gaze(replace(config, data=tmp_path / "blind", run=tmp_path / "other"))

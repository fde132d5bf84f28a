"""The eye branch: where patches are cut, that both eyes are one, a training of two steps, and the files with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtface import models
from rtface.errors import ModelError, OptionError
from rtface.geometry.mirror import MIRROR_478, MIRROR_BLENDSHAPES
from rtface.models.registry import PACKAGE_DIR
from rtface.train.config import HeadsConfig
from rtface.train.data.faces import Augment
from rtface.train.data.samples import Sample
from rtface.train.eyes import (
    begin_with_mean,
    fit_mix,
    frame_errors,
    label_eyes,
    learn_eyes,
    losses,
    moved_by,
    tell,
    with_eyes,
)
from rtface.train.graft import export_heads, load_heads
from rtface.train.heads import collate, learn
from rtface.train.nets.eyes import (
    CONTOUR,
    EYE_POINTS,
    EYE_SHAPES,
    Eyes,
    eye_points,
    eye_shapes,
    frame_of,
    planes_of,
)
from rtface.train.nets.heads import HEAD_OUTPUTS, Heads
from rtface.train.run import read_checkpoint
from rtface.train.trunk import Trunk
from tests.train.test_heads import CALM, SHUT, a_sample

READ_ANEW = [point for eye in EYE_POINTS for point in eye]
_CORNERS = ((36, 39), (45, 42))  # of 68 points, outer and inner: the subject's right eye, then the left


def a_face(seed: int, opening: float = 0.4) -> Sample:
    """A made face that has eyes: lids on an ellipse, irises that look about, drawn as dark discs."""
    sample, rng = a_sample(seed, SHUT if opening < 0.1 else CALM), np.random.default_rng(seed)
    assert sample.mesh is not None and sample.landmarks is not None
    mesh, image, look = sample.mesh.copy(), np.array(sample.picture.image), rng.uniform(-0.35, 0.35)
    mesh[10], mesh[152] = 2.2 * sample.landmarks[27] - 1.2 * sample.landmarks[8], sample.landmarks[8]
    turn = np.linspace(0, 2 * np.pi, len(CONTOUR), endpoint=False)
    for at, (eye, corners) in enumerate(zip(EYE_POINTS, _CORNERS, strict=True)):
        outer, inner = sample.landmarks[list(corners)].astype(np.float64)
        along = (inner - outer) / 2
        below = np.array((-along[1], along[0])) * (1, -1)[at]
        on = (-np.cos(turn))[:, None] * along + np.sin(turn)[:, None] * below * opening
        iris = (outer + inner) / 2 + along * look * (1, -1)[at]
        mesh[list(eye[: len(CONTOUR)])] = (outer + inner) / 2 + on
        mesh[list(eye[len(CONTOUR) :])] = iris + 0.3 * np.array(((0, 0), (1, 0), (0, -1), (-1, 0), (0, 1))) * along[0]
        cv2.ellipse(image, (tuple(outer / 2 + inner / 2), (24, 24 * opening + 1), 0), (230, 230, 230), -1)
        cv2.circle(image, tuple(iris.round().astype(int).tolist()), 4, (20, 20, 20), -1)
    return replace(sample, picture=replace(sample.picture, image=image), mesh=mesh.astype(np.float32))


FACES = [a_face(seed, 0.02 if seed % 6 == 0 else 0.4) for seed in range(24)]


def meshes(count: int = 3) -> torch.Tensor:
    """Of faces that are turned a little, normalised."""
    augment = Augment(128, np.random.default_rng(0), 0.5)
    return torch.from_numpy(np.stack([np.array(augment(sample).mesh) for sample in FACES[:count]]).astype(np.float32))


def eyes_with_history() -> Eyes:
    torch.manual_seed(0)
    eyes = Eyes().eval()
    eyes.mix.copy_(torch.rand(3, 7))
    eyes.share.copy_(torch.rand(21, 1))
    return eyes


@pytest.fixture(scope="module")
def heads_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the heads, without a branch."""
    folder = tmp_path_factory.mktemp("heads")
    learn(HeadsConfig(folder, folder, folder, minutes=None, steps=2, batch=4, threads=1), FACES, [])
    return folder


@pytest.fixture(scope="module")
def run(heads_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two steps on top of it."""
    folder = tmp_path_factory.mktemp("eyes")
    assert learn_eyes(config_of(folder, heads_run), FACES, FACES[:3]) == folder / "last.pt"
    return folder


def config_of(folder: Path, heads_run: Path) -> HeadsConfig:
    init = heads_run / "last.pt"
    return HeadsConfig(folder, folder, folder, None, 2, batch=4, threads=1, small_share=0.5, part="eyes", init=init)


@pytest.fixture(scope="module")
def full(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """engine-full with the branch, whole."""
    target = tmp_path_factory.mktemp("models") / "engine-full.onnx"
    export_heads(run / "last.pt", target, "engine-iter0", 128, lender=None)
    return target


def test_each_eye_has_its_own_points_and_shapes_once() -> None:
    assert len(set(READ_ANEW)) == 42 and set(range(468, 478)) <= set(READ_ANEW)
    assert [int(MIRROR_478[point]) for point in EYE_POINTS[0]] == list(EYE_POINTS[1])
    assert [int(MIRROR_BLENDSHAPES[shape]) for shape in EYE_SHAPES[0]] == list(EYE_SHAPES[1])


def test_points_come_back_from_a_patch_where_they_were() -> None:
    points = eye_points(meshes())
    frame = frame_of(meshes())
    torch.testing.assert_close(frame.out(frame.into(points)), points)
    # an eye lies in its patch, its outer corner on the left in both
    patch = frame.into(points)
    assert float(patch[:, :, : len(CONTOUR)].abs().max()) < 1.0
    assert bool((patch[:, :, CONTOUR.index(33), 0] < patch[:, :, CONTOUR.index(133), 0]).all())


def test_a_frame_errs_as_it_is_told_to() -> None:
    errors = 0.1 * torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    frame = frame_of(meshes())
    torch.testing.assert_close(frame_errors(moved_by(frame, errors), frame), errors)
    assert float(frame_errors(frame, frame).abs().max()) < 1e-5


def test_a_turned_crop_gives_the_same_patch() -> None:
    planes = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255
    planes = torch.nn.functional.avg_pool2d(planes, 9, 1, 4)
    mesh = meshes(1)
    turned = torch.stack((-mesh[..., 1], mesh[..., 0]), 2)  # a quarter, clockwise as it is seen
    eyes = eyes_with_history()
    one = eyes.patches(planes, frame_of(mesh).maps())
    other = eyes.patches(planes.rot90(-1, (2, 3)), frame_of(turned).maps())
    torch.testing.assert_close(one, other, atol=2e-3, rtol=0)


def test_a_mirrored_face_has_its_eyes_exchanged_and_nothing_else_changed() -> None:
    eyes, mesh = eyes_with_history(), meshes()
    planes = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255
    shapes = torch.randn(3, 52, generator=torch.Generator().manual_seed(1))
    flipped = mesh[:, MIRROR_478] * torch.tensor((-1.0, 1.0))
    with torch.no_grad():
        points, logits, *_ = eyes.refine(planes, mesh, shapes)
        others, more, *_ = eyes.refine(planes.flip(3), flipped, shapes[:, MIRROR_BLENDSHAPES])
    torch.testing.assert_close(others[:, MIRROR_478] * torch.tensor((-1.0, 1.0)), points, atol=1e-4, rtol=0)
    torch.testing.assert_close(more[:, MIRROR_BLENDSHAPES], logits, atol=1e-3, rtol=0)
    rest = np.setdiff1d(np.arange(478), READ_ANEW)
    assert torch.equal(points[:, rest], mesh[:, rest])
    assert bool((points[:, READ_ANEW] != mesh[:, READ_ANEW]).any(2).all())
    others_kept = np.setdiff1d(np.arange(52), np.ravel(EYE_SHAPES))
    assert torch.equal(logits[:, others_kept], shapes[:, others_kept])


def test_a_folded_branch_answers_as_before_and_comes_back() -> None:
    eyes, mesh = eyes_with_history(), meshes()
    planes = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255
    shapes = torch.randn(3, 52, generator=torch.Generator().manual_seed(1))
    assert bool((eyes.mix != 0).all())
    with torch.no_grad():
        before = eyes.refine(planes, mesh, shapes)
        eyes.fold()
        eyes.fold()  # a second time does nothing
        after = eyes.refine(planes, mesh, shapes)
        fresh, stored = Eyes().eval(), dict(eyes.state_dict())
        own = {name: value for name, value in stored.items() if name in fresh.state_dict()}
        fresh.load_state_dict(own | fresh.unfolded(stored))
        back = fresh.refine(planes, mesh, shapes)
    for one in (after, back):
        torch.testing.assert_close(one.mesh, before.mesh)
        torch.testing.assert_close(one.expression, before.expression)


def test_patches_are_cut_as_exactly_in_mixed_precision() -> None:
    mesh = meshes()
    planes = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 255
    eyes, told = eyes_with_history(), []
    for mixed in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
            frame = frame_of(mesh)
            told.append((frame.maps(), frame.into(frame.out(mesh[:, None, :5].expand(-1, 2, -1, -1)))))
            told[-1] += (eyes.patches(planes, frame.maps()),)
    for one, other in zip(*told, strict=True):
        torch.testing.assert_close(other, one)


def test_brightness_and_contrast_of_a_crop_hardly_matter() -> None:
    planes = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 200
    eyes, maps = eyes_with_history(), frame_of(meshes(1)).maps()
    torch.testing.assert_close(eyes.patches(planes, maps), eyes.patches(planes * 0.8 + 30, maps), atol=0.15, rtol=0.05)


def test_only_the_branch_learns_and_the_checkpoint_holds_both(run: Path, heads_run: Path) -> None:
    before, after = (read_checkpoint(folder / "last.pt", ("ema",))["ema"] for folder in (heads_run, run))
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {name.partition(".")[0] for name in after.keys() - before.keys()} == {"eyes"}
    figures = (run / "log.csv").read_text().splitlines()
    assert {"points", "shapes", "iris_pct", "blink"} <= set(figures[0].split(","))


def test_what_learns_comes_nearer_to_points_and_shapes_from_frames_that_err(heads_run: Path) -> None:
    torch.manual_seed(0)
    heads = with_eyes(heads_run / "last.pt")
    eyes = heads.eyes
    assert eyes is not None
    crops, labels = collate([Augment(128, np.random.default_rng(0), 0.0)(sample) for sample in FACES[:12]])
    begin_with_mean(heads, labels)
    errors = 0.05 * torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    frame, planes = moved_by(frame_of(labels.mesh), errors), planes_of(crops)
    learning = torch.optim.Adam(eyes.parameters(), 3e-3)
    seen = []
    for _ in range(40):
        told = losses(*eyes(planes, frame), labels, frame)
        learning.zero_grad()
        torch.stack(tuple(told.values())).sum().backward()
        learning.step()
        seen.append({name: float(value.detach()) for name, value in told.items()})
    assert all(seen[-1][name] < 0.6 * seen[0][name] for name in ("points", "shapes")), (seen[0], seen[-1])


def test_a_run_goes_on_where_it_stopped(
    run: Path, heads_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.pt").write_bytes((run / "last.pt").read_bytes())
    learn_eyes(replace(config_of(tmp_path, heads_run), steps=3), FACES, [])
    assert "going on from step 2" in capsys.readouterr().err
    assert read_checkpoint(tmp_path / "last.pt", ("step",))["step"] == 3


def test_the_mix_finds_which_of_both_is_right(heads_run: Path) -> None:
    heads = with_eyes(heads_run / "last.pt").eval()
    known = tell(heads, Trunk("engine-iter0"), FACES, Augment(128, np.random.default_rng(0)))
    known.labels.expression = torch.sigmoid(known.expression + 0.5)  # the heads are right, up to a shift
    known.labels.mesh = known.mesh
    fit_mix(heads, known)
    assert heads.eyes is not None
    with torch.no_grad():
        expression = heads.eyes.refine(planes_of(known.crops), known.mesh, known.expression).expression
    wrong = (torch.sigmoid(eye_shapes(expression)) - eye_shapes(known.labels.expression)).abs()
    assert float(wrong[..., 1:].mean()) < 0.05 and float(heads.eyes.share.max()) < 0.02
    assert torch.equal(eye_shapes(expression)[..., 0], eye_shapes(known.expression)[..., 0])  # eyeBlink
    heads.eyes.share[:] = 1.0  # now the branch is
    with torch.no_grad():
        known.labels.mesh = heads.eyes.refine(planes_of(known.crops), known.mesh, known.expression).mesh
    fit_mix(heads, known)
    assert float(heads.eyes.share.min()) > 0.98


def test_heads_and_eyes_go_on_from_a_file_that_holds_them(
    run: Path, full: Path, heads_run: Path, tmp_path: Path
) -> None:
    crops = torch.from_numpy(np.stack([Augment(128, np.random.default_rng(at))(FACES[at]).image for at in range(5)]))
    features = Trunk("engine-iter0")(crops)
    before = Heads(eyes=True).eval()
    before.load_state_dict(read_checkpoint(run / "last.pt", ("ema",))["ema"])
    for part in ("heads", "eyes"):
        still = replace(config_of(tmp_path / part, heads_run), part=part, init=full, steps=1, rate=0.0)
        assert (learn_eyes if part == "eyes" else learn)(still, FACES, FACES[:2]) == tmp_path / part / "last.pt"
        after = load_heads(tmp_path / part / "last.pt")
        with torch.no_grad():
            told, expected = (heads(*features, crops if part == "eyes" else None) for heads in (after, before))
        torch.testing.assert_close(told.mesh, expected.mesh, atol=4e-3, rtol=0)  # weights are float16 in the file
        torch.testing.assert_close(told.expression, expected.expression, atol=2e-2, rtol=0)
    learn(replace(still, part="heads", init=tmp_path / "heads" / "last.pt", run=tmp_path / "next"), FACES, FACES[:2])
    with torch.no_grad():
        told, expected = (load_heads(tmp_path / at / "last.pt")(*features) for at in ("next", "heads"))
    torch.testing.assert_close(told.expression, expected.expression, atol=1e-4, rtol=1e-4)
    with pytest.raises(ModelError, match="holds no heads for mesh and expression"):
        learn(replace(still, init=PACKAGE_DIR / "engine-iter0.onnx", run=tmp_path / "other"), FACES, [])


@pytest.mark.parametrize("begun_with", ["file", "checkpoint"])
def test_heads_that_begin_with_others_say_that_their_eyes_stay_behind(
    run: Path, full: Path, heads_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], begun_with: str
) -> None:
    init = full if begun_with == "file" else run / "last.pt"
    still = replace(config_of(tmp_path / "heads", heads_run), part="heads", init=init, steps=1, rate=0.0)
    learn(still, FACES, [])
    assert f"the eyes of {init} are left out" in capsys.readouterr().err
    learn(replace(still, init=heads_run / "last.pt", run=tmp_path / "other"), FACES, [])
    assert "eyes" not in capsys.readouterr().err


def test_synthetic_heads_get_shapes_that_the_teacher_would_read_off_their_eyes() -> None:
    def sample(at: int, source: str, shut: bool) -> Sample:
        made = a_face(at, 0.02 if shut else 0.4)
        labels = replace(made.picture.labels, source=source)
        return replace(made, picture=replace(made.picture, labels=labels))

    real = [sample(at, "lfw", at % 2 == 0) for at in range(12)]
    rig = [replace(sample(at + 20, "synthetic", at == 0), expression=np.full(52, 0.7, np.float32)) for at in range(2)]
    torch.manual_seed(0)
    label_eyes([*real, *rig])
    blinks = [float(one.expression[EYE_SHAPES[0][0]]) for one in rig if one.expression is not None]
    assert blinks[0] > 0.6 and blinks[1] < 0.2
    assert real[1].expression is CALM


def test_eyes_without_heads_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="belong to heads"):
        HeadsConfig(tmp_path, tmp_path, part="eyes")
    torch.save({"ema": {"x": torch.zeros(1)}}, tmp_path / "last.pt")
    with pytest.raises(ModelError, match="lacks "):
        with_eyes(tmp_path / "last.pt")


@pytest.mark.parametrize("count", [1, 3])
def test_the_file_answers_as_torch_for_one_face_and_for_three(run: Path, full: Path, count: int) -> None:
    # the file lacks the weights of engine-iter0, as those that ship do
    registry = full.parent / "registry.toml"
    assert full.stat().st_size < 1_500_000 and not registry.exists()
    session = whole(full)
    crops = np.stack([Augment(128, np.random.default_rng(at))(FACES[at]).image for at in range(count)])
    mesh, expression = session.run(["mesh", "expression"], {"crops": crops})
    heads = Heads(eyes=True).eval()
    heads.load_state_dict(read_checkpoint(run / "last.pt", ("ema",))["ema"])
    with torch.no_grad():
        told = heads(*Trunk("engine-iter0")(torch.from_numpy(crops)), torch.from_numpy(crops))
    np.testing.assert_allclose(mesh, (told.mesh.numpy() + 1) * 64 - 0.5, atol=0.05)  # weights are float16 there
    np.testing.assert_allclose(expression, torch.sigmoid(told.expression).numpy(), atol=0.01)


def whole(path: Path) -> onnxruntime.InferenceSession:
    model, base = onnx.load(path), onnx.load(PACKAGE_DIR / "engine-iter0.onnx")
    own = {tensor.name for tensor in model.graph.initializer}
    model.graph.initializer.extend(tensor for tensor in base.graph.initializer if tensor.name not in own)
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("full", "base", "size"), [("engine-full", "engine-iter0", 128), ("engine-full-96", "engine-96", 96)]
)
@pytest.mark.parametrize("precision", ["", "-int8"])
def test_the_files_that_ship_leave_the_networks_own_answers(full: str, base: str, size: int, precision: str) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, size, size, 3), np.uint8)
    sessions = [
        onnxruntime.InferenceSession(models.load(name + precision), providers=["CPUExecutionProvider"])
        for name in (base, full)
    ]
    names = [output.name for output in sessions[0].get_outputs()]
    one, other = (session.run(names, {"crops": crops}) for session in sessions)
    for name, a, b in zip(names, one, other, strict=True):
        assert np.array_equal(a, b), name
    assert {output.name for output in sessions[1].get_outputs()} == {*names, *HEAD_OUTPUTS, "gaze"}

"""Super-FAN: the generator, its losses, its pairs, a training of three steps, and the exported file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from rtface import models
from rtface.cli.app import main
from rtface.datasets.labelled import FaceLabel
from rtface.engine import OrtEngine
from rtface.errors import InputError
from rtface.tasks.enhance import OUTPUT
from rtface.train.config import SHIPPED, SuperFanConfig
from rtface.train.data.degrade import Pairs, degrade
from rtface.train.data.pixel_cache import Picture
from rtface.train.export import load_superfan
from rtface.train.nets.blocks import Normalise
from rtface.train.nets.superfan import Critic, ResidualBlock, SuperFan, SuperFanExport
from rtface.train.superfan import learn
from rtface.train.superfan_losses import (
    FrozenEngine,
    Weights,
    critic_loss,
    generator_losses,
    heat_loss,
    perceptual_loss,
    pixel_loss,
)
from tests.train.made import a_picture

SMALL = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def judge() -> FrozenEngine:
    return FrozenEngine(SHIPPED)


@pytest.fixture(scope="module")
def faces() -> torch.Tensor:
    from skimage import data

    face = cv2.resize(np.ascontiguousarray(data.astronaut()[40:190, 150:300, ::-1]), (128, 128))
    return torch.from_numpy(np.stack([face, face[:, ::-1]]))


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(a) for a in args])
    return int(leaving.value.code or 0)


@torch.no_grad()
def test_the_generator_begins_as_an_enlargement_with_its_blocks_as_in_the_paper() -> None:
    net = SuperFan().eval()
    blocks = [
        sum(isinstance(m, ResidualBlock) for m in part.modules()) for part in net.body if len(list(part.children()))
    ]
    assert [count for count in blocks if count] == [12, 3, 2]
    made = SuperFanExport(net)(torch.from_numpy(SMALL)).numpy()
    assert made.shape == (2, 64, 64, 3) and made.dtype == np.float32
    for got, small in zip(made, SMALL, strict=True):
        assert got == pytest.approx(cv2.resize(small, (64, 64)).astype(np.float32), abs=1.01)  # OpenCV rounds
    assert net(torch.zeros(1, 24, 32, 3, dtype=torch.uint8)).shape == (1, 3, 96, 128)
    assert Critic()(torch.zeros(3, 3, 96, 96)).shape == (3,)


def test_the_judge_sees_what_the_shipped_engine_sees(judge: FrozenEngine, faces: torch.Tensor) -> None:
    seen = judge(Normalise()(faces))
    # the file without interaction, of the same weights
    points = OrtEngine(models.load("engine-iter0"), "iter0", 1).run(faces.numpy(), ("landmarks",))["landmarks"]
    assert ((seen.points.numpy() + 1) * 64 - 0.5) == pytest.approx(points, abs=0.1)
    assert seen.heat.shape == (2, 68, 256) and seen.heat.sum(2) == pytest.approx(torch.ones(2, 68), abs=1e-3)
    assert not any(p.requires_grad for p in judge.parameters())


def test_each_term_is_zero_for_a_perfect_answer_only(judge: FrozenEngine, faces: torch.Tensor) -> None:
    truth = Normalise()(faces)
    blurred = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(truth, 8), scale_factor=8.0)
    right, wrong = judge(truth), judge(blurred)
    for loss, made, same in (
        (pixel_loss, blurred, truth),
        (perceptual_loss, wrong, right),
        (heat_loss, wrong, right),
    ):
        assert float(loss(same, same)) == 0.0 and float(loss(made, same)) > 0.01, loss.__name__  # type: ignore[operator]
    everything = generator_losses(truth, truth, Weights(gan=0.0), judge, None)
    assert {name: float(value) for name, value in everything.items()} == {"pixel": 0.0, "perceptual": 0.0, "heat": 0.0}


def test_a_weight_of_zero_leaves_its_term_out(judge: FrozenEngine) -> None:
    made, truth = torch.zeros(2, 3, 64, 64, requires_grad=True), torch.ones(2, 3, 64, 64)
    assert set(generator_losses(made, truth, Weights(1, 0, 0, 0), judge, Critic())) == {"pixel"}
    assert set(generator_losses(made, truth, Weights(0, 0, 2, 0), judge, None)) == {"heat"}
    losses = generator_losses(made, truth, Weights(), judge, Critic())
    assert set(losses) == {"pixel", "perceptual", "heat", "gan"}
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, made, retain_graph=True)
        assert gradient.abs().sum() > 0, name


def test_the_critics_penalty_is_zero_where_its_slope_is_one() -> None:
    slope = torch.full((3 * 16 * 16,), (3 * 16 * 16) ** -0.5)

    class Linear(Critic):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return self.factor * pictures.flatten(1) @ slope

    made, truth = torch.zeros(4, 3, 16, 16), torch.ones(4, 3, 16, 16)
    apart = float(slope.sum())
    assert float(critic_loss(Linear(1.0), made, truth, 10.0)) == pytest.approx(-apart, abs=1e-3)
    assert float(critic_loss(Linear(3.0), made, truth, 10.0)) == pytest.approx(-3 * apart + 10 * 2.0**2, abs=1e-2)


def picture(size: int) -> Picture:
    image = np.full((size, size, 3), 60, np.uint8)
    cv2.circle(image, (size // 2, size // 2), size // 6, (220, 200, 210), -1)
    return a_picture("p", "made", "train", image, [FaceLabel(box_xyxy=np.array((0, 0, size, size), np.float32) * 0.8)])


def test_a_spoilt_face_stays_in_its_place() -> None:
    large = cv2.GaussianBlur(picture(64).image, (5, 5), 0)
    rng = np.random.default_rng(3)
    small = np.stack([degrade(large, 16, rng) for _ in range(40)]).astype(np.float32)
    assert small.shape == (40, 16, 16, 3) and small.std(axis=0).mean() > 1.0
    weight = np.clip(small.mean(axis=(0, 3)) - 70, 0, None)
    rows, columns = np.mgrid[:16, :16]
    # the disc's centre is at (32, 32) of 64 px, which is 7.625 of 16
    assert (weight * rows).sum() / weight.sum() == pytest.approx(7.625, abs=0.15)
    assert (weight * columns).sum() / weight.sum() == pytest.approx(7.625, abs=0.15)


def test_pairs_are_repeatable_and_of_one_size_a_batch() -> None:
    pictures = [picture(120), picture(160)]
    first, second = Pairs(pictures, (16, 24), 8, seed=5), Pairs(pictures, (16, 24), 8, seed=5)
    shapes = set()
    for number in range(6):
        small, large = first(number)
        again = second(number)
        assert (small == again[0]).all() and (large == again[1]).all()
        assert large.shape[1] == 4 * small.shape[1] and len(small) == {16: 8, 24: 4}[small.shape[1]]
        shapes.add(small.shape[1])
    assert shapes == {16, 24}
    later = Pairs(pictures, (16, 24), 8, seed=5)
    assert (later(5)[0] == small).all()  # the sixth, as a run sees it that goes on there
    assert not np.array_equal(later(6)[0], small)
    with pytest.raises(InputError, match="no face's crop is at least 115 px wide"):
        Pairs([picture(100)], (16, 32), 8, seed=0)


def test_training_goes_on_with_its_critic_and_the_export_agrees_with_torch(
    corpus: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "run", tmp_path / "models"
    args = ("train", "superfan", "--data", corpus, "--cache", cache, "--run", folder, "--sizes", "16", "--gan-at", 0)
    small = ("--batch", 2, "--threads", 1, "--device", "cpu")
    assert run(*args, *small, "--steps", 2) == 0
    assert run(*args, *small, "--steps", 3) == 0
    assert "going on from step 2" in capsys.readouterr().err
    saved = torch.load(folder / "last.pt", weights_only=True)
    assert saved["step"] == 3 and all(torch.isfinite(v).all() for v in saved["ema"].values())
    critic = torch.load(folder / "critic.pt", weights_only=True)
    assert {int(state["step"]) for state in critic["optimizer"]["state"].values()} == {3}
    head = (folder / "log.csv").read_text().splitlines()[0].split(",")
    assert {"pixel", "perceptual", "heat", "gan", "psnr", "ssim", "plain_psnr", "plain_ssim"} <= set(head)

    assert run("export", "superfan", "--run", folder, "--out", out) == 0
    assert "enhanced" in capsys.readouterr().out
    entry = models.find("enhancer", models_dir=out)
    assert (entry.name, entry.precision, entry.iterations) == ("enhancer", "fp32", None)
    assert entry.bytes < 1_000_000
    net, engine = SuperFanExport(load_superfan(folder / "last.pt")), OrtEngine(models.load(entry), entry.name, 1)
    for size in (16, 24):
        crops = np.random.default_rng(size).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
        with torch.no_grad():
            expected = net(torch.from_numpy(crops)).numpy()
        assert engine.run(crops, (OUTPUT,))[OUTPUT] == pytest.approx(expected, abs=0.5)


@pytest.mark.parametrize("from_run", [False, True])
def test_training_begins_with_another_enhancer(tmp_path: Path, from_run: bool) -> None:
    pictures, folder, init = [picture(120)], tmp_path / "run", SHIPPED.with_name("enhancer.onnx")
    still = {"perceptual": 0.0, "heat": 0.0, "gan": 0.0, "sizes": "16"}  # at a rate that changes nothing
    if from_run:
        config = SuperFanConfig(folder, tmp_path / "first", folder, None, 1, 2, 1e-12, init=init, **still)  # type: ignore[arg-type]
        init = learn(config, pictures, pictures)
    config = SuperFanConfig(folder, folder, folder, None, 1, 2, 1e-12, init=init, **still)  # type: ignore[arg-type]
    net = SuperFanExport(load_superfan(learn(config, pictures, pictures)))
    with torch.no_grad():
        got = net(torch.from_numpy(SMALL)).numpy()
    expected = OrtEngine(models.load("enhancer"), "enhancer", 1).run(SMALL, (OUTPUT,))[OUTPUT]
    assert got == pytest.approx(expected, abs=1.0)


def test_a_share_of_the_small_faces_is_shrunk_only() -> None:
    pictures = [picture(160)]
    spoilt, clean = (Pairs(pictures, (16,), 8, seed=2, clean=share)(0) for share in (0.0, 1.0))
    plain = np.stack([cv2.resize(large, (16, 16), interpolation=cv2.INTER_AREA) for large in clean[1]])
    apart = np.abs(clean[0].astype(float) - plain).mean()
    assert 0.0 < apart < np.abs(spoilt[0].astype(float) - plain).mean()


def test_arms_of_one_seed_begin_alike_whatever_their_losses(tmp_path: Path) -> None:
    pictures, begun = [picture(120), picture(160)], []
    for name, weights in (("pixel", {"perceptual": 0.0, "heat": 0.0, "gan": 0.0}), ("all", {"gan_at": 0.0})):
        folder = tmp_path / name
        config = SuperFanConfig(folder, folder, folder, None, 1, 2, 1e-12, sizes="16", **weights)  # type: ignore[arg-type]
        begun.append(load_superfan(learn(config, pictures, pictures)).state_dict())
    for one, other in zip(*(state.values() for state in begun), strict=True):
        assert one.numpy() == pytest.approx(other.numpy(), abs=1e-6)


def test_wrong_options_say_what_is_expected(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for sizes in ("15", "16,x", "", "128"):
        assert run("train", "superfan", "--data", "d", "--run", "r", "--steps", 1, "--sizes", sizes) == 2
        assert "sizes: expected multiples of 4 from 8 to 64" in capsys.readouterr().err
    assert run("train", "superfan", "--data", "d", "--run", "r", "--steps", 1, "--clean", 2) == 2
    capsys.readouterr()
    toml = tmp_path / "run.toml"
    toml.write_text('data = "d"\nrun = "r"\nsteps = 1\nclean = 1.5\n')
    assert run("train", "superfan", "--config", toml) == 2
    assert "clean: expected a number from 0 to 1, got 1.5" in capsys.readouterr().err
    toml.write_text('data = "d"\nrun = "r"\nsteps = 1\nheat = -1.0\n')
    assert run("train", "superfan", "--config", toml) == 2
    assert "heat: expected a number of at least 0, got -1.0" in capsys.readouterr().err

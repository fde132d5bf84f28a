"""The engine's network: shapes at every training size, interaction that starts as nothing, decoders that read maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rtface.train.nets.blocks import fold_all
from rtface.train.nets.ifan import (
    LABEL_SCALE,
    OUTPUT_NAMES,
    PARSING,
    POINTS,
    SUB,
    WIDTH,
    EngineExport,
    EngineNet,
    LandmarkDecoder,
    Rows,
    packed_argmax,
)
from tests.train.test_blocks import with_history


@pytest.fixture(scope="module")
def net() -> EngineNet:
    torch.manual_seed(0)
    return EngineNet().eval()


def crops(count: int, size: int) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, size, size, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(size)
    )


@pytest.mark.parametrize("size", [64, 128])
@torch.no_grad()
def test_shapes(net: EngineNet, size: int) -> None:
    rounds = net(crops(2, size), iterations=1)
    assert len(rounds) == 2
    for out in rounds:
        assert out.points.shape == (2, 68, 2)
        assert out.heat.shape == (2, 68, size // 8, size // 8)
        assert out.parsing_logits.shape == (2, 19 * 16, size // 4, size // 4)
        assert out.emotion_logits.shape == (2, 8)
        assert out.pose.shape == (2, 3)
        assert out.face_logit.shape == out.landmark_std.shape == (2,)
        assert (out.landmark_std > 0).all()


@torch.no_grad()
def test_the_first_interaction_changes_nothing(net: EngineNet) -> None:
    """The integrator's last norm starts at zero, so ITER 1 may be switched on in the middle of a training."""
    first, second = net(crops(2, 64), iterations=1)
    for name in vars(first):
        torch.testing.assert_close(getattr(second, name), getattr(first, name), atol=1e-6, rtol=0)

    torch.manual_seed(1)
    other = EngineNet().eval()
    nn.init.ones_(other.integrate.conv.bn.weight)  # type: ignore[arg-type]
    first, second = other(crops(2, 64), iterations=1)
    assert (first.points - second.points).abs().max() > 1e-4  # once learned, it does something


@torch.no_grad()
def test_folding_the_net_changes_nothing() -> None:
    torch.manual_seed(0)
    net = EngineNet()
    with_history(net)
    before = net(crops(1, 64), 1)[-1]
    after = fold_all(net)(crops(1, 64), 1)[-1]
    assert not [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    for name in vars(before):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_the_landmark_decoder_finds_a_planted_peak() -> None:
    decoder = LandmarkDecoder().eval()
    decoder.conv = nn.Identity()  # type: ignore[assignment]
    nn.init.zeros_(decoder.head.weight)
    assert decoder.head.bias is not None
    nn.init.zeros_(decoder.head.bias)
    decoder.head.weight[3, 0] = 50.0  # point 3's heat is feature 0,
    decoder.head.weight[POINTS + 3, 1] = 1.0  # its offset in x feature 1,
    decoder.head.weight[2 * POINTS + 3, 2] = 1.0  # in y feature 2
    shared = torch.zeros(1, WIDTH, 16, 16)
    shared[0, 0, 9, 4] = 1.0
    shared[0, 1, 9, 4], shared[0, 2, 9, 4] = 0.25, -0.5
    points, heat = decoder(shared)
    x, y = (points[0, 3] + 1) * 64 - 0.5  # px of a 128 px crop; a cell is 8 px
    assert (float(x), float(y)) == pytest.approx((8 * 4.75 - 0.5, 8 * 9.0 - 0.5), abs=1e-2)
    assert heat[0, 3].argmax() == 9 * 16 + 4
    assert points[0, 4].tolist() == pytest.approx([0, 0], abs=1e-6)  # no peak: the middle


@torch.no_grad()
def test_packed_argmax_is_argmax() -> None:
    generator = torch.Generator().manual_seed(0)
    # steps of 1/512, no two classes alike: the packed labels must be exactly the largest logits' classes
    order = torch.rand(3, PARSING, SUB * SUB, 6, 5, generator=generator).argsort(1)
    level = torch.randint(-200_000, 200_000, (3, 1, SUB * SUB, 6, 5), generator=generator)
    logits = (order + level).float() / LABEL_SCALE
    labels = packed_argmax(logits.transpose(1, 2).reshape(3, SUB * SUB * PARSING, 6, 5) * LABEL_SCALE)
    full = nn.functional.pixel_shuffle(logits.reshape(3, PARSING * SUB * SUB, 6, 5), SUB)
    assert labels.shape == (3, 24, 20) and labels.dtype == torch.uint8
    assert (labels == full.argmax(1)).all()


@pytest.mark.parametrize("iterations", [0, 1])
@torch.no_grad()
def test_the_exported_form_is_the_last_round_in_px_and_degrees(iterations: int) -> None:
    torch.manual_seed(2)
    net = EngineNet().eval()
    with_history(net.integrate)
    out = net(crops(2, 128), iterations)[-1]
    landmarks, parsing, emotion, pose, face, quality = EngineExport(net, iterations)(crops(2, 128))
    assert len(OUTPUT_NAMES) == 6
    torch.testing.assert_close(landmarks, (out.points + 1) * 64 - 0.5)
    right = nn.functional.pixel_shuffle(out.parsing_logits, SUB).argmax(1)
    assert (parsing == right).float().mean() > 0.98  # logits within 1/512 of each other may fall either way
    torch.testing.assert_close(emotion.sum(1), torch.ones(2))
    assert (emotion.argmax(1) == out.emotion_logits.argmax(1)).all()
    torch.testing.assert_close(pose, out.pose * 45)
    torch.testing.assert_close(face, out.face_logit.sigmoid())
    assert ((quality > 0) & (quality < 1)).all()


def test_decoders_may_run_on_their_own_rows_only() -> None:
    torch.manual_seed(0)
    net, crops = EngineNet().eval(), torch.randint(0, 256, (4, 64, 64, 3), dtype=torch.uint8)
    rows = Rows(landmarks=torch.tensor([0, 2]), parsing=torch.tensor([3]))
    with torch.no_grad():
        whole, part = net(crops)[0], net(crops, rows=rows)[0]
        none = net(crops, rows=Rows(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long)))[0]
    torch.testing.assert_close(part.points, whole.points[[0, 2]])
    torch.testing.assert_close(part.parsing_logits, whole.parsing_logits[[3]])
    torch.testing.assert_close(part.emotion_logits, whole.emotion_logits)
    assert none.points.shape == (0, 68, 2) and none.parsing_logits.shape == (0, *whole.parsing_logits.shape[1:])
    assert net(crops, 1, rows=rows)[1].points.shape[0] == 4  # interaction needs every answer of every sample


def test_a_frozen_base_leaves_learning_to_the_interaction() -> None:
    net = EngineNet().train()
    net.freeze_base()
    learning = {name.partition(".")[0] for name, p in net.named_parameters() if p.requires_grad}
    assert learning == {"reencode", "integrate"}
    assert not net.encoder.training and net.integrate.training

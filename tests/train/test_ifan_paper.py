"""iFAN's own network: its sizes as printed, the same outputs as the fast one, feedback that reaches the next round."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from rtface.train.losses import engine_losses
from rtface.train.nets.blocks import ConvBN, fold_all
from rtface.train.nets.ifan import EngineExport, Rows
from rtface.train.nets.ifan_paper import DenseBlock, PaperNet, heat_maps
from tests.train.test_blocks import with_history
from tests.train.test_rmt import targets

CROPS = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def net() -> PaperNet:
    torch.manual_seed(0)
    return PaperNet().eval()


@torch.no_grad()
def test_the_papers_sizes(net: PaperNet) -> None:
    encoder = net.encoder
    assert encoder.stem.conv.kernel_size == (7, 7)
    blocks = [m for m in encoder.modules() if isinstance(m, DenseBlock)]
    assert len(blocks) == 10
    for block in blocks:
        assert [layer.conv.out_channels for layer in block.layers if isinstance(layer, ConvBN)] == [12, 12, 12]
    deep, middle, full = encoder(torch.zeros(1, 3, 128, 128))
    assert [f.shape[-1] for f in (deep, middle, full)] == [4, 8, 128]
    assert tuple(f.shape[1] for f in (deep, middle, full)) == encoder.widths


@torch.no_grad()
def test_outputs_are_those_of_the_fast_network(net: PaperNet) -> None:
    rounds = net(CROPS, iterations=2)
    assert len(rounds) == 3
    for out in rounds:
        assert out.points.shape == (3, 68, 2) and out.heat.shape[:2] == (3, 0)
        assert out.parsing_logits.shape == (3, 19 * 16, 16, 16)
        assert out.emotion_logits.shape == (3, 8) and out.pose.shape == (3, 3)
        assert out.face_logit.shape == out.landmark_std.shape == (3,)
    landmarks, parsing, emotion, *_ = EngineExport(net, 1)(CROPS)
    assert landmarks.shape == (3, 68, 2) and parsing.shape == (3, 64, 64) and parsing.dtype == torch.uint8
    torch.testing.assert_close(emotion.sum(1), torch.ones(3))


@torch.no_grad()
def test_the_parsing_layout_is_the_fast_networks(net: PaperNet) -> None:
    """Sub-pixel order: shuffled up, a cell's logits lie where the decoder's full-size map had them."""
    full = [torch.randn(1, width, size, size) for width, size in zip(net.encoder.widths, (2, 4, 64), strict=True)]
    out = net.decoders(full)
    torch.testing.assert_close(nn.functional.pixel_shuffle(out.parsing_logits, 4), net.decoders.parsing(full[2]))


def test_heat_maps_have_the_papers_radius() -> None:
    at = torch.tensor([[[2 * 40.5 / 128 - 1, 2 * 70.5 / 128 - 1]]])  # pixel 40, 70 of 128
    heat = heat_maps(at, 128)[0, 0]
    assert heat[70, 40] == pytest.approx(1.0)
    for y, x in ((70, 45), (75, 40), (70, 35)):
        assert heat[y, x] == pytest.approx(math.exp(-2), rel=1e-3)
    smaller = heat_maps(at, 64)[0, 0]  # the same share of the crop
    assert smaller.max() > 0.9 and smaller.sum() == pytest.approx(float(heat.sum()) / 4, rel=1e-2)


def test_every_answer_reaches_the_next_round(net: PaperNet) -> None:
    out = net(CROPS, 0)[0]
    parts = [t.detach().requires_grad_() for t in (out.points, out.parsing_logits, out.emotion_logits)]
    out.points, out.parsing_logits, out.emotion_logits = parts
    for feature, channels in zip(net.reencode(out), [net.reencode.channels] * 3, strict=True):
        assert feature.shape[1] == channels
        grads = torch.autograd.grad(feature.square().sum(), parts, retain_graph=True)
        assert all(g.any() for g in grads)


@torch.no_grad()
def test_rows_and_one_round(net: PaperNet) -> None:
    whole, part = net(CROPS)[0], net(CROPS, rows=Rows(torch.tensor([0, 2]), torch.tensor([1])))[0]
    torch.testing.assert_close(part.points, whole.points[[0, 2]])
    torch.testing.assert_close(part.parsing_logits, whole.parsing_logits[[1]])
    none = torch.tensor([], dtype=torch.long)
    empty = net(CROPS, rows=Rows(none, none))[0]
    assert empty.points.shape == (0, 68, 2) and len(empty.parsing_logits) == 0


def test_the_same_losses_drive_every_parameter() -> None:
    net, t = PaperNet().train(), targets()
    t.parsing = torch.ones_like(t.parsing)
    t.pose_weight = torch.ones(3, 3)
    losses = engine_losses(net(CROPS, 1), t)
    assert losses["heat"] == 0  # its points are regressed
    torch.stack(tuple(losses.values())).sum().backward()
    still = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    # a head of the last round whose feature died is possible, an unused part is not
    assert not still, still


def test_a_frozen_base_leaves_learning_to_the_interaction() -> None:
    net = PaperNet().train()
    net.freeze_base()
    assert {n.partition(".")[0] for n, p in net.named_parameters() if p.requires_grad} == {"reencode", "integrate"}


@torch.no_grad()
def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    net = PaperNet()
    with_history(net)
    before = net(CROPS[:1], 1)[-1]
    after = fold_all(net)(CROPS[:1], 1)[-1]
    for name in ("points", "parsing_logits", "emotion_logits"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=1e-3, rtol=1e-3)

"""MOS's parts as the paper starts them, and which of them weight decay leaves alone."""

from __future__ import annotations

import pytest
import torch

from rtface.train.detection_losses import UncertaintyWeights
from rtface.train.detector import optimizer
from rtface.train.nets.mos import FIELDS, CrossStitchHead, DetectorNet


def test_cross_stitch_begins_at_nine_tenths_and_a_tenth() -> None:
    alpha = CrossStitchHead(48).alpha
    assert alpha.shape == (6, 6, 24)  # a weight a channel
    for task in range(len(FIELDS)):
        assert alpha[task, task].tolist() == pytest.approx([0.9] * 24)
    assert alpha.sum(1).flatten().tolist() == pytest.approx([1.0] * 6 * 24)


@torch.no_grad()
def test_a_stem_reads_the_others_through_the_stitch_only() -> None:
    torch.manual_seed(0)
    for cross_stitch in (True, False):
        head = CrossStitchHead(8, stem=4, cross_stitch=cross_stitch).eval()
        x = torch.rand(1, 8, 3, 3)
        before = head(x)
        head.stems.conv.weight[:4] += 1.0  # the face's stem
        change = (head(x) - before).abs().amax((0, 2, 3))
        assert change[0] > 0 and bool((change[1:] > 0).any()) is cross_stitch


def test_what_has_a_scale_of_its_own_does_not_decay() -> None:
    trained = torch.nn.ModuleDict({"net": DetectorNet(), "weights": UncertaintyWeights()})
    decayed, free = optimizer(trained, 1e-3).param_groups
    assert (decayed["weight_decay"] > 0, free["weight_decay"]) == (True, 0)
    names = {id(p): n for n, p in trained.named_parameters()}
    left = {names[id(p)] for p in free["params"]}
    assert {"weights.log_variance", "net.head.alpha", "net.head.bias"} <= left
    assert "net.backbone.s8.0.conv.weight" not in left and "net.backbone.s8.0.bn.weight" in left
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_uncertainty_stays_where_the_losses_put_it() -> None:
    """Decay drew log variances towards 0, a weight of 1, whatever the losses said."""
    weights = UncertaintyWeights()
    trained = torch.nn.ModuleDict({"weights": weights})
    start = weights.log_variance.detach().clone()
    step = optimizer(trained, 0.1)
    weights.log_variance.grad = torch.zeros_like(weights.log_variance)
    step.step()
    assert torch.equal(weights.log_variance, start)


def test_a_frozen_stem_answers_the_same_and_learns_nothing() -> None:
    torch.manual_seed(0)
    net = DetectorNet().eval()
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    before, names = net(image), set(net.state_dict())
    net.backbone.freeze_stem()
    assert torch.allclose(net(image), before, atol=1e-5)
    assert set(net.state_dict()) == names  # what is saved, averaged and exported stays the same
    net.train()(image).square().mean().backward()
    assert all(p.grad is None and not p.requires_grad for p in net.backbone.stem.parameters())
    assert int(net.backbone.stem[0].bn.num_batches_tracked) == 0  # its statistics stay too
    assert net.backbone.s8[0].conv.weight.grad.abs().sum() > 0


def test_frozen_parts_are_not_optimised() -> None:
    trained = torch.nn.ModuleDict({"net": DetectorNet(cross_stitch=False), "weights": UncertaintyWeights(False)})
    optimised = {id(p) for group in optimizer(trained, 1e-3).param_groups for p in group["params"]}
    assert optimised == {id(p) for p in trained.parameters() if p.requires_grad}

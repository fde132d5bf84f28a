"""Folding blocks for export changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rtface.train.nets.blocks import MEAN, SPREAD, ConvBN, Normalise, count_parameters, fold_all
from rtface.train.nets.mos import OUTPUTS, CrossStitchHead


def with_history(net: nn.Module) -> nn.Module:
    """Batch norms as training leaves them: no statistic and no weight at its initial value."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.3, 3.0)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return net.eval()


@pytest.mark.parametrize(
    "block",
    [
        ConvBN(6, 6, skip=True),
        ConvBN(6, 9, stride=2),
        ConvBN(6, 4, kernel=1, act=False),
        ConvBN(6, 4, kernel=2, stride=2, act=False),
    ],
    ids=["identity", "stride", "1x1", "merge"],
)
@torch.no_grad()
def test_a_folded_block_is_the_same_function(block: ConvBN) -> None:
    torch.manual_seed(0)
    with_history(block)
    x = torch.randn(2, 6, 12, 10)
    before = block(x)
    fold_all(block)
    assert isinstance(block.bn, nn.Identity) and not block.skip and block.conv.bias is not None
    torch.testing.assert_close(block(x), before, atol=1e-4, rtol=0)
    fold_all(block)  # once more is harmless
    torch.testing.assert_close(block(x), before, atol=1e-4, rtol=0)


def test_an_identity_needs_equal_shapes() -> None:
    with pytest.raises(ValueError, match="6->8"):
        ConvBN(6, 8, skip=True)
    with pytest.raises(ValueError, match="stride 2"):
        ConvBN(6, 6, stride=2, skip=True)


def test_a_training_net_is_not_folded() -> None:
    with pytest.raises(ValueError, match="eval"):
        fold_all(ConvBN(3, 3))


@pytest.mark.parametrize("cross_stitch", [True, False])
@torch.no_grad()
def test_a_folded_head_is_the_same_function(cross_stitch: bool) -> None:
    torch.manual_seed(0)
    head = CrossStitchHead(16, cross_stitch=cross_stitch)
    with_history(head)
    nn.init.normal_(head.alpha)
    for weights in head.heads:
        nn.init.normal_(weights)
    x = torch.randn(2, 16, 5, 7)
    before = head(x)
    assert before.shape == (2, OUTPUTS, 5, 7)
    fold_all(head)
    nn.init.zeros_(head.alpha)  # no longer looked at
    torch.testing.assert_close(head(x), before, atol=1e-4, rtol=1e-5)


@torch.no_grad()
def test_cross_stitch_mixes_the_stems_feature_by_feature() -> None:
    """The composed 1x1 convolution is the paper's way round: stitch the six stems' maps, then one head each."""
    torch.manual_seed(1)
    head = CrossStitchHead(16, stem=4).eval()
    nn.init.normal_(head.alpha)
    x = torch.randn(1, 16, 3, 3)
    stems = head.stems(x).reshape(1, 6, 4, 3, 3)
    stitched = torch.einsum("stc,ntchw->nschw", head.alpha, stems)
    rows = [torch.einsum("oc,nchw->nohw", w, stitched[:, s]) for s, w in enumerate(head.heads)]
    torch.testing.assert_close(head(x), torch.cat(rows, 1) + head.bias[None, :, None, None], atol=1e-5, rtol=1e-5)


def test_without_cross_stitch_a_stem_answers_only_for_itself() -> None:
    head = CrossStitchHead(16, stem=4, cross_stitch=False).eval()
    features = head.stems(torch.randn(1, 16, 2, 2)).detach().requires_grad_()
    head.stems = nn.Identity()  # type: ignore[assignment]
    head(features)[:, 1:5].sum().backward()  # the box
    assert features.grad is not None
    reached = features.grad.reshape(6, 4, -1).abs().amax((1, 2)) > 0
    assert reached.tolist() == [False, True, False, False, False, False]
    assert not head.alpha.requires_grad


def test_normalise_centres_bytes() -> None:
    image = torch.tensor([[[[0, MEAN, 255]]]], dtype=torch.uint8)
    assert Normalise()(image).flatten().tolist() == pytest.approx([-MEAN / SPREAD, 0, (255 - MEAN) / SPREAD])


def test_count_parameters() -> None:
    assert count_parameters(ConvBN(3, 5)) == 3 * 5 * 9 + 2 * 5

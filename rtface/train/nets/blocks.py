"""Convolution blocks shared by the detector and the engine.

Dense 3x3 convolutions only: they run at full speed on AVX-512 and tensor cores alike, while depthwise ones do not.
Every block folds into a single convolution at export (`fold`), so batch norm and identity branches cost nothing at
run time (re-parameterisation, RepVGG, arXiv 2101.03697, section 3.3).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, SPREAD = 117, 60.0  # pixel values, all channels; MEAN is whole so that it can be a uint8 zero point


class ConvBN(nn.Module):
    """Convolution, batch norm, optional identity branch, optional ReLU: y = act(bn(conv(x)) + x).

    Shapes: (N, in_ch, H, W) -> (N, out_ch, H / stride, W / stride); odd kernels keep the size, an even kernel must
    equal its stride (patch merge).
    """

    def __init__(
        self, in_ch: int, out_ch: int, kernel: int = 3, stride: int = 1, act: bool = True, skip: bool = False
    ) -> None:
        super().__init__()
        if skip and (in_ch != out_ch or stride != 1):
            raise ValueError(f"an identity branch needs equal shapes, got {in_ch}->{out_ch}, stride {stride}")
        padding = kernel // 2 if kernel % 2 else 0
        self.conv = nn.Conv2d(in_ch, out_ch, kernel, stride, padding, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out_ch)
        self.act = act
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn(self.conv(x))
        if self.skip:
            y = y + x
        return F.relu(y) if self.act else y

    @torch.no_grad()
    def fold(self) -> None:
        """Fold batch norm and the identity branch into one convolution with bias (for export; not undoable)."""
        if not isinstance(self.bn, nn.BatchNorm2d):
            return
        self.conv, self.bn = nn.utils.fuse_conv_bn_eval(self.conv, self.bn), nn.Identity()
        if self.skip:
            self.conv.weight.add_(nn.init.dirac_(torch.empty_like(self.conv.weight)))
            self.skip = False


def fold_all(net: nn.Module) -> nn.Module:
    """Fold every module of `net` that can be, in place; the network must be in eval mode."""
    if net.training:
        raise ValueError("fold_all expected a network in eval mode; call .eval() first")
    for module in list(net.modules()):
        if callable(fold := getattr(module, "fold", None)):
            fold()
    return net


class Normalise(nn.Module):
    """(N, H, W, 3) BGR, 0..255 -> (N, 3, H, W) about zero mean and unit spread; part of the exported graph."""

    def forward(self, image: Tensor) -> Tensor:
        return (image.permute(0, 3, 1, 2).to(torch.float32) - MEAN) * (1.0 / SPREAD)


def count_parameters(net: nn.Module) -> int:
    """Number of trainable scalars."""
    return sum(p.numel() for p in net.parameters())

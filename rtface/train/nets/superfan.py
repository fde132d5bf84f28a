"""Super-FAN: a face of 16x16 px and the like, four times as large (Bulat & Tzimiropoulos, CVPR 2018).

The paper's generator works at three resolutions, with 12, 3 and 2 residual blocks at x1, x2 and x4: most of the work
is done where pixels are few. Ours keeps the distribution with plain convolutions and is narrower, 32, 32 and 16
channels in place of 64: 0.34 M parameters and 182 M multiply-adds for 16x16 px, about one pass of the engine (172 M),
where 64 channels would take seven. It adds to the bilinear enlargement, and what it adds is zero at the start, so a
short schedule is spent on what is missing only. It is convolutional and takes any size.

The critic is WGAN-GP's (Gulrajani et al., NIPS 2017): no normalisation over the batch, one number a picture.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.tasks.enhance import SCALE
from rtface.train.nets.blocks import MEAN, SPREAD, ConvBN, Normalise

BLOCKS = (12, 3, 2)  # the paper's, at x1, x2, x4
WIDTHS = (32, 32, 16)


class ResidualBlock(nn.Module):
    """y = x + bn(conv(relu(bn(conv(x))))): the paper's block, without activation after the sum. Keeps the shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = ConvBN(width, width)
        self.second = ConvBN(width, width, act=False)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.second(self.first(x))
        return y


class Double(nn.Module):
    """(N, in_ch, H, W) -> (N, out_ch, 2 H, 2 W) by sub-pixel convolution (Shi et al., CVPR 2016)."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_ch, 4 * out_ch, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(F.pixel_shuffle(self.conv(x), 2))


class SuperFan(nn.Module):
    """Small crops (N, S, S, 3) BGR 0..255 -> large ones (N, 3, 4 S, 4 S), normalised as `Normalise` does."""

    def __init__(self) -> None:
        super().__init__()
        low, middle, high = (
            nn.Sequential(*(ResidualBlock(width) for _ in range(count)))
            for width, count in zip(WIDTHS, BLOCKS, strict=True)
        )
        self.normalise = Normalise()
        self.body = nn.Sequential(
            nn.Conv2d(3, WIDTHS[0], 3, padding=1),
            low,
            Double(WIDTHS[0], WIDTHS[1]),
            middle,
            Double(WIDTHS[1], WIDTHS[2]),
            high,
        )
        self.head = nn.Conv2d(WIDTHS[2], 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, crops: Tensor) -> Tensor:
        x = self.normalise(crops).contiguous(memory_format=torch.channels_last)
        enlarged = F.interpolate(x, scale_factor=float(SCALE), mode="bilinear", align_corners=False)
        y: Tensor = enlarged + self.head(self.body(x)).to(x.dtype)
        return y


class Critic(nn.Module):
    """Normalised pictures (N, 3, S, S), S a multiple of 16 -> how real each looks (N,), unbounded."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        sizes = (3, width, 2 * width, 3 * width, 4 * width)
        layers: list[nn.Module] = []
        for in_ch, out_ch in pairwise(sizes):
            layers += [nn.Conv2d(in_ch, out_ch, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(sizes[-1], 1)

    def forward(self, pictures: Tensor) -> Tensor:
        score: Tensor = self.head(self.body(pictures).float().mean((2, 3)))[:, 0]
        return score


def to_pixels(normalised: Tensor) -> Tensor:
    """Normalised pictures (N, 3, H, W) as (N, H, W, 3) BGR 0..255, clipped, not rounded."""
    return (normalised * SPREAD + MEAN).clamp(0.0, 255.0).permute(0, 2, 3, 1)


class SuperFanExport(nn.Module):
    """SuperFan as the runtime sees it: uint8 crops (N, S, S, 3) in, float32 (N, 4 S, 4 S, 3) 0..255 out."""

    def __init__(self, net: SuperFan) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor) -> Tensor:
        return to_pixels(self.net(crops))

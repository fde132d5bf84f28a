"""Super-FAN's four losses: pixel, perceptual, heat-map (through the landmark network), WGAN-GP.

Bulat & Tzimiropoulos, CVPR 2018, equations 2-6. Perceptual features are those of our own engine's encoder in place of
an ImageNet network's, and the landmark network is the same frozen engine, so one pass of it serves both. Each term is
0 for a picture that equals the truth (WGAN's has no such zero: it is minus the critic's opinion).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.geometry.crop import CROP_SIZE
from rtface.train.init import warm_start
from rtface.train.nets.blocks import SPREAD, fold_all
from rtface.train.nets.ifan import EngineNet
from rtface.train.nets.superfan import Critic

POINTS_WEIGHT = 2.5  # of the points' distance in the heat-map loss, beside the maps' own: about as much at 1 px


@dataclass(frozen=True)
class Weights:
    """How much each term counts; 0 = it is not computed."""

    pixel: float = 1.0
    perceptual: float = 0.1
    heat: float = 1.0
    gan: float = 0.001
    penalty: float = 10.0  # of the critic's gradient (lambda of WGAN-GP)


@dataclass
class Seen:
    """What the frozen engine sees in pictures: features at stride 4 and 8, heat (N, 68, 256) that sums to 1 a point,
    points (N, 68, 2) as -1..1 of the crop."""

    f4: Tensor
    shared: Tensor
    heat: Tensor
    points: Tensor


class FrozenEngine(nn.Module):
    """The trained engine as a judge: its encoder and its landmark decoder, never changed.

    Args:
        model: An exported float32 engine with interaction (`engine-iter1.onnx`), whose weights are put back.

    Raises:
        ModelError: The file is missing or of another network.
    """

    def __init__(self, model: Path) -> None:
        super().__init__()
        net = EngineNet()
        # any batch will do: in eval mode what a batch norm was given cancels out
        first = torch.randint(0, 256, (4, CROP_SIZE, CROP_SIZE, 3), generator=torch.Generator().manual_seed(0))
        warm_start(net, model, "net.", lambda: net(first, 1))
        fold_all(net.eval())
        self.encoder, self.landmarks = net.encoder, net.landmarks
        self.requires_grad_(False)

    def forward(self, pictures: Tensor) -> Seen:
        """Look at normalised pictures (N, 3, S, S), enlarged to the engine's 128 px as the runtime does."""
        size = (CROP_SIZE, CROP_SIZE)
        if pictures.shape[-1] != CROP_SIZE:
            pictures = F.interpolate(pictures, size=size, mode="bilinear", align_corners=False)
        _, f4, _, shared = self.encoder(pictures.contiguous(memory_format=torch.channels_last))
        points, heat = self.landmarks(shared)
        return Seen(f4, shared, torch.softmax(heat.flatten(2), 2), points)


def pixel_loss(made: Tensor, truth: Tensor) -> Tensor:
    """Mean squared error (equation 2) of normalised pictures, in units of a tenth of the grey range."""
    return F.mse_loss(made, truth) * (SPREAD / 25.5) ** 2


def perceptual_loss(made: Seen, truth: Seen) -> Tensor:
    """Mean squared error of the encoder's features (equation 3), each over the truth's own mean square."""
    terms = []
    for name in ("f4", "shared"):
        a, b = getattr(made, name).float(), getattr(truth, name).float()
        terms.append(F.mse_loss(a, b) / b.square().mean().clamp(min=1e-6))
    return torch.stack(terms).mean()


def heat_loss(made: Seen, truth: Seen) -> Tensor:
    """Squared error of the heat maps (equation 4), summed over cells; our points are expectations over map and
    offsets, so their distance in half crop sides (L1) counts too."""
    maps = (made.heat - truth.heat).square().sum(2).mean()
    return maps + POINTS_WEIGHT * (made.points - truth.points).abs().mean()


def critic_loss(critic: Critic, made: Tensor, truth: Tensor, penalty: float) -> Tensor:
    """What the critic minimises (equation 6): E[D(made)] - E[D(truth)] + penalty E[(|grad D(between)| - 1)^2]."""
    made, share = made.detach(), torch.rand(len(made), 1, 1, 1, device=made.device)
    between = (share * made + (1 - share) * truth).requires_grad_(True)
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    away = (gradient.flatten(1).norm(dim=1) - 1.0).square().mean()
    loss: Tensor = critic(made).mean() - critic(truth).mean() + penalty * away
    return loss


def generator_losses(
    made: Tensor, truth: Tensor, weights: Weights, judge: FrozenEngine | None, critic: Critic | None
) -> dict[str, Tensor]:
    """The weighted terms by name, of normalised pictures (N, 3, S, S).

    `judge` is needed for the perceptual and heat-map terms, `critic` for WGAN's; None = these are left out.
    """
    losses: dict[str, Tensor] = {}
    if weights.pixel:
        losses["pixel"] = weights.pixel * pixel_loss(made, truth)
    if judge is not None and (weights.perceptual or weights.heat):
        with torch.no_grad():
            wanted = judge(truth)
        seen = judge(made)
        if weights.perceptual:
            losses["perceptual"] = weights.perceptual * perceptual_loss(seen, wanted)
        if weights.heat:
            losses["heat"] = weights.heat * heat_loss(seen, wanted)
    if critic is not None and weights.gan:
        losses["gan"] = -weights.gan * critic(made).mean()
    return losses

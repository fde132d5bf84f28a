"""Training of the enhancer (Super-FAN, see nets.superfan): small spoilt faces to large clean ones.

As in the paper, the picture terms come first and the critic joins for the last part of the run: a generator that is
blurred but right is what WGAN can refine. A term whose weight is 0 is not computed, so an arm of an ablation costs
what it says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rtface.evaluate.metrics import psnr, ssim
from rtface.tasks.enhance import SCALE, SIZES
from rtface.train.data.corpus import Picture, read_corpus
from rtface.train.data.small import Pairs
from rtface.train.loop import (
    Run,
    RunConfig,
    Schedule,
    keeping,
    optimizer,
    pick_device,
    prefetch,
    prepare,
    read_checkpoint,
)
from rtface.train.nets.blocks import Normalise
from rtface.train.nets.superfan import Critic, SuperFan, to_pixels
from rtface.train.superfan_losses import FrozenEngine, Weights, critic_loss, generator_losses

FILES = ("landmarks", "parsing", "unlabelled", "points5")
SHIPPED = Path(__file__).parent.parent / "models" / "engine-iter1.onnx"
VALIDATED = 128  # pairs of the val split


@dataclass
class SuperFanConfig(RunConfig):
    """One training run of the enhancer."""

    batch: int = 32
    rate: float = 1e-3
    sizes: tuple[int, ...] = SIZES  # small sides in px; 16 is the paper's
    weights: Weights = field(default_factory=Weights)
    gan_at: float = 0.8  # share of the run at which the critic begins
    engine: Path = SHIPPED  # whose encoder and landmarks the losses look through


class AdversarialRun(Run):
    """A run with a critic, whose weights and optimiser lie beside `last.pt` in `critic.pt`."""

    def __init__(self, critic: Critic, rate: float, *args: Any) -> None:
        super().__init__(*args)
        self.critic = critic
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), rate, betas=(0.0, 0.9))

    def resume(self) -> bool:
        """As `Run.resume`; a critic that was not saved begins again."""
        resumed, path = super().resume(), self.folder / "critic.pt"
        if resumed and path.is_file():
            saved = read_checkpoint(path, ("net", "optimizer"))
            self.critic.load_state_dict(saved["net"])
            self.critic_optimizer.load_state_dict(saved["optimizer"])
        return resumed

    def save(self) -> None:
        """As `Run.save`, and the critic."""
        super().save()
        part = self.folder / "critic.part"
        torch.save({"net": self.critic.state_dict(), "optimizer": self.critic_optimizer.state_dict()}, part)
        part.replace(self.folder / "critic.pt")

    def criticise(self, made: Tensor, truth: Tensor, penalty: float) -> None:
        """One step of the critic."""
        loss = critic_loss(self.critic, made, truth, penalty)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()


def train_superfan(config: SuperFanConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves.

    Raises:
        InputError: The corpus is missing or holds no face that is large enough.
        ModelError: `config.engine` is no exported engine, or the run's checkpoint is damaged.
    """
    prepare(config)
    device, weights = pick_device(config.device), config.weights
    files = [config.data / f"{name}.parquet" for name in FILES]
    pairs = Pairs(read_corpus(files, config.cache), config.sizes, config.batch, config.seed, SCALE)
    validation = read_corpus(files, config.cache, splits=("val",))
    judge = FrozenEngine(config.engine).to(device) if weights.perceptual or weights.heat else None

    net = SuperFan().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(config.rate, config.minutes, config.steps, warmup=100)
    run = AdversarialRun(Critic().to(device), 1e-4, config.run, net, optimizer(net, config.rate), schedule)
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    normalise, last_validation = Normalise(), run.seconds
    batches = prefetch(pairs)
    with keeping(run, batches):
        while run.progress < 1.0:
            small, large = (torch.from_numpy(part).to(device) for part in next(batches))
            truth = normalise(large)
            net.train()
            with torch.autocast(device.type, torch.bfloat16):
                made = net(small)
                critic = run.critic if weights.gan and run.progress >= config.gan_at else None
                losses = generator_losses(made.float(), truth, weights, judge, critic)
            run.update(losses, len(small))
            if critic is not None:
                run.criticise(made.float(), truth, weights.penalty)
            if run.seconds - last_validation > 60 * config.validate_minutes or run.progress >= 1.0:
                run.pause()
                run.report(validate(run, validation, config.sizes, device))
                run.save()
                run.unpause()
                last_validation = run.seconds
            elif run.step % 100 == 0:
                run.report()
    return run.checkpoint


@torch.no_grad()
def validate(run: Run, pictures: Sequence[Picture], sizes: Sequence[int], device: torch.device) -> dict[str, float]:
    """PSNR in dB and SSIM in per cent of the averaged weights on val pairs of the smallest size, and, as `plain_…`,
    of a bilinear enlargement."""
    net = SuperFan().to(device).eval()
    net.load_state_dict(run.ema.state)
    pairs = Pairs(pictures, (min(sizes),), min(VALIDATED, 8 * len(pictures)), 0, SCALE)
    small, large = pairs()
    made = torch.cat([to_pixels(net(part.to(device))).cpu() for part in torch.split(torch.from_numpy(small), 32)])
    side = large.shape[1]
    plain = [cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in small]
    figures: dict[str, float] = {}
    for name, shown in (("", made.round().to(torch.uint8).numpy()), ("plain_", plain)):
        rows = list(zip(shown, large, strict=True))
        figures[f"{name}psnr"] = float(np.mean([psnr(a, b) for a, b in rows]))
        figures[f"{name}ssim"] = 100.0 * float(np.mean([ssim(np.asarray(a), b) for a, b in rows]))
    return figures

"""Training of the enhancer (Super-FAN, see nets.superfan): small spoilt faces to large clean ones.

As in the paper, the picture terms come first and the critic joins for the last part of the run: a generator that is
blurred but right is what WGAN can refine. A term whose weight is 0 is not computed, so an arm of an ablation costs
what it says.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rtface.datasets.labelled import LabelledImage
from rtface.evaluate.metrics import psnr, ssim
from rtface.tasks.enhance import SCALE
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import SuperFanConfig
from rtface.train.data.degrade import Pairs
from rtface.train.data.pixel_cache import Picture, read_pictures
from rtface.train.init import initialize
from rtface.train.manifest import describe
from rtface.train.nets.blocks import Normalise
from rtface.train.nets.superfan import Critic, SuperFan, to_pixels
from rtface.train.open_set import note
from rtface.train.run import (
    Run,
    Schedule,
    autocast,
    load,
    optimizer,
    pick_device,
    prepare,
    read_checkpoint,
    run_session,
    write_checkpoint,
)
from rtface.train.sources import of_folder
from rtface.train.superfan_losses import FrozenEngine, Weights, critic_loss, generator_losses

VALIDATED = 128  # pairs of the val split


class AdversarialRun(Run):
    """A run with a critic, whose weights and optimiser lie beside `last.pt` in `critic.pt`."""

    def __init__(self, critic: Critic, rate: float, *args: Any) -> None:
        super().__init__(*args)
        self.critic = critic
        self.critic_optimizer = torch.optim.Adam(critic.parameters(), rate, betas=(0.0, 0.9))

    def resume(self) -> bool:
        """Go on where the run stopped, where it has a checkpoint; a critic that was not saved begins again."""
        resumed, path = super().resume(), self.folder / "critic.pt"
        if resumed and path.is_file():
            saved = read_checkpoint(path, ("net", "optimizer"))
            self.critic.load_state_dict(saved["net"])
            self.critic_optimizer.load_state_dict(saved["optimizer"])
        return resumed

    def save(self) -> None:
        """Write the checkpoint, and the critic beside it."""
        super().save()
        state = {"net": self.critic.state_dict(), "optimizer": self.critic_optimizer.state_dict()}
        write_checkpoint(self.folder / "critic.pt", state)

    def criticise(self, made: Tensor, truth: Tensor, penalty: float) -> None:
        """One step of the critic."""
        loss = critic_loss(self.critic, made, truth, penalty)
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.critic_optimizer.step()


def weights_of(config: SuperFanConfig) -> Weights:
    """Of the loss terms."""
    return Weights(config.pixel, config.perceptual, config.heat, config.gan)


def train_superfan(config: SuperFanConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves.

    Raises:
        InputError: The corpus is missing or holds no face that is large enough.
        ModelError: `config.engine` or `config.init` is not what it should be, or the run's checkpoint is damaged.
    """
    parallel.alone("superfan")
    return learn(config, *_pictures(config))


def learn(config: SuperFanConfig, pictures: Sequence[Picture], validation: Sequence[Picture]) -> Path:
    """`train_superfan` on pictures that were read already: every call of one seed sees the same pairs and begins with
    the same weights, whatever its losses."""
    prepare(config)
    device, weights = pick_device(config.device), weights_of(config)
    pairs = Pairs(pictures, config.sizes, config.batch, config.seed, SCALE, config.clean)

    net = SuperFan().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(config.rate, config.minutes, config.steps, warmup=100)
    run = AdversarialRun(Critic().to(device), 1e-4, config.run, net, optimizer(net, config.rate), schedule)
    judge = FrozenEngine(config.engine).to(device) if weights.perceptual or weights.heat else None
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    elif config.init is not None:
        initialize(net, config.init, lambda: net(torch.from_numpy(pairs(0)[0]).to(device)))
        run.ema.copy(net)
    if config.compile:
        compile_network(net, device)
    normalise = Normalise()
    batches = load(lambda number, _: pairs(number), run.step, lambda: None, config.workers)
    with run_session(run, batches):
        while run.progress < 1.0:
            small, large = (torch.from_numpy(part).to(device) for part in next(batches))
            truth = normalise(large)
            net.train()
            with autocast(device):
                made = net(small)
                critic = run.critic if weights.gan and run.progress >= config.gan_at else None
                losses = generator_losses(made.float(), truth, weights, judge, critic)
            run.update(losses, len(small))
            if critic is not None:
                run.criticise(made.float(), truth, weights.penalty)
            run.maybe_validate(config.validate_minutes, lambda: validate(run, validation, config.sizes, device))
    return run.checkpoint


def _pictures(config: SuperFanConfig) -> tuple[list[Picture], list[Picture]]:
    """Those to learn from, and those of the val splits."""
    sources = config.sources or of_folder(config.data, has_points)
    manifest = describe("enhancer", sources, has_points, init=config.init, engine=config.engine)
    note(manifest, config.run, config.only_open)
    learned: list[Picture] = []
    for one in sources:
        read = read_pictures(one.files, config.cache, one.splits, config.skip_bad)
        learned += [picture for picture in read if one.takes(picture.labels)]
    every = dict.fromkeys(file for one in sources for file in one.files)
    return learned, read_pictures(every, config.cache, ("val",), config.skip_bad) or learned


def has_points(row: LabelledImage) -> bool:
    """Whether a picture shows a face whose crop is known by its points."""
    return any(face.landmarks68 is not None or face.points5 is not None for face in row.faces)


@torch.no_grad()
def validate(run: Run, pictures: Sequence[Picture], sizes: Sequence[int], device: torch.device) -> dict[str, float]:
    """PSNR in dB and SSIM in per cent of the averaged weights on val pairs of the smallest size, and, as `plain_…`,
    of a bilinear enlargement."""
    net = SuperFan().to(device).eval()
    net.load_state_dict(run.ema.state)
    pairs = Pairs(pictures, (min(sizes),), min(VALIDATED, 8 * len(pictures)), 0, SCALE)
    small, large = pairs(0)
    made = torch.cat([to_pixels(net(part.to(device))).cpu() for part in torch.split(torch.from_numpy(small), 32)])
    side = large.shape[1]
    plain = [cv2.resize(one, (side, side), interpolation=cv2.INTER_LINEAR) for one in small]
    figures: dict[str, float] = {}
    for name, shown in (("", made.round().to(torch.uint8).numpy()), ("plain_", plain)):
        rows = list(zip(shown, large, strict=True))
        figures[f"{name}psnr"] = float(np.mean([psnr(a, b) for a, b in rows]))
        figures[f"{name}ssim"] = 100.0 * float(np.mean([ssim(np.asarray(a), b) for a, b in rows]))
    return figures

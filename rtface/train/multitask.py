"""Training of the multi-task engine (iFAN-style hybrid training, see nets.ifan).

Every step draws from each single-label set in turn and stacks the draws into one batch, so that one set of batch-norm
statistics serves every world the crop may come from; each decoder runs on the samples of its own task only. Resolution
grows 64 -> 96 -> 128 px (a third of the cost early). Interaction comes last, as the second of the paper's two stages:
re-encoders and integrator learn on top of a network that stays as it is, so that ITER 0 is what it was and further
rounds can only be added to it. With `joint` it is Algorithm 1 of the paper instead: the whole network learns on, from
every round's loss.

A run may begin with an exported network's weights (`init`), and may learn emotion from a teacher as well (`teacher`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from rtface.geometry.crop import SMALL_CROP_SIZE
from rtface.train import parallel
from rtface.train.association import association_losses
from rtface.train.compiling import compile_network
from rtface.train.config import EngineConfig
from rtface.train.data.faces import Augment
from rtface.train.data.mixed import Mixed, grouped_samples, mixed_samples
from rtface.train.data.samples import Sample, teaches
from rtface.train.init import initialize
from rtface.train.losses import Targets, engine_losses
from rtface.train.manifest import describe
from rtface.train.nets.emotion import SIZE, EmotionNet, load_teacher
from rtface.train.nets.ifan import EngineNet, Outputs, Rows
from rtface.train.nets.norms import TaskIds, TaskNorm, naming, reestimate, task_norms
from rtface.train.nets.registry import Network, build_engine
from rtface.train.open_set import note
from rtface.train.run import Run, Schedule, autocast, load, optimizer, pick_device, prepare, run_session
from rtface.train.sampling import MIX, TASKS, Sampler
from rtface.train.sources import of_folder
from rtface.train.validate import scores

VOTES_SHARE = 0.5  # of an FER+ crop's target, where a teacher gives the rest
MIXED_BATCHES = 8  # that the statistics of the mix are measured on
TAUGHT_WEIGHT = 0.3  # of a photograph's emotion, which only a teacher knows


def build_network(config: EngineConfig) -> tuple[Network, TaskIds | None]:
    """The network as configured, and what names its norms' tasks."""
    net = build_engine(config.network, config.residual, config.association, config.reencode)
    return net, task_norms(net.encoder, len(TASKS)) if config.task_norm else None


def train_engine(config: EngineConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves."""
    prepare(config)
    device = pick_device(config.device)
    with parallel.leader_first():
        mixed, validation = _data(config)
    if config.teacher is not None:
        distill(load_teacher(config.teacher).to(device), mixed.by_group("emotion"))
    return learn(config, mixed, validation)


def learn(config: EngineConfig, mixed: Mixed, validation: dict[str, list[Sample]]) -> Path:
    """`train_engine` on samples that are read already."""
    device = pick_device(config.device)
    sampler = Sampler(mixed.samples, config.batch, config.seed, mixed.shares)
    net, ids = build_network(config)
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(config.rate, config.minutes, config.steps, config.warmup)
    run = Run(config.run, net, optimizer(net, config.rate), schedule)
    sizes, grow_at = ((64, 96, 128), config.grow_at) if config.init is None else ((128,), ())
    if run.resume():
        parallel.tell(f"going on from step {run.step} of {run.checkpoint}")
    elif config.init is not None:
        initialize(net, config.init, lambda: _first_pass(net, mixed, device))
        run.ema.copy(net)
    fixed = _compiled(net, sampler, device) if config.compile else None
    size, frozen = sizes[0], False

    def size_of_next() -> int:
        small = size == sizes[-1] and every_share(run.step, config.small_share)
        return SMALL_CROP_SIZE if small else size

    batches = load(sampler, run.step, size_of_next, config.workers, pinned=device.type == "cuda")

    def measure() -> dict[str, float]:
        if ids is not None:
            measure_mix(run, config, _crops(batches, device))
        return validate(run, validation, device, size, config)

    with run_session(run, batches):
        while run.progress < 1.0:
            size = sizes[sum(run.progress >= share for share in grow_at)]
            iterations = config.iterations if run.progress >= config.interact_at else 0
            net.train()
            if iterations and not config.joint:
                net.freeze_base()
                if ids is not None:  # the interaction learns on what one pass will give it
                    measure_mix(run, config, _crops(batches, device))
                    ids = None
                if not frozen:  # from here on the base's statistics are used: the same ones everywhere
                    parallel.share(net)
                    frozen = True
            images, targets = next(batches)
            rows, targets = fixed or targets.rows(), targets.to(device)
            with autocast(device), naming(ids, targets.task):
                rounds = net(images.to(device, non_blocking=True), iterations, rows=rows)
            run.update(_losses(net, rounds, targets, iterations > 0 and not config.joint), len(images))
            run.maybe_validate(config.validate_minutes, measure)
    return run.checkpoint


def _compiled(net: Network, sampler: Sampler, device: torch.device) -> Rows:
    """Compile the network, and say which rows its decoders see in every batch."""
    compile_network(net, device)
    return sampler.rows()


def every_share(step: int, share: float) -> bool:
    """Whether this step is one of the `share` (0..1) of all steps, evenly spread."""
    return int((step + 1) * share) > int(step * share)


def _losses(net: Network, rounds: list[Outputs], targets: Targets, frozen: bool) -> dict[str, torch.Tensor]:
    """Every round's losses; without ITER 0's, and without what only it could learn from, where it is frozen."""
    losses = engine_losses(rounds[frozen:], targets)
    if isinstance(net, EngineNet) and net.association is not None and not frozen:
        losses |= association_losses(rounds[-1], targets, net.association)
    return losses


def _crops(batches: Iterator[tuple[torch.Tensor, Targets]], device: torch.device) -> list[torch.Tensor]:
    return [next(batches)[0].to(device) for _ in range(MIXED_BATCHES)]


def measure_mix(run: Run, config: EngineConfig, batches: Sequence[torch.Tensor]) -> None:
    """Give the averaged weights, and the run's own, the statistics of mixed batches, with which one pass serves all."""
    net = averaged(run.ema.state, config, batches[0].device)[0]
    reestimate(net, batches)
    names = [name for name, module in net.named_modules() if isinstance(module, TaskNorm)]
    state = net.state_dict()
    measured = {key: state[key] for name in names for key in (f"{name}.running_mean", f"{name}.running_var")}
    run.ema.state |= {name: value.clone() for name, value in measured.items()}
    run.net.load_state_dict(measured, strict=False)


def averaged(
    state: Mapping[str, torch.Tensor], config: EngineConfig, device: torch.device
) -> tuple[Network, TaskIds | None]:
    """A run's averaged weights as a network in eval mode, and what names its norms' tasks."""
    net, ids = build_network(config)
    net.load_state_dict(state)
    return net.to(device).eval(), ids


def _data(config: EngineConfig) -> tuple[Mixed, dict[str, list[Sample]]]:
    """What is drawn from, and the samples to validate on by group."""
    sources = config.sources or of_folder(config.data, teaches)
    learned = describe("multitask", sources, teaches, init=config.init, teacher=config.teacher)
    note(learned, config.run, config.only_open)
    validation = grouped_samples(sources, config.cache, ("val",), config.skip_bad)
    if not config.sources:
        return Mixed(grouped_samples(sources, config.cache, skip_bad=config.skip_bad), MIX), validation
    mixed = mixed_samples(sources, config.cache, config.skip_bad)
    parallel.tell(mixed.table())
    return mixed, validation


def _first_pass(net: Network, mixed: Mixed, device: torch.device) -> None:
    """One varied batch through every part."""
    images, targets = Sampler(mixed.samples, 256, seed=0, shares=mixed.shares)(0)
    net(images.to(device), 0, rows=targets.rows())
    net(images[:64].to(device), 1)


@torch.no_grad()
def distill(teacher: EmotionNet, groups: dict[str, list[Sample]]) -> None:
    """Mix the teacher's probabilities into FER+'s votes, and give them to every photographed face."""
    device = next(teacher.parameters()).device
    augment = Augment(SIZE, np.random.default_rng(0), strength=0.0)
    for group in ("emotion", "landmarks", "parsing", "faces", "five"):
        samples = [s for s in groups.get(group, []) if s.is_face]
        for start in range(0, len(samples), 256):
            some = samples[start : start + 256]
            images = torch.from_numpy(np.stack([augment(s).image for s in some])).to(device)
            logits = teacher(images) + teacher(images.flip(2))
            for sample, told in zip(some, torch.softmax(0.5 * logits, 1).cpu().numpy(), strict=True):
                if sample.emotion is None:
                    sample.emotion, sample.emotion_weight = told, TAUGHT_WEIGHT
                else:
                    sample.emotion = VOTES_SHARE * sample.emotion + (1 - VOTES_SHARE) * told


@torch.no_grad()
def validate(
    run: Run, groups: dict[str, list[Sample]], device: torch.device, size: int, config: EngineConfig
) -> dict[str, float]:
    """Averaged weights on clean crops of `size` px after every round: quick figures to steer by, in per cent."""
    return scores(averaged(run.ema.state, config, device)[0], groups, size, config.iterations)

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

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from rtface.errors import InputError
from rtface.train.association import association_losses
from rtface.train.data.corpus import read_corpus
from rtface.train.data.faces import Augment, Item, Sample, build_samples
from rtface.train.data.mixed import Mixed, mixed_samples, validation_samples
from rtface.train.loop import Run, RunConfig, Schedule, keeping, optimizer, pick_device, prefetch, prepare
from rtface.train.losses import COMPONENTS, FIVE_OF_68, IGNORE, Targets, engine_losses
from rtface.train.nets.build import Network, build_engine, check_parts
from rtface.train.nets.emotion import SIZE, EmotionNet, load_teacher
from rtface.train.nets.ifan import SUB, EngineNet, Outputs
from rtface.train.nets.norms import TaskIds, TaskNorm, naming, reestimate, task_norms

FILES = ("landmarks", "video_landmarks", "parsing", "unlabelled", "points5", "emotion", "negatives")
# Draws a step from each set, of 64. FER+ needs most passes; 68 points by hand are few and strongly varied.
MIX = {"landmarks": 16, "video": 3, "parsing": 12, "faces": 7, "five": 4, "emotion": 19, "negative": 3}
TASKS = ("landmarks", "parsing", "emotion")  # of iFAN; each with its batch norm statistics where `task_norm` is on
TASK_OF = {"parsing": 1, "emotion": 2, "negative": 2}  # by set; the others' is landmarks
VOTES_SHARE = 0.5  # of an FER+ crop's target, where a teacher gives the rest
MIXED_BATCHES = 8  # that the statistics of the mix are measured on
TAUGHT_WEIGHT = 0.3  # of a photograph's emotion, which only a teacher knows


@dataclass
class EngineConfig(RunConfig):
    """One training run of the engine."""

    grow_at: tuple[float, float] = (0.22, 0.42)  # shares of the run at which 96 and 128 px begin
    interact_at: float = 0.88
    init: Path | None = None  # an exported ONNX file to begin with, at 128 px at once
    teacher: Path | None = None  # a checkpoint of `rtface train teacher`
    network: str = "fast"  # or ifan-paper
    iterations: int = 1  # rounds of interaction from `interact_at` on
    joint: bool = False  # the whole network learns then, not the interaction alone
    residual: bool = False  # RMT-Net's corrections
    association: bool = False  # RMT-Net's stand-ins for missing labels
    reencode: bool = True  # False: predictions go back unencoded
    task_norm: bool = False  # batch norm statistics by task in the encoder, measured on the mix at the end
    warmup: int = 300  # steps

    def __post_init__(self) -> None:
        """Raises OptionError, before any data is read, for a network or part that there is not."""
        check_parts(self.network, self.residual, self.association, self.reencode)

    def build(self) -> tuple[Network, TaskIds | None]:
        """The network as configured, and what names its norms' tasks."""
        net = build_engine(self.network, self.residual, self.association, self.reencode)
        return net, task_norms(net.encoder, len(TASKS)) if self.task_norm else None


class Sampler:
    """Draws augmented batches: a fixed share from every set, each shuffled through before it repeats."""

    def __init__(
        self, groups: Mapping[str, list[Sample]], batch: int, seed: int, shares: Mapping[str, float] = MIX
    ) -> None:
        self.groups = {g: s for g, s in groups.items() if g in shares}
        if not self.groups:
            raise InputError("nothing to train on", "the corpus holds no labelled faces", "Check --data")
        total = sum(shares[g] for g in self.groups)
        self.counts = {g: max(1, round(batch * shares[g] / total)) for g in self.groups}
        self.rng = np.random.default_rng(seed)
        self.orders: dict[str, list[int]] = {g: [] for g in self.groups}
        self.weights = {g: _rarity(s) for g, s in self.groups.items()}
        self.size = 64

    def __call__(self) -> tuple[torch.Tensor, Targets]:
        augment = Augment(self.size, self.rng)
        return collate([augment(s) for g, n in self.counts.items() for s in self._draw(g, n)])

    def tasks(self) -> torch.Tensor:
        """Which of `TASKS` each row of a batch is of."""
        return torch.tensor([TASK_OF.get(self.groups[g][0].group, 0) for g, n in self.counts.items() for _ in range(n)])

    def _draw(self, group: str, count: int) -> list[Sample]:
        samples, order = self.groups[group], self.orders[group]
        while len(order) < count:  # a set may be smaller than its part of a batch
            weights = self.weights[group]
            order += self.rng.choice(len(samples), len(samples), p=weights, replace=weights is not None).tolist()
        picked, self.orders[group] = order[:count], order[count:]
        return [samples[i] for i in picked]


def _rarity(samples: Sequence[Sample]) -> npt.NDArray[np.float64] | None:
    """Draw probability by the inverse fourth root of the majority emotion's frequency; the mean for samples without
    votes; None where no sample has any."""
    voted = np.array([s.group == "emotion" and s.emotion is not None for s in samples])
    if not voted.any():
        return None
    labels = np.array([int(s.emotion.argmax()) for s in samples if s.group == "emotion" and s.emotion is not None])
    rare = np.bincount(labels, minlength=8).clip(min=1).astype(np.float64)[labels] ** -0.25
    weight = np.full(len(samples), rare.mean())
    weight[voted] = rare
    chance: npt.NDArray[np.float64] = weight / weight.sum()
    return chance


def collate(items: Sequence[Item]) -> tuple[torch.Tensor, Targets]:
    """Crops (N, S, S, 3) uint8 and their targets."""

    def stack(name: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.as_tensor(np.stack([np.asarray(getattr(i, name)) for i in items])).to(dtype)

    targets = Targets(
        landmarks=stack("landmarks"),
        landmark_weight=stack("landmark_weight"),
        five=stack("five"),
        five_weight=stack("five_weight"),
        parsing=stack("parsing", torch.uint8),
        coarse_parsing=stack("coarse_parsing", torch.bool),
        pose=stack("pose"),
        pose_weight=stack("pose_weight"),
        emotion=stack("emotion"),
        emotion_weight=stack("emotion_weight"),
        is_face=stack("is_face"),
    )
    return torch.from_numpy(np.stack([i.image for i in items])), targets


def train_engine(config: EngineConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves."""
    prepare(config)
    device = pick_device(config.device)
    mixed, validation = _data(config)
    if config.teacher is not None:
        learn_from(load_teacher(config.teacher).to(device), mixed.by_group("emotion"))
    return learn(config, mixed, validation)


def learn(config: EngineConfig, mixed: Mixed, validation: dict[str, list[Sample]]) -> Path:
    """`train_engine` on samples that are read already."""
    device = pick_device(config.device)
    sampler = Sampler(mixed.samples, config.batch, config.seed, mixed.shares)
    net, ids = config.build()
    net = net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    schedule = Schedule(config.rate, config.minutes, config.steps, config.warmup)
    run = Run(config.run, net, optimizer(net, config.rate), schedule)
    sizes, grow_at = ((64, 96, 128), config.grow_at) if config.init is None else ((128,), ())
    if run.resume():
        print(f"going on from step {run.step} of {run.checkpoint}", file=sys.stderr)
    elif config.init is not None:
        _begin_with(net, config.init, mixed, device)
        run.ema.copy(net)
    last_validation = run.seconds
    batches = prefetch(sampler)
    with keeping(run, batches):
        while run.progress < 1.0:
            sampler.size = sizes[sum(run.progress >= share for share in grow_at)]
            images, targets = next(batches)
            iterations = config.iterations if run.progress >= config.interact_at else 0
            net.train()
            if iterations and not config.joint:
                net.freeze_base()
            with torch.autocast(device.type, torch.bfloat16), naming(ids, sampler.tasks()):
                rounds = net(images.to(device), iterations, rows=targets.rows())
            frozen = iterations > 0 and not config.joint  # ITER 0 no longer learns by then
            losses = engine_losses(rounds[frozen:], targets.to(device))
            if isinstance(net, EngineNet) and net.association is not None and not frozen:
                losses |= association_losses(rounds[-1], targets.to(device), net.association)
            run.update(losses, len(images))
            if run.seconds - last_validation > 60 * config.validate_minutes or run.progress >= 1.0:
                run.pause()
                if ids is not None:
                    measure_mix(run, config, [next(batches)[0].to(device) for _ in range(MIXED_BATCHES)])
                run.report(validate(run, validation, device, sampler.size, config))
                run.save()
                run.unpause()
                last_validation = run.seconds
            elif run.step % 100 == 0:
                run.report()
    return run.checkpoint


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
    net, ids = config.build()
    net.load_state_dict(state)
    return net.to(device).eval(), ids


def _data(config: EngineConfig) -> tuple[Mixed, dict[str, list[Sample]]]:
    """What is drawn from, and the samples to validate on by group."""
    if config.sources:
        mixed = mixed_samples(config.sources, config.cache)
        print(mixed.table(), file=sys.stderr)
        return mixed, validation_samples(config.sources, config.cache)
    files = [config.data / f"{name}.parquet" for name in FILES]
    mixed = Mixed(build_samples(read_corpus(files, config.cache)), MIX)
    return mixed, build_samples(read_corpus(files, config.cache, splits=("val",)))


def _begin_with(net: Network, model: Path, mixed: Mixed, device: torch.device) -> None:
    from rtface.train.warm import warm_start  # needs onnx, which training alone does not

    first = Sampler(mixed.samples, 256, seed=0, shares=mixed.shares)
    first.size = 128
    images, targets = first()

    def run() -> None:
        net(images.to(device), 0, rows=targets.rows())
        net(images[:64].to(device), 1)

    warm_start(net, model, "net.", run)


@torch.no_grad()
def learn_from(teacher: EmotionNet, groups: dict[str, list[Sample]]) -> None:
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


@torch.no_grad()
def scores(
    net: Network, groups: dict[str, list[Sample]], size: int, iterations: int, ids: TaskIds | None = None
) -> dict[str, float]:
    """Scores by set and round (landmarks0, landmarks1 ...) of a network in eval mode, in per cent.

    With `ids`, each set's crops are normalised by their own task's statistics.
    """
    device = next(net.parameters()).device
    augment = Augment(size, np.random.default_rng(0), strength=0.0)
    metrics: dict[str, float] = {}
    for name, (count, score) in _SCORES.items():
        samples = groups.get(name, [])[:count]
        sums = np.zeros((iterations + 1, 2))  # by rounds of interaction: sum of scores, what it is over
        for start in range(0, len(samples), 50):
            images, targets = collate([augment(s) for s in samples[start : start + 50]])
            tasks = torch.full((len(images),), TASK_OF.get(name, 0))
            with torch.autocast(device.type, torch.bfloat16), naming(ids, tasks):
                rounds = net(images.to(device), iterations)
            for i, out in enumerate(rounds):
                sums[i] += score(out, targets.to(device))
        if samples:
            metrics |= {f"{name}{i}": 100.0 * float(total / over) for i, (total, over) in enumerate(sums)}
    return metrics


# A score of a batch: its sum and what the sum is over.
_Score = Callable[[Outputs, Targets], tuple[float, int]]


def _score_landmarks(out: Outputs, t: Targets) -> tuple[float, int]:
    """Mean point error over the distance of the outer eye corners, summed over faces."""
    ocular = (t.landmarks[:, 36] - t.landmarks[:, 45]).norm(dim=1)
    error = (out.points - t.landmarks).norm(dim=2).mean(1) / ocular
    return float(error.sum()), len(error)


def _score_five(out: Outputs, t: Targets) -> tuple[float, int]:
    """Mean error of five points over the distance of the eye centres, summed over faces."""
    five = torch.einsum("pk,nkc->npc", FIVE_OF_68.to(out.points.device), out.points)
    ocular = (t.five[:, 0] - t.five[:, 1]).norm(dim=1)
    error = (five - t.five).norm(dim=2).mean(1) / ocular
    return float(error.sum()), len(error)


def _score_parsing(out: Outputs, t: Targets) -> tuple[float, int]:
    """Mean F of the component classes, each batch weighted alike."""
    prediction = F.pixel_shuffle(out.parsing_logits, SUB).argmax(1)
    known = t.parsing != IGNORE
    scores = []
    for c in COMPONENTS:
        p, q = (prediction == c) & known, t.parsing == c
        scores.append(2 * float((p & q).sum()) / max(float(p.sum() + q.sum()), 1.0))
    return float(np.mean(scores)), 1


def _score_emotion(out: Outputs, t: Targets) -> tuple[float, int]:
    """Faces whose likeliest emotion has most votes."""
    right = out.emotion_logits.argmax(1) == t.emotion.argmax(1)
    return float(right.sum()), len(right)


_SCORES: dict[str, tuple[int, _Score]] = {  # by group: how many samples, scored how
    "landmarks": (400, _score_landmarks),
    "parsing": (80, _score_parsing),
    "emotion": (1200, _score_emotion),
    "five": (300, _score_five),
}

"""Training of the MOS-style detector with online feedback sampling (MOS, section 3.4).

After each step two signals steer what the next batches hold: when small faces carry too little of the loss, the next
batch is a small-face stitch; else it may replay scenes in which the net just saw faces that are not there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rtface.datasets.labelled import LabelledImage
from rtface.errors import UsageError
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import DetectorConfig
from rtface.train.data.mixed import mixed_scenes
from rtface.train.data.pixel_cache import read_pictures
from rtface.train.data.scene_sources import build_sources
from rtface.train.data.scenes import Scene, SceneMaker
from rtface.train.detection_losses import Truth, UncertaintyWeights, detection_losses
from rtface.train.init import initialize
from rtface.train.manifest import describe
from rtface.train.nets.mos import DetectorNet, cells, decode
from rtface.train.open_set import note
from rtface.train.run import Run, Schedule, autocast, pick_device, prefetch, prepare, run_session
from rtface.train.sources import of_folder

SMALL_SHARE = 0.3  # below it, small faces get a batch of their own
UNDECAYED = ("weights.log_variance", "head.alpha")
FALSE_SCORE = 0.4  # a trusted background cell above it makes its scene a hard one


class Feedback:
    """Turns the last step's losses into the next batch's make-up."""

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled
        self.want_small = False
        self.hard: deque[Scene] = deque(maxlen=192)

    def update(self, small_share: float, false_score: Sequence[float], scenes: Sequence[Scene]) -> None:
        """`small_share` of the positive loss lay on small faces; `false_score`: the worst false one of each scene."""
        if not self.enabled:
            return
        self.want_small = small_share < SMALL_SHARE
        self.hard.extend(scene for scene, score in zip(scenes, false_score, strict=True) if score > FALSE_SCORE)


class Batches:
    """Makes batches of scenes as the feedback asks; called from the prefetching thread."""

    def __init__(self, maker: SceneMaker, batch: int, feedback: Feedback) -> None:
        self.maker, self.batch, self.feedback = maker, batch, feedback
        self.closing = False

    def __call__(self) -> tuple[torch.Tensor, Truth, list[Scene]]:
        # read once a batch: the training thread may change them while the batch is made
        self.maker.closing, self.maker.small = self.closing, self.feedback.want_small
        scenes = [self.maker() for _ in range(self.batch)]
        if not self.maker.small and self.feedback.hard:
            hard = list(self.feedback.hard)
            for slot in range(self.batch // 4):
                replay = hard[int(self.maker.rng.integers(len(hard)))]
                if replay.image.shape == scenes[slot].image.shape:
                    scenes[slot] = replay
        return (*collate(scenes), scenes)


def collate(scenes: Sequence[Scene]) -> tuple[torch.Tensor, Truth]:
    """Images (N, S, S, 3) uint8 and their labels as flat lists."""
    size = scenes[0].image.shape[0]
    faces = [(i, row) for i, s in enumerate(scenes) for row in s.faces]
    ignored = [(i, box) for i, s in enumerate(scenes) for box in s.ignore]
    rows = torch.from_numpy(np.stack([r for _, r in faces])) if faces else torch.zeros(0, 19)
    trusted = torch.from_numpy(np.stack([s.trusted for s in scenes]))
    levels = [trusted[:, k // 2 :: k, k // 2 :: k][:, : size // (8 * k), : size // (8 * k)] for k in (1, 2, 4)]
    truth = Truth(
        picture=torch.tensor([i for i, _ in faces], dtype=torch.long),
        boxes=rows[:, :4],
        points=rows[:, 4:14],
        pose=rows[:, 14:17],
        box_weight=rows[:, 17],
        sure=rows[:, 18],
        ignore_picture=torch.tensor([i for i, _ in ignored], dtype=torch.long),
        ignore=torch.from_numpy(np.stack([b for _, b in ignored])) if ignored else torch.zeros(0, 4),
        trusted=torch.cat([x.flatten(1) for x in levels], 1),
    )
    return torch.from_numpy(np.stack([s.image for s in scenes])), truth


def train_detector(config: DetectorConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves."""
    prepare(config)
    pick_device(config.device)  # a wrong name is said before minutes of reading
    if config.freeze and config.init is None:
        raise UsageError("--freeze", "keeps layers as they are, which are random at first", "Add --init")
    sources = config.sources or of_folder(config.data, has_boxes)
    with parallel.leader_first():
        note(describe("detector", sources, has_boxes, init=config.init), config.run, config.only_open)
    # Scenes are drawn, not numbered: processes that train together draw each its own.
    rng = np.random.default_rng((config.seed, parallel.team().rank) if parallel.team().rank else config.seed)
    if config.sources:
        with parallel.leader_first():
            groups, shares = mixed_scenes(config.sources, config.cache)
        return learn(config, SceneMaker(groups, 256, rng, shares))
    files = [file for source in sources for file in source.files]
    with parallel.leader_first():
        pictures = read_pictures(files, config.cache, skip_bad=config.skip_bad)
    boxed = [picture for picture in pictures if picture.labels.emotion_votes is None]
    return learn(config, SceneMaker(build_sources(boxed), 256, rng))


def has_boxes(row: LabelledImage) -> bool:
    """Whether the detector can learn from a picture: it has faces with boxes or five points, or shows none.

    The box of a crop with an emotion is the crop's.
    """
    if row.emotion_votes is not None:
        return False
    known = any(face.box_xyxy is not None or face.points5 is not None for face in row.faces)
    return known or not (row.faces or len(row.ignore_xyxy))


def learn(config: DetectorConfig, maker: SceneMaker) -> Path:
    """`train_detector` on scenes made of pictures that are read already."""
    device = pick_device(config.device)
    feedback = Feedback(config.feedback)

    net = DetectorNet(cross_stitch=config.cross_stitch).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    weights = UncertaintyWeights(config.uncertainty).to(device)
    trained = torch.nn.ModuleDict({"net": net, "weights": weights})
    schedule = Schedule(config.rate, config.minutes, config.steps, config.warmup, end=0.0)
    run = Run(config.run, trained, optimizer(trained, config.rate), schedule)
    if run.resume():
        parallel.tell(f"going on from step {run.step} of {run.checkpoint}")
    make = Batches(maker, config.batch, feedback)
    if run.step == 0 and config.init is not None:
        whole = trained if config.init.suffix == ".pt" else net  # a run's averages have the task weights too
        initialize(whole, config.init, lambda: net(make()[0].to(device)))
        run.ema.copy(trained)
    if config.freeze:
        net.backbone.freeze_stem()
    if config.compile:
        compile_network(net, device)
    batches = prefetch(make, depth=1)  # what feedback asks for comes two batches later, not four
    with run_session(run, batches):
        while run.progress < 1.0:
            make.closing = run.progress >= config.grow_at
            images, truth, scenes = next(batches)
            centres, strides = cells(images.shape[1], images.shape[2], device)
            net.train()
            with autocast(device):
                raw = net(images.to(device))
            out = decode(raw, centres, strides)
            losses, small_share, false_score = detection_losses(out, truth.to(device), centres, strides)
            run.update(weights(losses), len(images))
            feedback.update(small_share, false_score.tolist(), scenes)
            if run.step % 100 == 0 or run.progress >= 1.0:
                extra = {k: float(v.detach()) for k, v in losses.items()} | {"small": small_share}
                run.report({f"raw_{k}": v for k, v in extra.items()} | {"hard": float(len(feedback.hard))})
    return run.checkpoint


def optimizer(trained: torch.nn.Module, rate: float) -> torch.optim.Optimizer:
    """AdamW; weights decay. Task weights, cross-stitch weights, biases and batch norms do not: pulled towards 0, a
    log variance would forget its task's scale, a stitch its 0.9 / 0.1, a norm its features."""
    parameters = {name: p for name, p in trained.named_parameters() if p.requires_grad}
    free = {name for name, p in parameters.items() if p.ndim <= 1 or name.endswith(UNDECAYED)}
    groups = [
        {"params": [p for name, p in parameters.items() if name not in free], "weight_decay": 0.02},
        {"params": [p for name, p in parameters.items() if name in free], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=rate)

"""Training of the emotion teacher (see nets.emotion) on FER+ at its own size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from rtface.datasets.labelled import LabelledImage
from rtface.train import parallel
from rtface.train.compiling import compile_network
from rtface.train.config import TeacherConfig
from rtface.train.data.faces import Augment
from rtface.train.data.mixed import Mixed, grouped_samples, mixed_samples
from rtface.train.data.samples import Sample
from rtface.train.manifest import describe
from rtface.train.nets.emotion import SIZE, EmotionNet
from rtface.train.open_set import note
from rtface.train.run import Run, Schedule, autocast, load, optimizer, pick_device, prepare, run_session
from rtface.train.sampling import Sampler, collate
from rtface.train.sources import of_folder


def train_teacher(config: TeacherConfig) -> Path:
    """Train (or go on training) and return the checkpoint. Ctrl-C saves before it leaves."""
    prepare(config)
    device = pick_device(config.device)
    with parallel.leader_first():
        mixed, validation = _data(config)
    sampler = Sampler(mixed.samples, config.batch, config.seed, mixed.shares)

    net = EmotionNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = Run(config.run, net, optimizer(net, config.rate, 0.05), Schedule(config.rate, config.minutes, config.steps))
    if run.resume():
        parallel.tell(f"going on from step {run.step} of {run.checkpoint}")
    if config.compile:
        compile_network(net, device)
    batches = load(sampler, run.step, lambda: SIZE, config.workers, pinned=device.type == "cuda")
    with run_session(run, batches):
        while run.progress < 1.0:
            images, targets = next(batches)
            net.train()
            with autocast(device):
                logits = net(images.to(device))
            loss = -(targets.emotion.to(device) * F.log_softmax(logits.float(), 1)).sum(1).mean()
            run.update({"emotion": loss}, len(images))
            run.maybe_validate(config.validate_minutes, lambda: validate(run, validation, device))
    return run.checkpoint


def _data(config: TeacherConfig) -> tuple[Mixed, list[Sample]]:
    """What is drawn from, and the samples to validate on, which may be none."""
    sources = config.sources or of_folder(config.data, has_votes)
    note(describe("teacher", sources, has_votes), config.run, config.only_open)
    mixed = mixed_samples(sources, config.cache, config.skip_bad).of_group("emotion")
    parallel.tell(mixed.table())
    return mixed, grouped_samples(sources, config.cache, ("val",), config.skip_bad).get("emotion", [])


def has_votes(row: LabelledImage) -> bool:
    """Whether a picture has an emotion."""
    return row.emotion_votes is not None


@torch.no_grad()
def validate(run: Run, samples: list[Sample], device: torch.device) -> dict[str, float]:
    """Accuracy by majority vote and mean recall over the eight classes, per cent, of the averaged weights."""
    if not samples:
        return {}
    net = EmotionNet().to(device).eval()
    net.load_state_dict(run.ema.state)
    augment = Augment(SIZE, np.random.default_rng(0), strength=0.0)
    hits = np.zeros((8, 8))
    for start in range(0, len(samples), 200):
        images, targets = collate([augment(s) for s in samples[start : start + 200]])
        with autocast(device):
            told = (net(images.to(device)) + net(images.flip(2).to(device))).argmax(1).cpu()
        np.add.at(hits, (targets.emotion.argmax(1).numpy(), told.numpy()), 1)
    recall = np.diag(hits) / hits.sum(1).clip(min=1)
    return {"accuracy": 100 * float(np.trace(hits) / hits.sum()), "recall": 100 * float(recall.mean())}

"""The arms of the ablation: how each is trained under one budget, and how it is scored."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.enhancer_arms import ENHANCER_ARMS, WIDTH, EnhancerBench
from rtface.evaluate.detection import MIN_HEIGHTS_PX, match_detections
from rtface.evaluate.metrics import average_precision
from rtface.geometry.boxes import nms
from rtface.train import detector, multitask
from rtface.train.config import DetectorConfig, EngineConfig
from rtface.train.data.mixed import Mixed
from rtface.train.data.pixel_cache import Picture, read_pictures
from rtface.train.data.samples import Sample, build_samples
from rtface.train.data.scene_sources import SourcePicture, build_sources
from rtface.train.data.scenes import SceneMaker
from rtface.train.export import load_detector
from rtface.train.nets.blocks import count_parameters
from rtface.train.nets.mos import DetectorNet, cells, decode
from rtface.train.run import autocast, read_checkpoint
from rtface.train.sampling import MIX, Sampler
from rtface.train.validate import scores

Scores = dict[str, float]
DETECTOR_FILES = ("detection", "landmarks", "parsing", "unlabelled", "points5", "negatives")
MULTITASK_FILES = ("landmarks", "video_landmarks", "parsing", "unlabelled", "points5", "emotion", "negatives")
NEVER = 2.0  # a share of the run that is not reached
JOINT: dict[str, Any] = {"joint": True, "interact_at": 0.5}

# what differs from the plain multi-task network (iter0)
ENGINE_ARMS: dict[str, dict[str, Any]] = {
    "iter0": {},
    "iter1": JOINT,
    "residual": {"residual": True},
    "association": {"association": True},
    "task-norm": {"task_norm": True},
    "iter0-seed1": {"seed": 1},
    "iter1-no-reencoders": {**JOINT, "reencode": False},
    "single-landmarks": {},
    "single-parsing": {},
    "single-emotion": {},
    "residual+association": {"residual": True, "association": True},
    "iter2": {**JOINT, "iterations": 2},
    "iter3": {**JOINT, "iterations": 3},
    "paper-iter0": {"network": "ifan-paper"},
    "paper-iter1": {**JOINT, "network": "ifan-paper"},
}
# what differs from the detector with all three ideas
DETECTOR_ARMS: dict[str, dict[str, Any]] = {
    "mos": {},
    "no-cross-stitch": {"cross_stitch": False},
    "no-uncertainty": {"uncertainty": False},
    "no-feedback": {"feedback": False},
    "mos-seed1": {"seed": 1},
}
ARMS = (*ENGINE_ARMS, *DETECTOR_ARMS, *ENHANCER_ARMS)
# a single task's sets: those whose label of it the plain network learns from too
SINGLE = {
    "landmarks": ("landmarks", "video", "faces", "five"),
    "parsing": ("landmarks", "parsing"),
    "emotion": ("emotion",),
}


@dataclass
class Budget:
    """What every arm gets: the same steps, pictures a step and seed; crops or scenes of one size."""

    steps: int
    batch: int
    detector_steps: int
    detector_batch: int
    enhancer_steps: int
    enhancer_batch: int
    seed: int = 0

    def of(self, arm: str) -> dict[str, int]:
        """What of it counts for an arm."""
        kind = "" if arm in ENGINE_ARMS else "detector_" if arm in DETECTOR_ARMS else "enhancer_"
        return {name: getattr(self, name) for name in (f"{kind}steps", f"{kind}batch", "seed")}


class Bench:
    """Data read once, and the training of an arm on it."""

    def __init__(self, data: Path, cache: Path, runs: Path, budget: Budget, threads: int) -> None:
        self.data, self.cache, self.runs, self.budget, self.threads = data, cache, runs, budget, threads

    def __call__(self, arm: str) -> dict[str, Any]:
        """Train an arm and score it: a record without the machine's facts.

        An arm that was interrupted goes on from its checkpoint.
        """
        wall, cpu = time.monotonic(), time.process_time()
        torch.manual_seed(self.budget.seed)
        torch.set_num_threads(self.threads)
        train = self._engine if arm in ENGINE_ARMS else self._detector if arm in DETECTOR_ARMS else self._enhancer
        record = train(arm)
        spent = {"seconds": round(time.monotonic() - wall, 1), "cpu_seconds": round(time.process_time() - cpu, 1)}
        return {"arm": arm, **record, **spent}

    def _folder(self, arm: str) -> Path:
        """The arm's run under this very budget: another budget's checkpoint is another run."""
        return self.runs / f"{arm}-{'-'.join(str(value) for value in self.budget.of(arm).values())}"

    # -- engine --

    @cached_property
    def _groups(self) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
        files = [self.data / f"{name}.parquet" for name in MULTITASK_FILES]
        train, val = (read_pictures(files, self.cache, s) for s in (("train", "unlabelled"), ("val",)))
        return build_samples(train), build_samples(val)

    def _engine(self, arm: str) -> dict[str, Any]:
        groups, validation = self._groups
        budget, changes = self.budget, {"seed": self.budget.seed, **ENGINE_ARMS[arm]}
        batch = budget.batch
        if arm.startswith("single-"):
            counts = Sampler(groups, batch, 0).counts
            groups = single_task(groups, arm.removeprefix("single-"))
            batch = sum(counts[name] for name in groups)  # as many of its own crops a step as in the mix
        plain = {"minutes": None, "interact_at": NEVER, "grow_at": (NEVER, NEVER), "warmup": max(1, budget.steps // 10)}
        settings = {**plain, "steps": budget.steps, "batch": batch, "validate_minutes": 1e6, "threads": self.threads}
        config = EngineConfig(self.data, self._folder(arm), self.cache, **(settings | changes))
        torch.manual_seed(config.seed)
        checkpoint = multitask.learn(config, Mixed(groups, MIX), {})
        net, ids = multitask.averaged(read_checkpoint(checkpoint, ("ema",))["ema"], config, torch.device("cpu"))
        rounds = config.iterations if config.interact_at < 1 else 0
        record = {"scores": scores(net, validation, 64, rounds), **_cost(net, (1, 128, 128, 3), rounds)}
        if ids is not None:
            record["scores_by_task_statistics"] = scores(net, validation, 64, rounds, ids)
        return {"network": "engine", "rounds": rounds, "seed": config.seed, "batch": batch, **record}

    # -- detector --

    @cached_property
    def _scenes(self) -> tuple[dict[str, list[SourcePicture]], list[Picture]]:
        files = [self.data / f"{name}.parquet" for name in DETECTOR_FILES]
        val = read_pictures([self.data / "detection.parquet"], self.cache, ("val",))
        return build_sources(read_pictures(files, self.cache)), [p for p in val if p.source == "wider"]

    def _detector(self, arm: str) -> dict[str, Any]:
        sources, validation = self._scenes
        budget, changes = self.budget, {"seed": self.budget.seed, **DETECTOR_ARMS[arm]}
        settings = {"minutes": None, "steps": budget.detector_steps, "batch": budget.detector_batch, "grow_at": NEVER}
        settings |= {"warmup": max(1, budget.detector_steps // 10), "validate_minutes": 1e6, "threads": self.threads}
        config = DetectorConfig(self.data, self._folder(arm), self.cache, **(settings | changes))
        torch.manual_seed(config.seed)
        maker = SceneMaker(sources, 256, np.random.default_rng(config.seed))
        net = load_detector(detector.learn(config, maker))
        found = score_detector(net, validation)
        common = {"network": "detector", "seed": config.seed, "batch": config.batch}
        return {**common, "scores": found, **_cost(net, (1, 256, 320, 3))}

    # -- enhancer --

    @cached_property
    def _enhancers(self) -> EnhancerBench:
        return EnhancerBench(
            self.data, self.cache, self.budget.enhancer_steps, self.budget.enhancer_batch, self.threads
        )

    def _enhancer(self, arm: str) -> dict[str, Any]:
        record, net = self._enhancers(arm, self._folder(arm), self.budget.seed)
        cost = {"parameters": 0, "m_multiply_adds": 0.0} if net is None else _cost(net, (1, WIDTH, WIDTH, 3))
        return record | cost


def _cost(net: torch.nn.Module, shape: tuple[int, ...], *arguments: int) -> dict[str, float]:
    """Parameters, and millions of multiply-adds for an input of this shape."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        net(torch.zeros(shape, dtype=torch.uint8), *arguments)
    return {"parameters": count_parameters(net), "m_multiply_adds": round(counter.get_total_flops() / 2e6, 1)}


def single_task(groups: Mapping[str, list[Sample]], task: str) -> dict[str, list[Sample]]:
    """The sets of one task with its labels only."""
    kept = SINGLE[task]
    return {name: [_strip(s, task) for s in groups[name]] for name in kept if name in groups}


def _strip(sample: Sample, task: str) -> Sample:
    """The sample without the labels of other tasks."""
    without: dict[str, Any] = {"pose": None, "pose_weight": None}
    if task != "emotion":
        without["emotion"] = None
    if task != "landmarks":  # points stay, since crops are cut by them, but weigh nothing
        without |= {"landmark_weight": None, "points5_weight": 0.0}
    picture = sample.picture if task == "parsing" else replace(sample.picture, parsing=None)
    return replace(sample, picture=picture, **without)


@torch.no_grad()
def score_detector(net: DetectorNet, pictures: list[Picture], iou: float = 0.4, least: float = 0.02) -> Scores:
    """AP at IoU 0.5 by face height, in per cent, on whole pictures; yaw, pitch, roll are not scored."""
    found: dict[int, list[tuple[Any, Any]]] = {height: [] for height in MIN_HEIGHTS_PX}
    truths_by_height = dict.fromkeys(MIN_HEIGHTS_PX, 0)
    for picture in pictures:
        height, width = (-(-side // 32) * 32 for side in picture.image.shape[:2])
        canvas = np.zeros((1, height, width, 3), np.uint8)
        canvas[0, : picture.image.shape[0], : picture.image.shape[1]] = picture.image
        with autocast(torch.device("cpu")):
            raw = net(torch.from_numpy(canvas))
        rows = decode(raw, *cells(height, width))[0].numpy()
        rows[:, 4] = 1 / (1 + np.exp(-rows[:, 4]))
        rows = rows[rows[:, 4] >= least]
        rows = rows[nms(rows[:, :4], rows[:, 4], iou, 500)]
        truths = np.array([f.box_xyxy for f in picture.faces if f.box_xyxy is not None], np.float64).reshape(-1, 4)
        for least_px in MIN_HEIGHTS_PX:
            counted, hits = match_detections(rows[:, :4].astype(np.float64), rows[:, 4], truths, least_px)
            found[least_px].append((rows[counted, 4], hits[counted]))
            truths_by_height[least_px] += int((truths[:, 3] - truths[:, 1] >= least_px).sum())
    by_height = {}
    for least_px, parts in found.items():
        score, hit = (np.concatenate([part[i] for part in parts] or [np.zeros(0)]) for i in (0, 1))
        by_height[f"ap50_{least_px}px"] = 100.0 * average_precision(score, hit, truths_by_height[least_px])
    return by_height

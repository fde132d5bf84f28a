"""Batches of the engine: a fixed share from every set, stacked; and which task each row is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from rtface.errors import InputError
from rtface.train.data.faces import Augment, Item, Sample
from rtface.train.losses import Targets

# Draws a step from each set, of 64. FER+ needs most passes; 68 points by hand are few and strongly varied.
MIX = {"landmarks": 16, "video": 3, "parsing": 12, "faces": 7, "five": 4, "emotion": 19, "negative": 3}
TASKS = ("landmarks", "parsing", "emotion")  # of iFAN; each with its batch norm statistics where `task_norm` is on
TASK_OF = {"parsing": 1, "emotion": 2, "negative": 2}  # by set; the others' is landmarks


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

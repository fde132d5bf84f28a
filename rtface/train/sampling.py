"""Batches of the engine: a fixed share from every set, stacked; and which task each row is of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from rtface.errors import InputError
from rtface.geometry.crop import CROP_SIZE
from rtface.train.data.faces import Augment, Item
from rtface.train.data.samples import Sample
from rtface.train.losses import Targets
from rtface.train.nets.ifan import Rows

# Draws a step from each set, of 64. FER+ needs most passes; 68 points by hand are few and strongly varied.
MIX = {"landmarks": 16, "video": 3, "parsing": 12, "faces": 7, "five": 4, "emotion": 19, "negative": 3}
TASKS = ("landmarks", "parsing", "emotion")  # of iFAN; each with its batch norm statistics where `task_norm` is on


class Sampler:
    """Makes augmented batches: a fixed share from every set, each shuffled through before it repeats.

    A batch depends on the seed and its number only, so that a run that goes on sees what it would have seen, and
    processes can make batches side by side. Rows stand in the order of what they carry (`_kind`): those that a decoder
    runs on lie together.
    """

    def __init__(
        self, groups: Mapping[str, list[Sample]], batch: int, seed: int, shares: Mapping[str, float] = MIX
    ) -> None:
        self.groups = {g: s for g, s in groups.items() if g in shares}
        if not self.groups:
            raise InputError("nothing to train on", "the corpus holds no labelled faces", "Check --data")
        total = sum(shares[g] for g in self.groups)
        self.counts = {g: max(1, round(batch * shares[g] / total)) for g in self.groups}
        self.seed = seed
        self.weights = {g: _rarity(s) for g, s in self.groups.items()}
        self._orders: dict[tuple[str, int], npt.NDArray[np.int64]] = {}  # by set and round, of the last rounds

    def __call__(self, number: int, size: int = CROP_SIZE) -> tuple[torch.Tensor, Targets]:
        """Batch `number` (0, 1 …) at `size` px."""
        augment = Augment(size, np.random.default_rng((self.seed, number)))
        samples = [sample for group in self.groups for sample in self.draw(group, number)]
        return collate([augment(sample) for sample in sorted(samples, key=_kind)])

    def rows(self) -> Rows:
        """Rows within which those of every batch lie (`Targets.rows`), for a network whose shapes must not change."""
        kinds = {group: {_kind(sample) for sample in samples} for group, samples in self.groups.items()}

        def surely(some: set[int]) -> int:
            return sum(count for group, count in self.counts.items() if kinds[group] <= some)

        size = sum(self.counts.values())
        return Rows(slice(surely({0}), size - surely({3})), slice(surely({0, 1}), size))

    def draw(self, group: str, number: int) -> list[Sample]:
        """The samples of a set in batch `number`."""
        samples, count = self.groups[group], self.counts[group]
        drawn = []
        for place in range(number * count, (number + 1) * count):
            turn, at = divmod(place, len(samples))
            drawn.append(samples[int(self._order(group, turn)[at])])
        return drawn

    def _order(self, group: str, turn: int) -> npt.NDArray[np.int64]:
        """In which order a set is gone through for the `turn`-th time."""
        order = self._orders.get((group, turn))
        if order is None:
            size, weights = len(self.groups[group]), self.weights[group]
            rng = np.random.default_rng((self.seed, list(self.groups).index(group), turn))
            order = rng.choice(size, size, p=weights, replace=weights is not None)
            self._orders = {key: kept for key, kept in self._orders.items() if key[0] != group or key[1] >= turn - 1}
            self._orders[group, turn] = order
        return order


def _kind(sample: Sample) -> int:
    """0 neither points nor mask, 1 points, 2 both, 3 mask."""
    weight = sample.landmark_weight
    points = sample.points5_weight > 0 or (weight is not None and bool((weight > 0).any()))
    return (2 if points else 3) if sample.picture.parsing is not None else int(points)


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
        points5=stack("points5"),
        points5_weight=stack("points5_weight"),
        parsing=stack("parsing", torch.uint8),
        coarse_parsing=stack("coarse_parsing", torch.bool),
        pose=stack("pose"),
        pose_weight=stack("pose_weight"),
        emotion=stack("emotion"),
        emotion_weight=stack("emotion_weight"),
        is_face=stack("is_face"),
        task=stack("task", torch.int64),
    )
    return torch.from_numpy(np.stack([i.image for i in items])), targets

"""Quick scores of an engine network on clean crops, to steer by and to compare arms of an ablation with.

Figures to report come from `rtface eval`, through the whole of `rtface.analyze`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from rtface.train.data.faces import Augment
from rtface.train.data.samples import Sample
from rtface.train.losses import FIVE_OF_68, Targets
from rtface.train.nets.ifan import SUB, Outputs
from rtface.train.nets.norms import TaskIds, naming
from rtface.train.nets.registry import Network
from rtface.train.parsing_loss import COMPONENTS, IGNORE
from rtface.train.run import autocast
from rtface.train.sampling import collate


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
            with autocast(device), naming(ids, targets.task):
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
    ocular = (t.points5[:, 0] - t.points5[:, 1]).norm(dim=1)
    error = (five - t.points5).norm(dim=2).mean(1) / ocular
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

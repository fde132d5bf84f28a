"""Losses of the multi-task engine; each looks only at the samples that carry its label.

Wing loss for points: Feng et al., CVPR 2018, eq. 5. Emotion: cross entropy to the FER+ vote shares (Barsoum et al.,
ICMI 2016, eq. 4). Masks: `rtface.train.parsing_loss`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.train.nets.ifan import POSE_SCALE, Outputs, Rows
from rtface.train.parsing_loss import IGNORE, parsing_loss

FIVE_OF_68 = torch.zeros(5, 68)
FIVE_OF_68[0, 36:42] = 1 / 6
FIVE_OF_68[1, 42:48] = 1 / 6
FIVE_OF_68[2, 30] = FIVE_OF_68[3, 48] = FIVE_OF_68[4, 54] = 1.0


@dataclass
class Targets:
    """A batch of labels; shapes as in data.faces.Item with a leading N, weights 0 where unlabelled."""

    landmarks: Tensor
    landmark_weight: Tensor
    points5: Tensor
    points5_weight: Tensor
    parsing: Tensor
    coarse_parsing: Tensor
    pose: Tensor
    pose_weight: Tensor
    emotion: Tensor
    emotion_weight: Tensor
    is_face: Tensor
    task: Tensor  # which of sampling.TASKS a row is of

    def to(self, device: torch.device) -> Targets:
        return Targets(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))

    def at(self, rows: slice | Tensor) -> Targets:
        """The labels of some samples."""
        return Targets(*(getattr(self, f.name)[rows] for f in fields(self)))

    def pin_memory(self) -> Targets:
        """The same in page-locked memory (called by torch's DataLoader)."""
        return Targets(*(getattr(self, f.name).pin_memory() for f in fields(self)))

    def rows(self) -> Rows:
        """Which samples carry points, and which a mask."""
        points = (self.landmark_weight.sum(1) > 0) | (self.points5_weight > 0)
        return Rows(_indices(points), _indices((self.parsing != IGNORE).flatten(1).any(1)))


def _indices(wanted: Tensor) -> slice | Tensor:
    """Rows that are wanted (N,) bool, as a slice where they lie together: its gradient is a copy, not a scatter."""
    found = wanted.nonzero()[:, 0]
    if len(found) and int(found[-1] - found[0]) == len(found) - 1:
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


def wing(distance: Tensor, width: float = 6.0, curvature: float = 1.5) -> Tensor:
    """Wing loss of absolute distances in px of a 128 px crop: logarithmic below `width`, linear above."""
    offset = width - width * math.log(1 + width / curvature)
    return torch.where(distance < width, width * torch.log1p(distance / curvature), distance - offset)


def landmark_losses(out: Outputs, t: Targets) -> dict[str, Tensor]:
    """Point regression, heat map cross entropy about the true cell, and the head that predicts the error."""
    if not len(out.points):
        return {}
    expected = out.landmark_std
    if out.rows is not None:
        t, expected = t.at(out.rows.landmarks), expected[out.rows.landmarks]
    regression = _point_loss(out.points, t)
    if out.plain is not None:
        regression = 0.5 * (regression + _point_loss(out.plain[0], t))

    n, k, h, w = out.heat.shape
    heat_loss = regression.new_zeros(())
    if k:
        heat = gaussian_cells(t.landmarks, h, w)
        log_prob = torch.log_softmax(out.heat.reshape(n, k, h * w), 2)
        cell = -(heat * log_prob).sum(2)
        heat_loss = (cell * t.landmark_weight).sum() / t.landmark_weight.sum().clamp(min=1.0)

    labelled = (t.landmark_weight[:, 30] > 0).float()
    mean_error = (out.points - t.landmarks).norm(dim=2).mean(1).detach() * 0.5  # share of the crop's side
    landmark_std = ((expected - mean_error).abs() * labelled).sum() / labelled.sum().clamp(min=1.0)
    return {"points": regression * 0.25, "heat": heat_loss * 0.25, "landmark_std": landmark_std * 5.0}


def _point_loss(points: Tensor, t: Targets) -> Tensor:
    """Wing loss over the labelled of 68 points, and over five where there are only these."""
    weight = t.landmark_weight[..., None]
    error = wing((points - t.landmarks).abs() * 64.0) * weight  # px of a 128 px crop
    five = torch.einsum("pk,nkc->npc", FIVE_OF_68.to(points.device), points)
    points5_weight = t.points5_weight[:, None, None]
    five_error = wing((five - t.points5).abs() * 64.0) * points5_weight
    of_five = five_error.sum() / (points5_weight.sum().clamp(min=1.0) * 10)
    return error.sum() / (weight.sum().clamp(min=1.0) * 2) + 0.5 * of_five


def gaussian_cells(points: Tensor, h: int, w: int, sigma: float = 0.7) -> Tensor:
    """Target probability over cells (N, 68, h * w): a Gaussian of `sigma` cells about each normalised point."""
    x = (points[..., 0:1] + 1) * (0.5 * w) - 0.5
    y = (points[..., 1:2] + 1) * (0.5 * h) - 0.5
    across = torch.exp(-0.5 * ((torch.arange(w, device=points.device) - x.clamp(0, w - 1)) / sigma) ** 2)
    down = torch.exp(-0.5 * ((torch.arange(h, device=points.device) - y.clamp(0, h - 1)) / sigma) ** 2)
    cells = (down[..., :, None] * across[..., None, :]).flatten(2)
    return cells / cells.sum(2, keepdim=True)


def masked_loss(out: Outputs, t: Targets) -> Tensor:
    """`parsing_loss` of a round's answers."""
    masks, coarse = t.parsing, t.coarse_parsing
    if out.rows is not None:
        masks, coarse = masks[out.rows.parsing], coarse[out.rows.parsing]
    return parsing_loss(out.parsing_logits, masks, coarse)


def vector_losses(out: Outputs, t: Targets) -> dict[str, Tensor]:
    """Emotion to vote shares, pose in degrees, face presence."""
    emotion = -(t.emotion * F.log_softmax(out.emotion_logits, 1)).sum(1)
    if out.plain is not None:
        emotion = 0.5 * (emotion - (t.emotion * F.log_softmax(out.plain[1], 1)).sum(1))
    emotion = emotion * t.emotion_weight
    pose = F.smooth_l1_loss(out.pose, t.pose / POSE_SCALE, reduction="none", beta=0.1) * t.pose_weight
    face = F.binary_cross_entropy_with_logits(out.face_logit, t.is_face)
    return {
        "emotion": emotion.sum() / t.emotion_weight.sum().clamp(min=1.0),
        "pose": 3.0 * pose.sum() / t.pose_weight.sum().clamp(min=1.0),
        "face": 0.5 * face,
    }


def engine_losses(rounds: list[Outputs], targets: Targets) -> dict[str, Tensor]:
    """Each task's loss summed over the rounds of interaction (iFAN, eq. 4)."""
    total: dict[str, Tensor] = {}
    for out in rounds:
        losses = {**landmark_losses(out, targets), "parsing": masked_loss(out, targets), **vector_losses(out, targets)}
        for name, value in losses.items():
            total[name] = total.get(name, out.points.new_zeros(())) + value
    return total

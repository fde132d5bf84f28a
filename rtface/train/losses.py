"""Losses of the multi-task engine; each looks only at the samples that carry its label.

Wing loss for points: Feng et al., CVPR 2018, eq. 5. Dice beside cross entropy for thin parsing classes: Milletari et
al., 3DV 2016, eq. 3. Emotion: cross entropy to the FER+ vote shares (Barsoum et al., ICMI 2016, eq. 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.train.nets.ifan import POSE_SCALE, SUB, Outputs

IGNORE = 255
# CelebAMask-HQ's 19 classes -> FASSEG's six; ears and neck count as skin there, brows as hair.
_COARSE_OF = (0, 1, 4, 1, 3, 3, 2, 2, 1, 1, 5, 5, 5, 2, 0, 0, 1, 1, 0)
COMPONENTS = (2, 4, 5, 6, 7, 10, 11, 12)  # nose, eyes, brows, inner mouth, lips
FIVE_OF_68 = torch.zeros(5, 68)
FIVE_OF_68[0, 36:42] = 1 / 6
FIVE_OF_68[1, 42:48] = 1 / 6
FIVE_OF_68[2, 30] = FIVE_OF_68[3, 48] = FIVE_OF_68[4, 54] = 1.0


@dataclass
class Targets:
    """A batch of labels; shapes as in data.faces.Item with a leading N, weights 0 where unlabelled."""

    landmarks: Tensor
    landmark_weight: Tensor
    five: Tensor
    five_weight: Tensor
    parsing: Tensor
    coarse_parsing: Tensor
    pose: Tensor
    pose_weight: Tensor
    emotion: Tensor
    emotion_weight: Tensor
    is_face: Tensor

    def to(self, device: torch.device) -> Targets:
        return Targets(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


def wing(distance: Tensor, width: float = 6.0, curvature: float = 1.5) -> Tensor:
    """Wing loss of absolute distances in px of a 128 px crop: logarithmic below `width`, linear above."""
    offset = width - width * math.log(1 + width / curvature)
    return torch.where(distance < width, width * torch.log1p(distance / curvature), distance - offset)


def landmark_losses(out: Outputs, t: Targets) -> dict[str, Tensor]:
    """Point regression, heat map cross entropy about the true cell, and the head that predicts the error."""
    error = (out.points - t.landmarks).abs() * 64.0  # px of a 128 px crop
    weight = t.landmark_weight[..., None]
    total = weight.sum().clamp(min=1.0) * 2
    regression = (wing(error) * weight).sum() / total
    five = torch.einsum("pk,nkc->npc", FIVE_OF_68.to(out.points.device), out.points)
    five_weight = t.five_weight[:, None, None]
    five_error = wing((five - t.five).abs() * 64.0) * five_weight
    regression = regression + 0.5 * five_error.sum() / (five_weight.sum().clamp(min=1.0) * 10)

    n, k, h, w = out.heat.shape
    heat = _gaussian_cells(t.landmarks, h, w)
    log_prob = torch.log_softmax(out.heat.reshape(n, k, h * w), 2)
    cell = -(heat * log_prob).sum(2)
    heat_loss = (cell * t.landmark_weight).sum() / t.landmark_weight.sum().clamp(min=1.0)

    labelled = (t.landmark_weight[:, 30] > 0).float()
    mean_error = (out.points - t.landmarks).norm(dim=2).mean(1).detach() * 0.5  # share of the crop's side
    spread = ((out.spread - mean_error).abs() * labelled).sum() / labelled.sum().clamp(min=1.0)
    return {"points": regression * 0.25, "heat": heat_loss * 0.25, "spread": spread * 5.0}


def _gaussian_cells(points: Tensor, h: int, w: int, sigma: float = 0.7) -> Tensor:
    """Target probability over cells (N, 68, h * w): a Gaussian of `sigma` cells about each normalised point."""
    x = (points[..., 0:1] + 1) * (0.5 * w) - 0.5
    y = (points[..., 1:2] + 1) * (0.5 * h) - 0.5
    across = torch.exp(-0.5 * ((torch.arange(w, device=points.device) - x.clamp(0, w - 1)) / sigma) ** 2)
    down = torch.exp(-0.5 * ((torch.arange(h, device=points.device) - y.clamp(0, h - 1)) / sigma) ** 2)
    cells = (down[..., :, None] * across[..., None, :]).flatten(2)
    return cells / cells.sum(2, keepdim=True)


def parsing_loss(out: Outputs, t: Targets) -> Tensor:
    """Cross entropy plus Dice over thin classes; coarse masks compare summed probabilities of their fine classes."""
    labelled = (t.parsing != IGNORE).flatten(1).any(1)
    fine, coarse = labelled & ~t.coarse_parsing, labelled & t.coarse_parsing
    total = out.points.new_zeros(())
    if bool(fine.any()):
        logits = _full_size(out.parsing_logits[fine])
        target = t.parsing[fine].long()
        total = total + F.cross_entropy(logits, target, ignore_index=IGNORE) + 0.5 * _dice(logits, target)
    if bool(coarse.any()):
        logits = _full_size(out.parsing_logits[coarse])
        groups = F.one_hot(torch.tensor(_COARSE_OF, device=logits.device), 6).float().T  # (6, 19)
        summed = torch.einsum("gc,nchw->nghw", groups, torch.softmax(logits, 1)).contiguous().clamp(min=1e-6)
        loss = F.nll_loss(summed.log(), t.parsing[coarse].long(), ignore_index=IGNORE)
        total = total + 0.3 * loss * coarse.sum() / labelled.sum()
    return total


def _full_size(logits: Tensor) -> Tensor:
    """Sub-pixel logits -> (N, 19, H, W) float32; contiguous, since pixel_shuffle's backward refuses channels_last."""
    return F.pixel_shuffle(logits.float().contiguous(), SUB)


def _dice(logits: Tensor, target: Tensor) -> Tensor:
    known = (target != IGNORE).float()
    prob = torch.softmax(logits, 1)
    losses = []
    for c in COMPONENTS:
        truth = (target == c).float()
        p = prob[:, c] * known
        losses.append(1 - (2 * (p * truth).sum() + 20) / (p.sum() + truth.sum() + 20))
    return torch.stack(losses).mean()


def vector_losses(out: Outputs, t: Targets) -> dict[str, Tensor]:
    """Emotion to vote shares, pose in degrees, face presence."""
    log_prob = F.log_softmax(out.emotion_logits, 1)
    emotion = -(t.emotion * log_prob).sum(1) * t.emotion_weight
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
        losses = {**landmark_losses(out, targets), "parsing": parsing_loss(out, targets), **vector_losses(out, targets)}
        for name, value in losses.items():
            total[name] = total.get(name, out.points.new_zeros(())) + value
    return total

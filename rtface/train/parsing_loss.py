"""Loss of the parsing logits: cross entropy, Dice for thin classes (Milletari et al., 3DV 2016, eq. 3), coarse masks.

The probabilities are the largest array of a training step. They are computed once, in the layout that the decoder
writes, and value and gradient are written out by hand: each loss's own backward pass would fill arrays of that size
with zeros to add one number a pixel (0.14 of the 1.25 s of a step on one core, where this takes 0.085).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.train.nets.ifan import PARSING, SUB

IGNORE = 255
# CelebAMask-HQ's 19 classes -> FASSEG's six; ears and neck count as skin there, brows as hair.
_COARSE_OF = (0, 1, 4, 1, 3, 3, 2, 2, 1, 1, 5, 5, 5, 2, 0, 0, 1, 1, 0)
COMPONENTS = (2, 4, 5, 6, 7, 10, 11, 12)  # nose, eyes, brows, inner mouth, lips
_DICE, _COARSE = 0.5, 0.3  # weights beside the cross entropy
_LEAST = 1e-37  # probability that a logarithm is taken of
_SMOOTH = 20.0  # pixels that both halves of an overlap begin with


def parsing_loss(logits: Tensor, masks: Tensor, coarse: Tensor) -> Tensor:
    """Mean cross entropy, plus Dice over `COMPONENTS`, plus, for coarse masks, the cross entropy of the summed
    probabilities of their fine classes.

    Args:
        logits: (N, 19 * 16, h, w) in the sub-pixel order of `pixel_shuffle`.
        masks: (N, 4 h, 4 w) uint8, `IGNORE` where not known.
        coarse: (N,) bool, whether a mask has FASSEG's six classes.

    Returns:
        A scalar; 0 where no pixel is known.
    """
    labelled = (masks != IGNORE).flatten(1).any(1)
    if not bool(labelled.any()):
        return logits.new_zeros(())
    loss: Tensor = _Loss.apply(*_cells(logits, masks), labelled & coarse, labelled)  # type: ignore[no-untyped-call]
    return loss


def _cells(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (cells, 19, 16) and classes (cells, 16), without leaving the sub-pixel layout.

    A cell is one position of the decoder's map with its 4x4 crop px: in memory this is the channels_last layout of
    the logits, so that nothing is shuffled at the crop's own size.
    """
    target = F.pixel_unshuffle(masks[:, None], SUB).permute(0, 2, 3, 1).reshape(-1, SUB * SUB).long()
    return logits.permute(0, 2, 3, 1).float().reshape(-1, PARSING, SUB * SUB), target


class _Loss(torch.autograd.Function):
    """`parsing_loss` of cells; `coarse` and `labelled` (N,) bool say which pictures have such a mask."""

    @staticmethod
    def forward(ctx: Any, cells: Tensor, target: Tensor, coarse: Tensor, labelled: Tensor) -> Tensor:
        prob = torch.softmax(cells, 1)
        of_picture = len(target) // len(coarse)
        rough = _coarse_part(prob, target, coarse, labelled)
        known = (target != IGNORE) & ~coarse.repeat_interleave(of_picture)[:, None]
        own_class = torch.where(known, target, 0)
        pixels = known.sum().clamp(min=1)
        own = prob.gather(1, own_class[:, None])[:, 0]  # a pixel's own class's
        told = own.clamp(min=_LEAST).log() * known
        own = own * known
        prob.mul_(known[:, None])
        count = torch.zeros(PARSING, device=prob.device).index_add(0, own_class.flatten(), known.flatten().float())
        both = torch.zeros(PARSING, device=prob.device).index_add(0, own_class.flatten(), own.flatten())
        wanted = torch.zeros(PARSING, device=prob.device)
        wanted[list(COMPONENTS)] = _DICE / len(COMPONENTS)
        either = prob.sum(0).sum(1) + count + _SMOOTH
        overlap = (2 * both + _SMOOTH) / either
        ctx.rough, ctx.of_picture = rough, of_picture
        ctx.save_for_backward(prob, own_class, own, known / pixels, wanted * overlap / either, -2 * wanted / either)
        return -told.sum() / pixels + (wanted * (1 - overlap)).sum() + (0 if rough is None else rough.loss)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """With p a pixel's probabilities and g the loss's slopes by them, the logits' are p (g - sum of p g)."""
        prob, own_class, own, weight, by_class, by_own = ctx.saved_tensors
        scale = gradients[0]
        weight, by_class, by_own = weight * scale, by_class * scale, by_own * scale
        of_own = by_own[own_class] * own
        slope = prob * by_class[:, None]
        slope.addcmul_(prob, (weight - slope.sum(1) - of_own)[:, None])
        slope.scatter_add_(1, own_class[:, None], (of_own - weight)[:, None])
        if ctx.rough is not None:
            pictures = slope.reshape(-1, ctx.of_picture, *slope.shape[1:])
            pictures[ctx.rough.pictures] = ctx.rough.slope * scale
        return slope, None, None, None


@dataclass
class _Rough:
    """What coarse masks cost, and the slope by the logits of their pictures."""

    loss: Tensor
    slope: Tensor
    pictures: Tensor


def _coarse_part(prob: Tensor, target: Tensor, coarse: Tensor, labelled: Tensor) -> _Rough | None:
    """Of a batch's few coarse masks; None where there is none."""
    pictures = coarse.nonzero()[:, 0]
    if not len(pictures):
        return None
    cells = len(target) // len(coarse)
    prob = prob.reshape(-1, cells, *prob.shape[1:])[pictures]  # (n, cells, 19, 16)
    classes = target.reshape(-1, cells, target.shape[1])[pictures]
    known = classes != IGNORE
    group = torch.tensor(_COARSE_OF, device=prob.device)[:, None] == torch.where(known, classes, 0)[:, :, None]
    summed = (prob * group).sum(2)
    seen = summed.clamp(min=1e-6)
    weight = _COARSE * coarse.sum() / labelled.sum() * known / known.sum().clamp(min=1)
    slope = prob * ((1 - group / seen[:, :, None]) * (weight * (summed >= 1e-6))[:, :, None])
    return _Rough(-(seen.log() * weight).sum(), slope, pictures)

"""Losses of association learning (see nets.rmt): what is known of one task stands in for the other's missing label.

Each map learns where its *target* is labelled, from the network's own answer on the other side, detached: the maps
learn, the network does not. Where a target is not labelled but the other side is, the map's answer to that label,
detached, is the network's target: the network learns, the maps do not.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rtface.train.losses import Targets
from rtface.train.nets.ifan import Outputs
from rtface.train.nets.rmt import Association, shape_of

CONSISTENCY = 0.1  # of a true label's weight: an associated one is a guess
ROOM = 1.0  # spreads that a shape may lie off its class's mean for nothing: identity and pose are no errors


def association_losses(out: Outputs, t: Targets, maps: Association) -> dict[str, Tensor]:
    """Losses of the maps and of the consistency; 0 where a batch has no such sample.

    Args:
        out: A round's answers, points for every sample.
        t: The batch's labels. Emotion counts as labelled where its weight is above 0; points where all 68 are.
        maps: The two maps.

    Raises:
        ValueError: `out` has points for some samples only.
    """
    if len(out.points) != len(t.is_face):
        raise ValueError(f"expected points of all {len(t.is_face)} samples, got {len(out.points)}")
    face = t.is_face > 0
    points = (t.landmark_weight > 0).all(1) & face
    emotion = (t.emotion_weight > 0) & face
    return {
        "map_expression": _learn_expression(out, t, maps, emotion),
        "map_shape": 0.1 * _learn_shape(out, t, maps, points),
        "consistent_expression": CONSISTENCY * _expect_expression(out, t, maps, points & ~emotion),
        "consistent_shape": CONSISTENCY * _expect_shape(out, t, maps, emotion & ~points),
    }


def _learn_expression(out: Outputs, t: Targets, maps: Association, rows: Tensor) -> Tensor:
    if not bool(rows.any()):
        return out.points.new_zeros(())
    logits = maps.expression(shape_of(out.points[rows].detach()))
    return _cross_entropy(logits, t.emotion[rows])


def _learn_shape(out: Outputs, t: Targets, maps: Association, rows: Tensor) -> Tensor:
    """Gaussian likelihood of the true shapes."""
    if not bool(rows.any()):
        return out.points.new_zeros(())
    mean, spread = maps.shape(torch.softmax(out.emotion_logits[rows].detach().float(), 1))
    return F.gaussian_nll_loss(mean, shape_of(t.landmarks[rows]), spread.square())


def _expect_expression(out: Outputs, t: Targets, maps: Association, rows: Tensor) -> Tensor:
    if not bool(rows.any()):
        return out.points.new_zeros(())
    with torch.no_grad():
        target = torch.softmax(maps.expression(shape_of(t.landmarks[rows])), 1)
    return _cross_entropy(out.emotion_logits[rows], target)


def _expect_shape(out: Outputs, t: Targets, maps: Association, rows: Tensor) -> Tensor:
    """How far beyond `ROOM` spreads the points lie from the mean shape of their emotion."""
    if not bool(rows.any()):
        return out.points.new_zeros(())
    with torch.no_grad():
        mean, spread = maps.shape(t.emotion[rows])
    off = (shape_of(out.points[rows]) - mean).abs() / spread
    return F.relu(off - ROOM).mean()


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    return -(target * F.log_softmax(logits.float(), 1)).sum(1).mean()

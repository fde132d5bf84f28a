"""Assignment and losses of the detector.

Assignment is task-aligned (Feng et al., TOOD, ICCV 2021, eqs. 1-4): a face takes the cells where score and overlap
agree best, and the score's target is the overlap that the best of them has, times how sure of the face its teacher was,
where a teacher boxed it. A target that only says whether the face counts as found (0 at an overlap of .2, 1 from .7)
was tried: 0.9 less AP at 40 px (docs/research-log.md).
Task weights are learned (Kendall et al., CVPR 2018, eq. 10), as MOS does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TASKS = ("face", "box", "points", "pose")
EMPTY = 3.0  # times that the background counts in a scene without a face: objects and textures are few
IMPORTANCE = (2.0, 1.5, 1.0, 0.5)  # of TASKS: what is no face, or a loose box, is what users see first
SMALL = 24.0  # px: faces below it are the small ones that feedback sampling watches


class UncertaintyWeights(nn.Module):
    """sum_t c_t (exp(-s_t) L_t + s_t) with learned s_t in -3..2; `learned=False` keeps the initial weights.

    c_t is `IMPORTANCE`: the learned weights alone let each task pull on the shared layers alike.

    A task of which a batch has no label (its loss is exactly 0) leaves its s_t alone: it says nothing of how sure the
    network is.
    """

    def __init__(self, learned: bool = True) -> None:
        super().__init__()
        start = torch.tensor((2.0, 2.0, 1.0, 0.5))
        self.log_variance = nn.Parameter(-start.log(), requires_grad=learned)

    def forward(self, losses: dict[str, Tensor]) -> dict[str, Tensor]:
        with torch.no_grad():
            self.log_variance.clamp_(-3.0, 2.0)  # the values, not the graph: beyond a clamp no gradient leads back
        return {
            name: c * (torch.exp(-s) * losses[name] + s * (losses[name].detach() != 0))
            for name, c, s in zip(TASKS, IMPORTANCE, self.log_variance, strict=True)
        }


@dataclass
class Truth:
    """Labels of a batch, all faces in one list: `picture` (G,) says whose, boxes (G, 4), points (G, 10) and pose
    (G, 3) with NaN = unknown, box_weight (G,), sure (G,) 0..1, the highest score to aim at; `ignore` (K, 4) with
    `ignore_picture` (K,); trusted (N, cells) bool."""

    picture: Tensor
    boxes: Tensor
    points: Tensor
    pose: Tensor
    box_weight: Tensor
    sure: Tensor
    ignore_picture: Tensor
    ignore: Tensor
    trusted: Tensor

    def to(self, device: torch.device) -> Truth:
        return Truth(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Assignment:
    """The matched cells as a list: picture, cell and face index (P,) each, and the score target 0..1 (P,)."""

    picture: Tensor
    cell: Tensor
    face: Tensor
    target: Tensor


def pair_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of boxes broadcast against each other (..., 4)."""
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., 2:], b[..., 2:])
    overlap = (high - low).clamp(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).clamp(min=0).prod(-1) + (b[..., 2:] - b[..., :2]).clamp(min=0).prod(-1)
    return overlap / (area - overlap).clamp(min=1e-6)


@torch.no_grad()
def assign(boxes: Tensor, score: Tensor, truth: Truth, centres: Tensor, strides: Tensor, top: int = 9) -> Assignment:
    """Task-aligned assignment of predicted boxes (N, cells, 4) and scores (N, cells) to the faces of `truth`."""
    count = score.shape[1]
    middle = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
    half = (truth.boxes[:, 2:] - truth.boxes[:, :2]) / 2
    # A cell may take a face whose box holds the cell's centre, near the middle; a tiny face at least the finest cells
    # that it lies between.
    finest = (strides == strides.min()).float() * strides * 0.75  # (cells, 1)
    reach = torch.minimum(torch.maximum(half[:, None], finest[None]), 2.5 * strides[None])
    near = ((centres[None] - middle[:, None]).abs() < reach).all(-1)  # (G, cells)
    face, cell = near.nonzero(as_tuple=True)
    iou = pair_iou(boxes[truth.picture[face], cell], truth.boxes[face])
    agree = score[truth.picture[face], cell].clamp(min=1e-4).sqrt() * iou.clamp(min=1e-3) ** 4
    metric = score.new_zeros(near.shape)
    metric[face, cell] = agree
    best = metric.topk(min(top, count), 1)
    keep = best.values > 0
    face = torch.arange(len(near), device=score.device)[:, None].expand_as(keep)[keep]
    cell, agree = best.indices[keep], best.values[keep]
    picture = truth.picture[face]
    # a cell wanted by two faces goes to the better aligned one, of equals to the first
    place = picture * count + cell
    best_agree = score.new_zeros(score.numel()).scatter_reduce_(0, place, agree, "amax")
    claim = torch.where(agree >= best_agree[place], face, len(near))
    first = place.new_full((score.numel(),), len(near)).scatter_reduce_(0, place, claim, "amin")
    won = face == first[place]
    face, cell, agree, picture = face[won], cell[won], agree[won], picture[won]
    iou = pair_iou(boxes[picture, cell], truth.boxes[face])
    top_agree = score.new_zeros(len(near)).scatter_reduce_(0, face, agree, "amax")
    top_iou = score.new_zeros(len(near)).scatter_reduce_(0, face, iou, "amax")
    # a just-started net overlaps nothing: the floor keeps targets from vanishing
    return Assignment(picture, cell, face, (agree / top_agree[face] * top_iou[face] * truth.sure[face]).clamp(min=0.1))


def detection_losses(
    out: Tensor, truth: Truth, centres: Tensor, strides: Tensor
) -> tuple[dict[str, Tensor], float, Tensor]:
    """Losses by task, small faces' share of the positive face loss, and each picture's worst trusted false score."""
    logit = out[..., 4]
    score = torch.sigmoid(logit.detach())
    a = assign(out[..., :4].detach(), score, truth, centres, strides)
    target, positive = torch.zeros_like(score), torch.zeros_like(score, dtype=torch.bool)
    target[a.picture, a.cell], positive[a.picture, a.cell] = a.target, True
    counted = positive | ~(_ignored(truth, centres, score) | (~truth.trusted & (score > 0.3)))
    face_loss = F.binary_cross_entropy_with_logits(logit, target, reduction="none")
    empty = torch.ones(len(score), 1, device=score.device).index_fill_(0, truth.picture, 0.0)
    weight = counted * (1.0 + (EMPTY - 1.0) * empty)
    face_loss = face_loss * (target - score).abs() ** 1.5 * weight  # quality focal, beta 1.5
    scale = a.target.sum().clamp(min=4.0)
    losses = {"face": 3.0 * face_loss.sum() / scale}

    box, matched = truth.boxes[a.face], out[a.picture, a.cell]
    size = (box[:, 2:] - box[:, :2]).amax(1).clamp(min=4.0)
    losses["box"] = (_ciou_loss(matched[:, :4], box) * a.target * truth.box_weight[a.face]).sum() / scale
    error = (matched[:, 5:15] - truth.points[a.face]) / size[:, None]
    losses["points"] = 10.0 * _known_mean(error, a.target, beta=0.03)
    losses["pose"] = 3.0 * _known_mean((matched[:, 15:] - truth.pose[a.face]) / 45.0, a.target, beta=0.2)

    positive_loss = face_loss.detach()[a.picture, a.cell]
    small_share = float(positive_loss[size < SMALL].sum() / positive_loss.sum().clamp(min=1e-6))
    false_score = (score * (~positive & truth.trusted & counted)).amax(1)
    return losses, small_share, false_score


def _known_mean(error: Tensor, weight: Tensor, beta: float) -> Tensor:
    """Weighted mean smooth-L1 of the rows without NaN."""
    known = ~error.isnan().any(1)
    error, weight = error[known], weight[known]
    loss = F.smooth_l1_loss(error, torch.zeros_like(error), beta=beta, reduction="none").mean(1)
    return (loss * weight).sum() / weight.sum().clamp(min=1.0)


def _ignored(truth: Truth, centres: Tensor, score: Tensor) -> Tensor:
    """Cells (N, cells) whose centre lies in an ignore box."""
    inside = ((centres[None] > truth.ignore[:, None, :2]) & (centres[None] < truth.ignore[:, None, 2:])).all(-1)
    box, cell = inside.nonzero(as_tuple=True)
    ignored = torch.zeros_like(score, dtype=torch.bool)
    ignored[truth.ignore_picture[box], cell] = True
    return ignored


def _ciou_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - IoU + squared centre distance over the enclosing box's diagonal + a term of the aspects' difference (Zheng et
    al., "Enhancing Geometric Factors", arXiv 2005.03572, eqs. 8-10)."""
    low, high = torch.minimum(a[:, :2], b[:, :2]), torch.maximum(a[:, 2:], b[:, 2:])
    centre = ((a[:, :2] + a[:, 2:] - b[:, :2] - b[:, 2:]) / 2).pow(2).sum(1)
    iou = pair_iou(a, b)
    shape = (4 / math.pi**2) * (_aspect(b) - _aspect(a)).pow(2)
    weight = (shape / (1 - iou + shape).clamp(min=1e-6)).detach()
    return 1 - iou + centre / (high - low).pow(2).sum(1).clamp(min=1e-6) + weight * shape


def _aspect(boxes: Tensor) -> Tensor:
    width, height = (boxes[:, 2:] - boxes[:, :2]).clamp(min=1e-3).unbind(1)
    return torch.atan2(width, height)

"""Mesh and expression on the features of a multi-task network that stays as it is.

The network's own answers do not change by it: its encoder and points are frozen, and what is learned here reads them.
Features of strides 2, 4 and 8 meet at stride 8 (the irises need the fine ones); a few anchors of the mesh are read off
heat maps as the 68 points are, and the 478 points follow from anchors, points and a pooled vector by one linear layer:
a face's shape has few degrees of freedom. Blend shapes follow from the anchors and from what is seen at lids, irises,
brows and lips: the map's features, averaged by those anchors' heat. What they say of the eyes, a branch that looks at
the pixels themselves says again (`nets.eyes`), where it was trained.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.labels import BLENDSHAPES
from rtface.train.nets.blocks import ConvBN
from rtface.train.nets.eyes import Eyes, planes_of
from rtface.train.nets.ifan import POINTS, WIDTH, read_points

MESH = 478
_EYE = (33, 160, 159, 158, 133, 153, 145, 144, 7, 173)  # lids and corners of one eye
_OTHER_EYE = (263, 387, 386, 385, 362, 380, 374, 373, 249, 398)
_LIPS = (61, 40, 37, 0, 267, 270, 291, 91, 84, 17, 314, 321, 78, 81, 13, 311, 308, 88, 178, 14, 402, 318)
_REST = (10, 103, 332, 127, 356, 132, 361, 172, 397, 152, 168, 4, 98, 327, 50, 280, 205, 425, 105, 334, 107, 336)
ANCHORS: tuple[int, ...] = (*_EYE, *_OTHER_EYE, *_LIPS, *_REST, *range(468, 478))
"""Points of the mesh that have a heat map each."""

#: Where features are looked at for blend shapes: lids, irises, brows, nostrils, corners and middles of the lips.
SEEN_AT = (159, 386, 145, 374, 468, 473, 105, 334, 107, 336, 98, 327, 61, 291, 13, 14)
_SEEN_AT = [ANCHORS.index(point) for point in SEEN_AT]

FEATURES = 64  # channels at stride 8
POOLED = 96
SEEN = 16  # channels of what is seen at each of them
CODES = 96  # directions in which anchors differ from face to face
HIDDEN = 128
RANK = 96  # of the map from what is told to the mesh: a face's shape has fewer degrees of freedom


@dataclass
class HeadOutputs:
    """What the heads say of N faces.

    mesh (N, 478, 2) normalised; anchors (N, A, 2) of them and heat (N, A, h, w) cell logits; expression (N, 52)
    logits; mesh_std (N,) expected error of the mesh as a share of the crop's side; eyes, where a branch looked at them:
    what it saw and where (`nets.eyes.Refined`).
    """

    mesh: Tensor
    anchors: Tensor
    heat: Tensor
    expression: Tensor
    mesh_std: Tensor
    eyes: tuple[Tensor, Tensor] | None = None


class Heads(nn.Module):
    """The learned part. Shapes: features of a crop of S px (16, S/2), (32, S/4), (80, S/8), and points (N, 68, 2).

    Args:
        eyes: Whether there is an eye branch; the crops (N, S, S, 3) that it looks at come last.
    """

    def __init__(self, eyes: bool = False) -> None:
        super().__init__()
        count = len(ANCHORS)
        self.fine = ConvBN(16, FEATURES, kernel=4, stride=4, act=False)  # patch merge of stride 2
        self.middle = ConvBN(32, FEATURES, stride=2, act=False)
        self.coarse = ConvBN(WIDTH, FEATURES, kernel=1, act=False)
        self.body = ConvBN(FEATURES, FEATURES, skip=True)
        self.anchors = nn.Conv2d(FEATURES, 3 * count, 1)
        self.pool = nn.Sequential(ConvBN(FEATURES, FEATURES, stride=2), ConvBN(FEATURES, POOLED, stride=2))
        told = 2 * (count + POINTS) + POOLED
        self.mesh = nn.Sequential(nn.Linear(told, RANK, bias=False), nn.Linear(RANK, 2 * MESH))
        self.seen = nn.Conv2d(FEATURES, SEEN, 1)
        self.expression = ExpressionLayers(2 * count, 2 * POINTS + POOLED + SEEN * len(SEEN_AT))
        self.std = nn.Linear(POOLED, 1)
        self.eyes = Eyes() if eyes else None
        nn.init.normal_(self.anchors.weight, std=0.01)
        nn.init.zeros_(self.anchors.bias)  # type: ignore[arg-type]

    def forward(
        self, f2: Tensor, f4: Tensor, shared: Tensor, points: Tensor, crops: Tensor | None = None
    ) -> HeadOutputs:
        x = self.body(F.relu(self.fine(f2) + self.middle(f4) + self.coarse(shared)))
        anchors, heat = read_points(self.anchors(x).float(), len(ANCHORS))
        pooled = self.pool(x).float().mean((2, 3))
        shape = anchors.flatten(1)
        mesh = self.mesh(torch.cat((shape, points.flatten(1), pooled), 1)).reshape(-1, MESH, 2)
        rest = torch.cat((points.flatten(1), pooled, self._seen(x, heat).flatten(1)), 1)
        expression, eyes = self.expression(shape, rest), None
        if self.eyes is not None and crops is not None:
            mesh, expression, *looked_at = self.eyes.refine(planes_of(crops), mesh, expression)
            eyes = looked_at[0], looked_at[1]
        return HeadOutputs(mesh, anchors, heat, expression, F.softplus(self.std(pooled)[:, 0]) * 0.05, eyes)

    def _seen(self, x: Tensor, heat: Tensor) -> Tensor:
        """(N, points, SEEN): features where `SEEN_AT`'s heat is."""
        where = torch.softmax(heat[:, _SEEN_AT].flatten(2), 2)
        return torch.matmul(where, self.seen(x).float().flatten(2).transpose(1, 2))


def heads_like(state: Collection[str]) -> Heads:
    """Heads with the parts whose names a state has: an eye branch or not, the layers of expressions folded or not."""
    heads = Heads(eyes=any(name.startswith("eyes.") for name in state))
    if not any(".whiten." in name for name in state):
        heads.expression.fold()
    return heads


class ExpressionLayers(nn.Module):
    """Anchors (N, A) and the rest (N, B) -> blend shapes' logits (N, 52).

    Lids move by hundredths of what a head's turn moves them by. So the anchors come as codes of unit variance, along
    the directions in which they differ (`fit`, PCA), and the rest by its own mean and variance; both fold into one
    layer.
    """

    def __init__(self, anchors: int, rest: int) -> None:
        super().__init__()
        self.whiten = nn.Linear(anchors, CODES).requires_grad_(False)
        self.norm = nn.BatchNorm1d(rest, affine=False)
        self.first = nn.Linear(CODES + rest, HIDDEN)
        self.last = nn.Linear(HIDDEN, len(BLENDSHAPES))
        self.folded = False

    def forward(self, anchors: Tensor, rest: Tensor) -> Tensor:
        told = (anchors, rest) if self.folded else (self.whiten(anchors), self.norm(rest))
        logits: Tensor = self.last(F.relu(self.first(torch.cat(told, 1))))
        return logits

    @torch.no_grad()
    def fold(self) -> None:
        """Both ways to unit variance into the first layer (for export; not undoable)."""
        if self.folded:
            return
        mean, variance = self.norm.running_mean, self.norm.running_var
        assert mean is not None and variance is not None
        codes, rest = self.first.weight[:, :CODES], self.first.weight[:, CODES:] / (variance + self.norm.eps).sqrt()
        bias = self.first.bias + codes @ self.whiten.bias - rest @ mean
        weight = torch.cat((codes @ self.whiten.weight, rest), 1)
        self.first = nn.Linear(weight.shape[1], HIDDEN)
        self.first.weight.copy_(weight)
        self.first.bias.copy_(bias)
        self.folded = True
        del self.whiten, self.norm

    @torch.no_grad()
    def fit(self, anchors: Tensor, noise: float = 0.004) -> None:
        """Codes of unit variance of these anchors (N, A); what differs by less than `noise` is no code."""
        mean = anchors.mean(0)
        _, spread, directions = torch.linalg.svd(anchors - mean, full_matrices=False)
        variance = spread[:CODES] ** 2 / len(anchors)
        weight = directions[:CODES] / (variance + noise**2).sqrt()[:, None]
        self.whiten.weight[: len(weight)].copy_(weight)
        self.whiten.bias[: len(weight)].copy_(-weight @ mean)


class HeadsExport(nn.Module):
    """The heads as they are grafted onto an exported network: features, its landmarks and, for an eye branch, crops in;
    crop px and scores out, and with an eye branch what a line of sight reads (`EYE_TENSORS`)."""

    def __init__(self, heads: Heads, size: int) -> None:
        super().__init__()
        self.heads, self.size = heads, size

    def forward(
        self, f2: Tensor, f4: Tensor, shared: Tensor, landmarks: Tensor, crops: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        told = self.heads(f2, f4, shared, (landmarks + 0.5) * (2.0 / self.size) - 1.0, crops)
        return (
            (told.mesh + 1.0) * (0.5 * self.size) - 0.5,
            torch.exp(told.mesh_std * -25.0),
            torch.sigmoid(told.expression),
            *(() if told.eyes is None else (*told.eyes, told.mesh)),
        )


PREFIX = "heads."
"""Before the names that heads have in a network that they are grafted onto."""

HEAD_OUTPUTS = ("mesh", "mesh_score", "expression")
EYE_TENSORS = ("eye_features", "eye_maps", "eye_mesh")
"""(2 N, 48, 8, 12), (N, 2, 3, 2) and (N, 478, 2), as `nets.sight.Sight` takes them; no answers of the network."""

"""RMT-Net's two ideas (Chen et al., Pattern Recognition 115, 107893, 2021) as parts of the engine, off by default.

Residual learning: from both tasks' enhanced features together, a correction of the landmarks and one of the expression,
so that each task adds what the other saw. The last layers start at zero: a trained network with fresh residuals
answers as before.

Association learning: no public set has 68 points and an expression for the same face. Two small maps between the
answers (landmarks -> expression, expression -> shape) are learned where one side is labelled; their answers then stand
in for the missing labels. The maps serve training only.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POINTS = 68
EMOTIONS = 8
PACE = 5.0  # Adam steps are of one size: a mean shape, of order 1 from 0, should be there before the network needs it
EYES = (36, 45)  # outer corners in iBUG-68


class Residual(nn.Module):
    """Landmark map (N, C, h, w) and expression feature (N, D) -> corrections (N, 68, 2) of points, (N, 8) of logits."""

    def __init__(self, landmark_width: int, expression_width: int, hidden: int = 128) -> None:
        super().__init__()
        self.look = nn.Linear(landmark_width * 16, hidden)
        self.mix = nn.Linear(hidden + expression_width, hidden)
        self.points = nn.Linear(hidden, POINTS * 2)
        self.emotion = nn.Linear(hidden, EMOTIONS)
        for last in (self.points, self.emotion):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, landmark_map: Tensor, expression: Tensor) -> tuple[Tensor, Tensor]:
        # a 4x4 grid keeps where in the face something is; exports have no adaptive pooling, hence the plain one
        coarse = F.avg_pool2d(landmark_map.float(), landmark_map.shape[2] // 4)
        both = torch.cat((F.relu(self.look(coarse.flatten(1))), expression.float()), 1)
        x = F.relu(self.mix(both))
        return self.points(x).reshape(-1, POINTS, 2), self.emotion(x)


def shape_of(points: Tensor) -> Tensor:
    """Points (N, 68, 2) without place, size and roll: centred, outer eye corners level, of unit spread."""
    centred = points - points.mean(1, keepdim=True)
    across = centred[:, EYES[1]] - centred[:, EYES[0]]
    cos, sin = (across / across.norm(dim=1, keepdim=True).clamp(min=1e-4)).unbind(1)
    turn = torch.stack((cos, -sin, sin, cos), 1).reshape(-1, 2, 2)
    level = torch.bmm(centred, turn)
    return level / level.square().mean((1, 2), keepdim=True).sqrt().clamp(min=1e-4)


class Association(nn.Module):
    """The two maps. Shapes are `shape_of` points; `spread` says how far from its mean a class's points lie."""

    def __init__(self) -> None:
        super().__init__()
        self.shape_to_expression = nn.Sequential(
            nn.Linear(POINTS * 2, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, EMOTIONS)
        )
        self.mean = nn.Linear(EMOTIONS, POINTS * 2)
        self.log_spread = nn.Linear(EMOTIONS, POINTS * 2)
        nn.init.zeros_(self.mean.weight)
        nn.init.zeros_(self.log_spread.weight)
        nn.init.constant_(self.log_spread.bias, -1.0)

    def expression(self, shape: Tensor) -> Tensor:
        """Emotion logits (N, 8) of a shape (N, 68, 2)."""
        logits: Tensor = self.shape_to_expression(shape.flatten(1))
        return logits

    def shape(self, emotion: Tensor) -> tuple[Tensor, Tensor]:
        """Mean shape (N, 68, 2) and its spread (N, 68, 2), above 0, of emotion probabilities (N, 8)."""
        mean = PACE * self.mean(emotion).reshape(-1, POINTS, 2)
        return mean, self.log_spread(emotion).clamp(-4.0, 1.0).exp().reshape(-1, POINTS, 2)

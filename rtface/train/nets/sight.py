"""Where the eyes look: read off what the heads' eye branch sees of each eye.

Geometry on irises (an eyeball of 12 mm, a shift of 1 mm is 5°) asks for fractions of a pixel; a network that is shown
an eye's picture learns how lids, whites and reflections go with a look (Zhang et al., "Appearance-Based Gaze Estimation
in the Wild", CVPR 2015). Each eye's patch tells a vector in the patch, beside where the face's points lie in it, which
tells how the head is turned; the left one is mirrored, so that both eyes share their weights, as in `nets.eyes`. The
sum of both is the line of sight: an eye that tells little gives a short one.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.geometry.mirror import MIRROR_478
from rtface.train.nets.eyes import HIDDEN, SEEN, exactly, into, last_layers

_RIGHT = (468, 159, 145, 33, 133, 362, 263, 4, 168, 234, 454, 152, 10)
AROUND = (_RIGHT, tuple(int(MIRROR_478[point]) for point in _RIGHT))
"""Points of the mesh that stand beside the right eye's patch, and the left's: iris, lids, corners, nose, outline."""


SIGHT_PREFIX = "sight."
"""Before the names that a line of sight has in a network that it is grafted onto."""


class Sight(nn.Module):
    """What the eye branch's first layers see (2 N, 48, 8, 12) of each face's right eye, then its left, mirrored, where
    the patches lie (N, 2, 3, 2), and a mesh (N, 478, 2) -> vectors (N, 2, 3), each eye's, in the crop: to the right,
    down, towards the camera."""

    mirror: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(*last_layers())
        self.norm = nn.BatchNorm1d(2 * len(_RIGHT))
        self.first = nn.Linear(SEEN + 2 * len(_RIGHT), HIDDEN)
        self.last = nn.Linear(HIDDEN, 3)
        self.folded = False
        self.register_buffer("mirror", torch.tensor(((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0))), persistent=False)

    def forward(self, features: Tensor, maps: Tensor, mesh: Tensor) -> Tensor:
        return upright(self.in_patches(features, maps, mesh), maps)

    def in_patches(self, features: Tensor, maps: Tensor, mesh: Tensor) -> Tensor:
        """The vectors (N, 2, 3) as they point in the right eye's patch."""
        points = mesh[:, [point for eye in AROUND for point in eye]].reshape(-1, 2, len(_RIGHT), 2)
        around = into(points, maps).flatten(2).flatten(0, 1)
        seen = self.layers(features).flatten(1).float()
        hidden = F.relu(self.first(torch.cat((seen, around if self.folded else self.norm(around)), 1)))
        told: Tensor = self.last(hidden).float().reshape(-1, 2, 3) * self.mirror
        return told

    @torch.no_grad()
    def fold(self) -> None:
        """The norm into the first layer (for export; not undoable)."""
        if self.folded:
            return
        norm, first = self.norm, self.first
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        own = first.weight[:, SEEN:].clone()
        first.bias.add_(own @ (norm.bias - norm.running_mean * scale))
        first.weight[:, SEEN:] = own * scale
        self.folded = True
        del self.norm


def sight_like(state: Collection[str]) -> Sight:
    """A line of sight whose norm is folded or not, as in the state with these names."""
    sight = Sight()
    if not any(name.startswith("norm.") for name in state):
        sight.fold()
    return sight


def upright(vectors: Tensor, maps: Tensor) -> Tensor:
    """Vectors (N, K, 3) of the right eye's patch as they point in the crop; `maps` as `Sight` takes them."""
    axes = maps[:, 0, :2]
    return torch.cat((exactly(vectors[..., :2], axes / axes.norm(dim=2, keepdim=True)), vectors[..., 2:]), -1)


class SightExport(nn.Module):
    """The network as it is grafted onto one with eyes (`nets.heads.EYE_TENSORS`); gaze (N, 2), yaw and pitch in
    degrees, out."""

    def __init__(self, sight: Sight) -> None:
        super().__init__()
        self.sight = sight

    def forward(self, features: Tensor, maps: Tensor, mesh: Tensor) -> Tensor:
        both = self.sight.in_patches(features, maps, mesh).sum(1, keepdim=True)
        x, y, z = upright(both, maps)[:, 0].unbind(1)
        z = z.clamp(min=1e-3)  # no look is away from the camera
        return torch.stack((torch.atan(x / z), torch.atan(-y / (x * x + z * z).sqrt())), 1) * (180.0 / torch.pi)

"""Where the eyes look: read off what the heads' eye branch sees of each eye.

Geometry on irises (an eyeball of 12 mm, a shift of 1 mm is 5°) asks for fractions of a pixel; a network that is shown
an eye's picture learns how lids, whites and reflections go with a look (Zhang et al., "Appearance-Based Gaze Estimation
in the Wild", CVPR 2015). Each eye's patch tells a vector in the patch, beside where the face's points lie in it, which
tells how the head is turned; the left one is mirrored, so that both eyes share their weights, as in `nets.eyes`. The
sum of both is the line of sight: an eye that tells little gives a short one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.geometry.mirror import MIRROR_478
from rtface.train.nets.eyes import HIDDEN, SEEN, Frame, evened, frame_of, patch_layers

_RIGHT = (468, 159, 145, 33, 133, 362, 263, 4, 168, 234, 454, 152, 10)
AROUND = (_RIGHT, tuple(int(MIRROR_478[point]) for point in _RIGHT))
"""Points of the mesh that stand beside the right eye's patch, and the left's: iris, lids, corners, nose, outline."""


class Sight(nn.Module):
    """Patches (2 N, 3, 32, 48), each face's right eye, then its left, mirrored, and a mesh (N, 478, 2) -> vectors.

    The vectors (N, 2, 3) are each eye's, in the crop: to the right, down, towards the camera.
    """

    mirror: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = patch_layers()
        self.norm = nn.BatchNorm1d(2 * len(_RIGHT))
        self.first = nn.Linear(SEEN + 2 * len(_RIGHT), HIDDEN)
        self.last = nn.Linear(HIDDEN, 3)
        self.register_buffer("mirror", torch.tensor(((1.0, 1.0, 1.0), (-1.0, 1.0, 1.0))), persistent=False)

    def forward(self, patches: Tensor, mesh: Tensor) -> Tensor:
        frame = frame_of(mesh)
        points = mesh[:, [point for eye in AROUND for point in eye]].reshape(-1, 2, len(_RIGHT), 2)
        around = self.norm(frame.into(points).flatten(2).flatten(0, 1))
        seen = self.layers(patches).flatten(1).float()
        told = self.last(F.relu(self.first(torch.cat((seen, around), 1)))).float().reshape(-1, 2, 3) * self.mirror
        return upright(told, frame)


def upright(vectors: Tensor, frame: Frame) -> Tensor:
    """Vectors (N, 2, 3) of a face's patches as they point in the crop."""
    right = frame.half / (frame.half * frame.half).sum(1, keepdim=True).sqrt().clamp(min=1e-4)
    c, s, x, y = right[:, :1], right[:, 1:], vectors[..., 0], vectors[..., 1]
    return torch.stack((c * x - s * y, s * x + c * y, vectors[..., 2]), 2)


class SightExport(nn.Module):
    """The network as it is grafted onto one that has a mesh: the eyes' pixels (N, 3, 64, 48), the right eye's over the
    left's, 0..255, and the mesh in crop px in; gaze (N, 2), yaw and pitch in degrees, out."""

    def __init__(self, sight: Sight, size: int) -> None:
        super().__init__()
        self.sight, self.size = sight, size

    def forward(self, pixels: Tensor, mesh: Tensor) -> Tensor:
        x, y, z = self.sight(evened(pixels), (mesh + 0.5) * (2.0 / self.size) - 1.0).sum(1).unbind(1)
        z = z.clamp(min=1e-3)  # no look is away from the camera
        return torch.stack((torch.atan(x / z), torch.atan(-y / (x * x + z * z).sqrt())), 1) * (180.0 / torch.pi)

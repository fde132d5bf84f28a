"""The eye branch of the heads: a small network that looks at the pixels of each eye.

The features that the heads read are strides of 2 and more, and an iris is three pixels wide there. So the heads' own
mesh only says where the eyes are: a patch of each is cut from the crop, turned with the face, scaled by its size, the
left one mirrored so that both eyes share their weights, and brought to the same brightness and contrast. What is read
in a patch, the eye's contour and iris and its seven blend shapes, takes the place of what the heads say of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.geometry.mirror import MIRROR_478
from rtface.labels import BLENDSHAPES
from rtface.train.nets.blocks import ConvBN

CONTOUR = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
_RIGHT = (*CONTOUR, *range(468, 473))
EYE_POINTS: tuple[tuple[int, ...], ...] = (_RIGHT, tuple(int(MIRROR_478[point]) for point in _RIGHT))
"""Points of the mesh that are read in the patch of the subject's right and left eye: contour, then iris."""
IRIS = len(CONTOUR)  # where the irises' points begin

_READ = ("eyeBlink", "eyeLookDown", "eyeLookIn", "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide")
EYE_SHAPES = tuple(tuple(BLENDSHAPES.index(name + side) for name in _READ) for side in ("Right", "Left"))
"""The same for blend shapes."""

HEIGHT, WIDTH = 32, 48  # px of a patch
HALF = 0.3  # half of its width over the face's size: an eye and half of one on its sides
FACE = 0.45  # of a face's height, which a turn of the head leaves: as much as its eyes' outer corners lie apart
SEEN = 64 * (HEIGHT // 8) * (WIDTH // 8)  # numbers that `patch_layers` make of a patch
HIDDEN = 96
_FLOOR = 8.0  # least contrast: noise is not made to look like an eye


@dataclass
class Frame:
    """Where patches are cut: centres (N, 2, 2) of the right and left eye, half (N, 2) from a centre to the side."""

    centres: Tensor
    half: Tensor

    def axes(self) -> Tensor:
        """(N, 2, 2, 2): by eye the vectors to a patch's right and lower edge; the left eye's patch is mirrored."""
        x, y = self.half[:, 0], self.half[:, 1]
        down = torch.stack((-y, x), 1) * (HEIGHT / WIDTH)
        return torch.stack((self.half, down, -self.half, down), 1).reshape(-1, 2, 2, 2)

    def out(self, patch: Tensor) -> Tensor:
        """Points (N, 2, K, 2) from the patches' -1..1 to the crop's."""
        return self.centres[:, :, None] + torch.matmul(patch, self.axes())

    def into(self, points: Tensor) -> Tensor:
        """Points (N, 2, K, 2) from the crop's -1..1 to the patches'."""
        axes = self.axes()
        lengths = (axes * axes).sum(3, keepdim=True)
        return torch.matmul(points - self.centres[:, :, None], (axes / lengths).transpose(2, 3))


def frame_of(mesh: Tensor) -> Frame:
    """The patches' frame by a mesh (N, 478, 2): roll and size by the outer corners and by forehead and chin."""
    across, down = mesh[:, 263] - mesh[:, 33], mesh[:, 152] - mesh[:, 10]
    aside = across + 0.5 * torch.stack((down[:, 1], -down[:, 0]), 1)
    size = torch.maximum(_length(across), FACE * _length(down))
    centres = 0.5 * (mesh[:, [33, 263]] + mesh[:, [133, 362]])
    return Frame(centres, aside * (HALF * size / _length(aside).clamp(min=1e-4)))


def _length(vectors: Tensor) -> Tensor:
    return (vectors * vectors).sum(1, keepdim=True).sqrt()


def eye_points(mesh: Tensor) -> Tensor:
    """(N, 2, 21, 2): each eye's points of a mesh (N, 478, 2)."""
    return mesh[:, [point for eye in EYE_POINTS for point in eye]].reshape(-1, 2, len(_RIGHT), 2)


def eye_shapes(shapes: Tensor) -> Tensor:
    """(N, 2, 7): each eye's of blend shapes (N, 52), or of their logits."""
    return shapes[:, [shape for eye in EYE_SHAPES for shape in eye]].reshape(-1, 2, len(_READ))


def patch_layers() -> nn.Sequential:
    """Convolutions from patches (N, 3, 32, 48) to (N, 64, 4, 6)."""
    return nn.Sequential(
        ConvBN(3, 16, stride=2),
        ConvBN(16, 24),
        ConvBN(24, 48, stride=2),
        ConvBN(48, 48, skip=True),
        ConvBN(48, 64, stride=2),
    )


class Eyes(nn.Module):
    """Planes of a crop (N, 3, S, S), 0..255, and a frame -> points in the patches (N, 2, 21, 2) and logits (N, 2, 7).

    `mix` (3, 7) weighs these logits and the heads', and shifts the sum; `share` (21, 1) is how far each point goes from
    where the heads have it to where it is seen here: two that err apart are nearer together, and where an eye cannot be
    seen the rest of the face still tells something.
    """

    mix: Tensor
    share: Tensor
    point_order: Tensor
    shape_order: Tensor
    cells: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = patch_layers()
        self.first = nn.Linear(SEEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, 2 * len(_RIGHT) + len(_READ))
        self.register_buffer("mix", torch.tensor((1.0, 0.0, 0.0))[:, None].repeat(1, len(_READ)))
        self.register_buffer("share", torch.ones(len(_RIGHT), 1))
        # Buffers, not constants of the graph, so that both run on any device; not saved.
        y, x = torch.meshgrid(_steps(HEIGHT), _steps(WIDTH), indexing="ij")
        self.register_buffer("cells", torch.stack((x, y), 2).reshape(1, 1, -1, 2), persistent=False)
        points, shapes = list(range(478)), list(range(len(BLENDSHAPES)))
        for order, eyes in ((points, EYE_POINTS), (shapes, EYE_SHAPES)):
            for new, old in enumerate(sum(eyes, ())):
                order[old] = (478 if order is points else len(BLENDSHAPES)) + new
        self.register_buffer("point_order", torch.tensor(points), persistent=False)
        self.register_buffer("shape_order", torch.tensor(shapes), persistent=False)

    def forward(self, planes: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        x = self.layers(self.patches(planes, frame))
        told = self.last(F.relu(self.first(x.flatten(1)))).float().reshape(-1, 2, 2 * len(_RIGHT) + len(_READ))
        return told[..., : 2 * len(_RIGHT)].reshape(-1, 2, len(_RIGHT), 2), told[..., 2 * len(_RIGHT) :]

    def patches(self, planes: Tensor, frame: Frame) -> Tensor:
        """(2 N, 3, 32, 48) of one brightness and contrast: each face's right eye, then its left, mirrored."""
        grid = frame.out(self.cells).reshape(-1, 2 * HEIGHT, WIDTH, 2)
        return evened(F.grid_sample(planes, grid, padding_mode="border", align_corners=False))

    def refine(self, planes: Tensor, mesh: Tensor, expression: Tensor) -> tuple[Tensor, Tensor]:
        """The heads' mesh (N, 478, 2) and blend shapes' logits (N, 52), each eye's by its patch."""
        frame = frame_of(mesh)
        patch, logits = self(planes, frame)
        mixed = self.mix[0] * logits + self.mix[1] * eye_shapes(expression) + self.mix[2]
        coarse = eye_points(mesh)
        points = coarse + self.share * (frame.out(patch) - coarse)
        return (
            torch.cat((mesh, points.flatten(1, 2)), 1)[:, self.point_order],
            torch.cat((expression, mixed.flatten(1)), 1)[:, self.shape_order],
        )


def evened(pixels: Tensor) -> Tensor:
    """The eyes' pixels (N, 3, 64, 48), the right one's over the left's, as patches (2 N, 3, 32, 48) of one brightness
    and contrast."""
    x = pixels.reshape(-1, 3, 2, HEIGHT, WIDTH).transpose(1, 2).reshape(-1, 3, HEIGHT, WIDTH)
    x = x - x.mean((1, 2, 3), keepdim=True)
    return x / ((x * x).mean((1, 2, 3), keepdim=True).sqrt() + _FLOOR)


def planes_of(crops: Tensor) -> Tensor:
    """Crops (N, S, S, 3) uint8 as planes (N, 3, S, S) of numbers."""
    return crops.to(torch.float32).permute(0, 3, 1, 2)


def _steps(count: int) -> Tensor:
    """Middles of so many pixels from -1 to 1."""
    return (2.0 * torch.arange(count) + 1.0) / count - 1.0

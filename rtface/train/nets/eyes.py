"""The eye branch of the heads: a small network that looks at the pixels of each eye.

The features that the heads read are strides of 2 and more, and an iris is three pixels wide there. So the heads' own
mesh only says where the eyes are: a patch of each is cut from the crop, turned with the face, scaled by its size, the
left one mirrored so that both eyes share their weights, and brought to the same brightness and contrast. What is read
in a patch, the eye's contour and iris and its seven blend shapes, takes the place of what the heads say of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

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
SHARED, FEATURES = 3, 48  # layers that a line of sight has in common with the eyes, and their channels
SEEN = 64 * (HEIGHT // 8) * (WIDTH // 8)  # numbers that the last of them make of a patch
HIDDEN = 96
_FLOOR = 8.0  # least contrast: noise is not made to look like an eye


@dataclass
class Frame:
    """Where patches are cut: centres (N, 2, 2) of the right and left eye, half (N, 2) from a centre to the side."""

    centres: Tensor
    half: Tensor

    def maps(self) -> Tensor:
        """(N, 2, 3, 2): by eye what takes a patch's (x, y, 1) to the crop: the vectors to the patch's right and lower
        edge, and its centre; the left eye's patch is mirrored."""
        axes = exactly(self.half, _on(self.half, _AXES)).reshape(-1, 2, 2, 2)
        return torch.cat((axes, self.centres[:, :, None]), 2)

    def out(self, patch: Tensor) -> Tensor:
        """Points (N, 2, K, 2) from the patches' -1..1 to the crop's."""
        return out_of(patch, self.maps())

    def into(self, points: Tensor) -> Tensor:
        """Points (N, 2, K, 2) from the crop's -1..1 to the patches'."""
        return into(points, self.maps())


def out_of(patch: Tensor, maps: Tensor) -> Tensor:
    """Points (N, 2, K, 2) of patches in the crop, by `Frame.maps`."""
    return exactly(patch, maps[:, :, :2]) + maps[:, :, 2:]


def into(points: Tensor, maps: Tensor) -> Tensor:
    """Points (N, 2, K, 2) of the crop in patches, by `Frame.maps`."""
    axes = maps[:, :, :2]
    return exactly(points - maps[:, :, 2:], (axes / (axes * axes).sum(3, keepdim=True)).transpose(2, 3))


def exactly(a: Tensor, b: Tensor) -> Tensor:
    """Their matrix product in float32, under autocast too: in bfloat16 a place in a crop is off by up to a quarter of
    a pixel."""
    with torch.autocast(a.device.type, enabled=False):
        return torch.matmul(a.float(), b.float())


_ASPECT = HEIGHT / WIDTH
_AXES = ((1, 0, 0, _ASPECT, -1, 0, 0, _ASPECT), (0, 1, -_ASPECT, 0, 0, -1, -_ASPECT, 0))
"""From half's x and y to the right eye's vectors to its right and lower edge, then the left one's."""

_PLACED = (33, 263, 152, 10, 133, 362)
_FRAMED = (
    (-1, 0, 0, 0, -1, 0, 0.5, 0, 0, 0),
    (0, -1, 0, 0, 0, -1, 0, 0.5, 0, 0),
    (1, 0, 0, 0, 1, 0, 0, 0, 0.5, 0),
    (0, 1, 0, 0, 0, 1, 0, 0, 0, 0.5),
    (0, 0, FACE, 0, 0, -0.5, 0, 0, 0, 0),
    (0, 0, 0, FACE, 0.5, 0, 0, 0, 0, 0),
    (0, 0, -FACE, 0, 0, 0.5, 0, 0, 0, 0),
    (0, 0, 0, -FACE, -0.5, 0, 0, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0.5, 0, 0, 0),
    (0, 0, 0, 0, 0, 0, 0, 0.5, 0, 0),
    (0, 0, 0, 0, 0, 0, 0, 0, 0.5, 0),
    (0, 0, 0, 0, 0, 0, 0, 0, 0, 0.5),
)
"""From these points, x and y of one after the other, to: the way from outer corner to outer corner; that from forehead
to chin, times `FACE`; the first and half of the second, turned by a quarter, which points aside; both eyes' middles.
One product in place of a dozen small operations, each of which costs a runtime as much."""


def frame_of(mesh: Tensor) -> Frame:
    """The patches' frame by a mesh (N, 478, 2): roll and size by the outer corners and by forehead and chin."""
    told = exactly(mesh[:, list(_PLACED)].flatten(1), _on(mesh, _FRAMED))
    lengths = told[:, :6].reshape(-1, 3, 2).norm(dim=2)
    size = lengths[:, :2].amax(1, keepdim=True)
    half = told[:, 4:6] * (HALF * size / lengths[:, 2:].clamp(min=1e-4))
    return Frame(told[:, 6:].reshape(-1, 2, 2), half)


def _on(like: Tensor, numbers: tuple[tuple[float, ...], ...]) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)


def eye_points(mesh: Tensor) -> Tensor:
    """(N, 2, 21, 2): each eye's points of a mesh (N, 478, 2)."""
    return mesh[:, [point for eye in EYE_POINTS for point in eye]].reshape(-1, 2, len(_RIGHT), 2)


def eye_shapes(shapes: Tensor) -> Tensor:
    """(N, 2, 7): each eye's of blend shapes (N, 52), or of their logits."""
    return shapes[:, [shape for eye in EYE_SHAPES for shape in eye]].reshape(-1, 2, len(_READ))


def last_layers() -> tuple[ConvBN, ConvBN]:
    """From features (N, 48, 8, 12) to (N, 64, 4, 6)."""
    return ConvBN(FEATURES, FEATURES, skip=True), ConvBN(FEATURES, 64, stride=2)


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
        self.layers = nn.Sequential(
            ConvBN(3, 16, stride=2),
            ConvBN(16, 24),
            ConvBN(24, FEATURES, stride=2),
            *last_layers(),
        )
        self.first = nn.Linear(SEEN, HIDDEN)
        self.last = nn.Linear(HIDDEN, 2 * len(_RIGHT) + len(_READ))
        self.register_buffer("mix", torch.tensor((1.0, 0.0, 0.0))[:, None].repeat(1, len(_READ)))
        self.register_buffer("share", torch.ones(len(_RIGHT), 1))
        self.kept: nn.Parameter | None = None
        # Buffers, not constants of the graph, so that both run on any device; not saved.
        y, x = torch.meshgrid(_steps(HEIGHT), _steps(WIDTH), indexing="ij")
        cells = torch.stack((x, y, torch.ones_like(x)), 2).reshape(1, 1, -1, 3)
        self.register_buffer("cells", cells, persistent=False)
        points, shapes = list(range(478)), list(range(len(BLENDSHAPES)))
        for order, eyes in ((points, EYE_POINTS), (shapes, EYE_SHAPES)):
            for new, old in enumerate(sum(eyes, ())):
                order[old] = (478 if order is points else len(BLENDSHAPES)) + new
        self.register_buffer("point_order", torch.tensor(points), persistent=False)
        self.register_buffer("shape_order", torch.tensor(shapes), persistent=False)

    def forward(self, planes: Tensor, frame: Frame) -> tuple[Tensor, Tensor]:
        return self.read(self.features(planes, frame.maps()))

    def features(self, planes: Tensor, maps: Tensor) -> Tensor:
        """(2 N, 48, 8, 12): patches after the first layers, which a line of sight reads too."""
        seen: Tensor = self.layers[:SHARED](self.patches(planes, maps))
        return seen

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What features show: points in the patches (N, 2, 21, 2) and logits (N, 2, 7)."""
        x = self.layers[SHARED:](features)
        told = self.last(F.relu(self.first(x.flatten(1)))).float().reshape(-1, 2, 2 * len(_RIGHT) + len(_READ))
        return told[..., : 2 * len(_RIGHT)].reshape(-1, 2, len(_RIGHT), 2), told[..., 2 * len(_RIGHT) :]

    def patches(self, planes: Tensor, maps: Tensor) -> Tensor:
        """(2 N, 3, 32, 48) of one brightness and contrast: each face's right eye, then its left, mirrored."""
        grid = exactly(self.cells, maps).reshape(-1, 2 * HEIGHT, WIDTH, 2)
        return evened(F.grid_sample(planes, grid, padding_mode="border", align_corners=False))

    def refine(self, planes: Tensor, mesh: Tensor, expression: Tensor) -> Refined:
        """The heads' mesh (N, 478, 2) and blend shapes' logits (N, 52), each eye's by its patch."""
        maps = frame_of(mesh).maps()
        features = self.features(planes, maps)
        patch, logits = self.read(features)
        coarse = eye_points(mesh)
        points = coarse + self.share * (out_of(patch, maps) - coarse)
        return Refined(
            torch.cat((mesh, points.flatten(1, 2)), 1)[:, self.point_order],
            torch.cat((expression, self._mixed(logits, eye_shapes(expression)).flatten(1)), 1)[:, self.shape_order],
            features,
            maps,
        )

    def _mixed(self, logits: Tensor, shapes: Tensor) -> Tensor:
        """Its own logits (N, 2, 7) and the heads'."""
        if self.kept is not None:
            return logits + self.kept * shapes
        return self.mix[0] * logits + self.mix[1] * shapes + self.mix[2]

    def unfolded(self, stored: dict[str, Tensor]) -> dict[str, Tensor]:
        """The mix as it was before `fold`, by what a file holds."""
        kept = stored.get("kept")
        return {} if kept is None else {"mix": torch.stack((torch.ones_like(kept), kept, torch.zeros_like(kept)))}

    @torch.no_grad()
    def fold(self) -> None:
        """Own weights and shift of the mix into the last layer (for export; not undoable)."""
        if self.kept is not None:
            return
        own = slice(2 * len(_RIGHT), None)
        self.last.weight[own] *= self.mix[0][:, None]
        self.last.bias[own] = self.last.bias[own] * self.mix[0] + self.mix[2]
        self.kept = nn.Parameter(self.mix[1].clone())
        self.mix[0], self.mix[2] = 1.0, 0.0


class Refined(NamedTuple):
    """Mesh (N, 478, 2) and logits (N, 52) by the eyes' pixels; what was seen of the patches (2 N, 48, 8, 12), and where
    they lie (N, 2, 3, 2), `Frame.maps`."""

    mesh: Tensor
    expression: Tensor
    features: Tensor
    maps: Tensor


def evened(pixels: Tensor) -> Tensor:
    """The eyes' pixels (N, 3, 64, 48), the right one's over the left's, as patches (2 N, 3, 32, 48) of one brightness
    and contrast."""
    x = pixels.reshape(-1, 3, 2, HEIGHT, WIDTH).transpose(1, 2).reshape(-1, 3 * HEIGHT * WIDTH)
    x = x - x.mean(1, keepdim=True)
    root = math.sqrt(x.shape[1])  # a norm is so many times the spread
    x = x * (root / (x.norm(dim=1, keepdim=True) + _FLOOR * root))
    return x.reshape(-1, 3, HEIGHT, WIDTH)


def planes_of(crops: Tensor) -> Tensor:
    """Crops (N, S, S, 3) uint8 as planes (N, 3, S, S) of numbers."""
    return crops.to(torch.float32).permute(0, 3, 1, 2)


def _steps(count: int) -> Tensor:
    """Middles of so many pixels from -1 to 1."""
    return (2.0 * torch.arange(count) + 1.0) / count - 1.0

"""The detector: MOS-style, one stage, box + 5 points + head pose a face.

MOS ("A Low Latency and Lightweight Framework for Face Detection, Landmark Localization and Head Pose Estimation",
arXiv 2110.10953): light backbone, feature pyramid, SSH context, a multi-task head whose six stems (face, box, points,
yaw, pitch, roll) are mixed by cross-stitch units. Plain dense convolutions, one prior a cell at strides 8, 16, 32.
"""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.train.nets.blocks import ConvBN, Normalise, fold_all

STRIDES = (8, 16, 32)
POSE_SCALE = 45.0  # degrees per unit
FIELDS = (1, 4, 10, 1, 1, 1)  # outputs of the stems: face, box, points, yaw, pitch, roll
OUTPUTS = sum(FIELDS)  # 18


class Backbone(nn.Module):
    """Features at strides 8, 16, 32 with 48, 80, 128 channels; 194 M multiply-adds for the whole net at 320x256."""

    channels = (48, 80, 128)

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(ConvBN(3, 16, stride=2), ConvBN(16, 32, stride=2))
        self.s8 = nn.Sequential(ConvBN(32, 48, stride=2), ConvBN(48, 48, skip=True))
        self.s16 = nn.Sequential(ConvBN(48, 80, stride=2), ConvBN(80, 80, skip=True), ConvBN(80, 80, skip=True))
        self.s32 = nn.Sequential(ConvBN(80, 128, stride=2), ConvBN(128, 128, skip=True))
        self._frozen: tuple[nn.Module, ...] = ()  # in a tuple: no part of what is saved or learned

    def freeze_stem(self) -> None:
        """Keep the stem as it is from now on: its maps are the largest; a step takes a fifth less."""
        for parameter in self.stem.parameters():
            parameter.requires_grad_(False)
        folded = copy.deepcopy(self.stem).eval()
        self._frozen = (fold_all(folded),)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self._frozen:
            with torch.no_grad():
                low = self._frozen[0](x)
        else:
            low = self.stem(x)
        f8 = self.s8(low)
        f16 = self.s16(f8)
        return f8, f16, self.s32(f16)


class Context(nn.Module):
    """SSH context module (Najibi et al., ICCV 2017, section 3.3): 3x3, 5x5 and 7x7 views as chains of 3x3.

    `fold` joins the two convolutions that read the input, and the two that read its shrunk form, into one each: with
    12 outputs a convolution does not fill the vector units.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.near = ConvBN(width, width // 2, act=False)
        self.shrink = ConvBN(width, width // 4)
        self.middle = ConvBN(width // 4, width // 4, act=False)
        self.far1 = ConvBN(width // 4, width // 4)
        self.far2 = ConvBN(width // 4, width // 4, act=False)
        self.joined: nn.ModuleList | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.joined is None:
            small = self.shrink(x)
            return F.relu(torch.cat((self.near(x), self.middle(small), self.far2(self.far1(small))), 1))
        quarter = self.width // 4
        near, small = self.joined[0](x).relu().split((2 * quarter, quarter), 1)
        middle, far = self.joined[1](small).relu().split(quarter, 1)
        return torch.cat((near, middle, F.relu(self.far2(far))), 1)

    @torch.no_grad()
    def fold(self) -> None:
        """Join convolutions (for export; not undoable). ReLU may come before the concatenation: it is element-wise."""
        for block in (self.near, self.shrink, self.middle, self.far1):
            block.fold()
        self.joined = nn.ModuleList((_join(self.near, self.shrink), _join(self.middle, self.far1)))
        del self.near, self.shrink, self.middle, self.far1

    def unfolded(self, stored: dict[str, Tensor]) -> dict[str, Tensor]:
        """The folded parts' weights by the names that they had before `fold`."""
        quarter = self.width // 4
        parts: dict[str, Tensor] = {}
        for index, names, first in ((0, ("near", "shrink"), 2 * quarter), (1, ("middle", "far1"), quarter)):
            for kind in ("weight", "bias"):
                whole = stored.get(f"joined.{index}.{kind}")
                if whole is not None:
                    parts |= {f"{names[0]}.conv.{kind}": whole[:first], f"{names[1]}.conv.{kind}": whole[first:]}
        return parts


def _join(first: ConvBN, second: ConvBN) -> nn.Conv2d:
    """One convolution with the outputs of two folded ones that read the same input."""
    channels = first.conv.out_channels + second.conv.out_channels
    joined = nn.Conv2d(first.conv.in_channels, channels, 3, padding=1)
    joined.weight.copy_(torch.cat((first.conv.weight, second.conv.weight)))
    assert joined.bias is not None and first.conv.bias is not None and second.conv.bias is not None
    joined.bias.copy_(torch.cat((first.conv.bias, second.conv.bias)))
    return joined


class CrossStitchHead(nn.Module):
    """Six stems, per-channel cross-stitch (Misra et al., CVPR 2016; MOS section 3.2), one linear head a stem.

    The stitch and the heads are both linear, so the forward pass composes their weights into a single 1x1
    convolution: the same function as mixing the feature maps, at a sixth of the memory traffic, and nothing to fold.
    """

    def __init__(self, width: int, stem: int = 24, cross_stitch: bool = True) -> None:
        super().__init__()
        tasks = len(FIELDS)
        self.stems = ConvBN(width, tasks * stem, kernel=1)
        self.heads = nn.ParameterList(nn.Parameter(torch.randn(n, stem) * 0.02) for n in FIELDS)
        self.bias = nn.Parameter(torch.zeros(OUTPUTS))
        with torch.no_grad():
            self.bias[0] = -4.6  # prior face probability 1 % (RetinaNet, arXiv 1708.02002, section 4.1)
        off = 0.1 / (tasks - 1)
        alpha = torch.full((tasks, tasks, stem), off)
        alpha[range(tasks), range(tasks)] = 0.9
        if not cross_stitch:
            alpha = torch.eye(tasks)[..., None].expand(tasks, tasks, stem).contiguous()
        self.alpha = nn.Parameter(alpha, requires_grad=cross_stitch)
        self.folded: nn.Parameter | None = None

    def forward(self, x: Tensor) -> Tensor:
        weight = self._composed() if self.folded is None else self.folded
        return F.conv2d(self.stems(x), weight, self.bias)

    def _composed(self) -> Tensor:
        rows = [(head[:, None, :] * self.alpha[s][None]).flatten(1) for s, head in enumerate(self.heads)]
        return torch.cat(rows)[:, :, None, None]

    @torch.no_grad()
    def fold(self) -> None:
        """Keep the composed weights in place of their factors (for export)."""
        self.folded = nn.Parameter(self._composed())

    @torch.no_grad()
    def unfolded(self, stored: dict[str, Tensor]) -> dict[str, Tensor]:
        """Factors whose composition is the stored one, by name.

        A task's weights over another's stem are its own times one number a channel, so the factors follow from the
        composition once the stitch of each stem with itself is set: as a network begins.
        """
        folded = stored.get("folded")
        tasks, stem = self.alpha.shape[0], self.alpha.shape[2]
        if folded is None or folded.shape != (OUTPUTS, tasks * stem, 1, 1):
            return {}
        factors, alpha = {}, self.alpha.detach().clone()
        for s, rows in enumerate(torch.split(folded.float().reshape(OUTPUTS, tasks, stem), list(FIELDS))):
            head = rows[:, s] / alpha[s, s]
            factors[f"heads.{s}"] = head
            alpha[s] = (rows * head[:, None]).sum(0) / head.pow(2).sum(0).clamp(min=1e-12)
        return factors | {"alpha": alpha}


class DetectorNet(nn.Module):
    """Input (N, H, W, 3) BGR 0..255, H and W multiples of 32 -> raw predictions (N, cells, 18), strides in order."""

    def __init__(self, width: int = 48, cross_stitch: bool = True) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.backbone = Backbone()
        self.lateral = nn.ModuleList(ConvBN(c, width, kernel=1, act=False) for c in Backbone.channels)
        self.context = nn.ModuleList(Context(width) for _ in STRIDES)
        self.head = CrossStitchHead(width, cross_stitch=cross_stitch)

    def levels(self, image: Tensor) -> list[Tensor]:
        """Raw predictions (N, 18, H / stride, W / stride) of each stride."""
        features = self.backbone(self.normalise(image).contiguous(memory_format=torch.channels_last))
        l8, l16, l32 = (lateral(f) for lateral, f in zip(self.lateral, features, strict=True))
        l16 = l16 + F.interpolate(l32, scale_factor=2.0, mode="nearest")
        l8 = l8 + F.interpolate(l16, scale_factor=2.0, mode="nearest")
        return [self.head(c(F.relu(f))) for c, f in zip(self.context, (l8, l16, l32), strict=True)]

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([level.flatten(2) for level in self.levels(image)], 2).transpose(1, 2).float()


def cells(height: int, width: int, device: torch.device | None = None) -> tuple[Tensor, Tensor]:
    """Cell centres (cells, 2) in px and strides (cells, 1) for an input of this size; pixel centres at integers.

    While an export traces it, sizes are tensors that call themselves int, which keeps them open in the graph.
    """
    centres, strides = [], []
    for stride in STRIDES:
        x = (torch.arange(width // stride, device=device) + 0.5) * stride - 0.5
        y = (torch.arange(height // stride, device=device) + 0.5) * stride - 0.5
        grid = torch.stack((x[None, :] + 0 * y[:, None], y[:, None] + 0 * x[None, :]), 2).reshape(-1, 2)
        centres.append(grid)
        strides.append(torch.full_like(grid[:, :1], float(stride)))
    return torch.cat(centres), torch.cat(strides)


def decode(raw: Tensor, centres: Tensor, strides: Tensor) -> Tensor:
    """Raw (N, cells, 18) -> x0 y0 x1 y1 px, score logit, 5 points px, yaw pitch roll degrees (N, cells, 18)."""
    middle = centres + raw[..., 1:3] * strides
    half = torch.exp(raw[..., 3:5].clamp(max=4.0)) * strides  # up to 54 strides
    points = centres.repeat(1, 5) + raw[..., 5:15] * (2.0 * strides)
    return torch.cat((middle - half, middle + half, raw[..., :1], points, raw[..., 15:18] * POSE_SCALE), -1)


class DetectorExport(nn.Module):
    """DetectorNet as the runtime sees it: decode and sigmoid in the graph; see the registry entry for the output.

    The same function as `decode`, but with cells last until the end: slices of whole rows are views there, while
    slices of the last axis copy number by number (0.6 ms of 3.5 ms at 320x256 in ONNX Runtime, one thread).
    """

    def __init__(self, net: DetectorNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> Tensor:
        levels = [
            _decode_level(level, float(stride)) for level, stride in zip(self.net.levels(image), STRIDES, strict=True)
        ]
        return torch.cat(levels, 2).transpose(1, 2)


def _decode_level(raw: Tensor, stride: float) -> Tensor:
    """One level's raw map (N, 18, h, w) -> decoded rows (N, 18, h * w)."""
    height, width = raw.shape[2], raw.shape[3]
    x = (torch.arange(width, device=raw.device) * stride + (0.5 * stride - 0.5)).reshape(1, 1, 1, width)
    y = (torch.arange(height, device=raw.device) * stride + (0.5 * stride - 0.5)).reshape(1, 1, height, 1)
    centre = torch.cat((x.expand(1, 1, height, width), y.expand(1, 1, height, width)), 1)
    middle = raw[:, 1:3] * stride + centre
    half = torch.exp(raw[:, 3:5].clamp(max=4.0)) * stride
    points = raw[:, 5:15] * (2.0 * stride) + centre.repeat(1, 5, 1, 1)
    rows = (middle - half, middle + half, torch.sigmoid(raw[:, :1]), points, raw[:, 15:18] * POSE_SCALE)
    return torch.cat(rows, 1).flatten(2)

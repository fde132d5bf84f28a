"""iFAN's own network ("Integrated Face Analytics Networks through Cross-Dataset Hybrid Training", ACM MM 2017).

A fully convolutional DenseNet (Jegou et al., CVPRW 2017) on 128x128 crops: a 7x7 stem, five dense blocks of three
3x3 layers (growth 12) with 2x2 average pooling between them down to 4x4, five more with sub-pixel convolution back up
to 128x128. Emotion is read from 4x4, landmarks from 8x8, parsing from 128x128. Re-encoders turn the answers back into
features (points as heat maps of radius 5 px and the parsing map by convolution and pooling, emotion probabilities by
a fully connected layer, tiled), which are concatenated with the shared features at those resolutions for another round.

It gives the same `Outputs` as the fast network (nets.ifan), so losses and training drive both. Pose, face presence
and expected error are not the paper's: rtface's engine has them, so a small layer on the emotion features gives them.
The paper leaves open at which resolutions the integration enters; here it is where a decoder reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.train.nets.blocks import ConvBN, Normalise
from rtface.train.nets.ifan import EMOTIONS, PARSING, POINTS, SUB, Outputs, Rows, by_sub_pixel

GROWTH, LAYERS, BLOCKS, STEM = 12, 3, 5, 24
RADIUS = 5.0  # px of a 128 px crop: where a heat map has fallen to e^-2
READ = (32, 16, 1)  # strides that decoders read: emotion, landmarks, parsing
ENCODED = 16  # channels of one re-encoded answer


class DenseBlock(nn.Module):
    """`LAYERS` layers, each reading all before it: C channels -> C + LAYERS * GROWTH."""

    def __init__(self, in_ch: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(ConvBN(in_ch + i * GROWTH, GROWTH) for i in range(LAYERS))
        self.channels = in_ch + LAYERS * GROWTH

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat((x, layer(x)), 1)
        return x


class Up(nn.Module):
    """Twice the size by sub-pixel convolution (Shi et al., CVPR 2016): C channels -> out_ch."""

    def __init__(self, in_ch: int, out_ch: int) -> None:
        super().__init__()
        self.conv = ConvBN(in_ch, out_ch * 4, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.conv(x), 2)


class DenseEncoder(nn.Module):
    """Crop -> features at strides 32, 16 and 1 of the up-going path."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBN(3, STEM, kernel=7)
        self.down, self.squeeze = nn.ModuleList(), nn.ModuleList()
        width, skips = STEM, []
        for _ in range(BLOCKS):
            block = DenseBlock(width)
            self.down.append(block)
            skips.append(block.channels)
            width = block.channels // 2  # DenseNet's compression (Huang et al., CVPR 2017, section 3)
            self.squeeze.append(ConvBN(block.channels, width, kernel=1))
        self.up, self.blocks, self.channels = nn.ModuleList(), nn.ModuleList(), [width]
        for skip in reversed(skips):
            self.up.append(Up(width, LAYERS * GROWTH // 2))
            self.blocks.append(DenseBlock(LAYERS * GROWTH // 2 + skip))
            width = LAYERS * GROWTH + LAYERS * GROWTH // 2 + skip
            self.channels.append(width)
        self.widths = (self.channels[0], self.channels[1], self.channels[-1])

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, skips = self.stem(x), []
        for block, squeeze in zip(self.down, self.squeeze, strict=True):
            x = block(x)
            skips.append(x)
            x = F.avg_pool2d(squeeze(x), 2)
        levels = [x]
        for up, block, skip in zip(self.up, self.blocks, reversed(skips), strict=True):
            levels.append(block(torch.cat((up(levels[-1]), skip), 1)))
        return levels[0], levels[1], levels[-1]


class Pyramid(nn.Module):
    """A full-size map -> `ENCODED` channels at each of the strides `READ`, by convolution and pooling."""

    def __init__(self, in_ch: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([ConvBN(in_ch, ENCODED)] + [ConvBN(ENCODED, ENCODED) for _ in range(BLOCKS)])

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = [self.convs[0](x)]
        for conv in list(self.convs)[1:]:
            levels.append(conv(F.avg_pool2d(levels[-1], 2)))
        return [levels[stride.bit_length() - 1] for stride in READ]


class ReEncoders(nn.Module):
    """Answers of a round -> features (N, 3 * ENCODED, h, w) at each of the strides `READ`."""

    def __init__(self) -> None:
        super().__init__()
        self.points = Pyramid(POINTS)
        self.parsing = Pyramid(PARSING)
        self.emotion = nn.Linear(EMOTIONS, ENCODED)
        self.channels = 3 * ENCODED

    def forward(self, out: Outputs) -> list[Tensor]:
        parsing = F.pixel_shuffle(out.parsing_logits, SUB)
        points = self.points(heat_maps(out.points, parsing.shape[-1]).to(parsing.dtype))
        masks = self.parsing(torch.softmax(parsing, 1))
        emotion = F.relu(self.emotion(torch.softmax(out.emotion_logits, 1)))[:, :, None, None]
        return [torch.cat((p, m, emotion.expand(-1, -1, *p.shape[2:])), 1) for p, m in zip(points, masks, strict=True)]


def heat_maps(points: Tensor, size: int) -> Tensor:
    """A blob of `RADIUS` about each normalised point: (N, 68, 2) -> (N, 68, size, size), 1 at its centre."""
    sigma = 0.5 * RADIUS * size / 128
    px = (points + 1) * (0.5 * size) - 0.5
    at = torch.arange(size, device=points.device, dtype=points.dtype)
    across, down = (torch.exp(-0.5 * ((at - px[..., i : i + 1]) / sigma) ** 2) for i in (0, 1))
    return down[..., :, None] * across[..., None, :]


class PaperDecoders(nn.Module):
    """Features at the strides `READ` -> one round's answers."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        deep, middle, full = widths
        self.emotion_conv = ConvBN(deep, 128)
        self.emotion = nn.Linear(128, EMOTIONS)
        self.rest = nn.Linear(128, 5)
        self.points_conv = ConvBN(middle, 32)
        self.points = nn.Sequential(nn.Linear(32 * 64, 256), nn.ReLU(), nn.Linear(256, POINTS * 2))
        nn.init.normal_(self.points[-1].weight, std=0.01)  # type: ignore[arg-type]
        nn.init.zeros_(self.points[-1].bias)  # type: ignore[arg-type]
        self.parsing = nn.Conv2d(full, PARSING, 1)

    def forward(self, features: Sequence[Tensor], label_scale: float = 1.0, rows: Rows | None = None) -> Outputs:
        deep, middle, full = features
        vector = self.emotion_conv(deep).float().mean((2, 3))
        rest = self.rest(vector)
        if rows is not None:
            middle, full = middle[rows.landmarks], full[rows.parsing]
        points = self._points(middle) if len(middle) else middle.new_zeros(0, POINTS, 2)
        parsing = F.pixel_unshuffle(self.parsing(full) * label_scale, SUB)  # the fast network's layout of the logits
        if label_scale != 1.0:
            parsing = by_sub_pixel(parsing.transpose(0, 1)).transpose(0, 1)
        return Outputs(
            points=points,
            heat=points.new_zeros(len(points), 0, *middle.shape[2:]),
            parsing_logits=parsing,
            emotion_logits=self.emotion(vector),
            pose=rest[:, :3],
            face_logit=rest[:, 3],
            landmark_std=F.softplus(rest[:, 4]) * 0.05,
            rows=rows,
        )

    def _points(self, middle: Tensor) -> Tensor:
        x = self.points_conv(middle)
        if x.shape[-1] != 8:  # a crop of another size than the paper's
            x = F.interpolate(x, size=(8, 8), mode="bilinear")
        points: Tensor = self.points(x.flatten(1)).float()
        return points.reshape(-1, POINTS, 2)


class PaperNet(nn.Module):
    """The whole. Input (N, S, S, 3) BGR 0..255, S a multiple of 32, 128 in the paper."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.encoder = DenseEncoder()
        self.decoders = PaperDecoders(self.encoder.widths)
        self.reencode = ReEncoders()
        self.integrate = nn.ModuleList(ConvBN(w + self.reencode.channels, w, kernel=1) for w in self.encoder.widths)

    def forward(
        self, crops: Tensor, iterations: int = 0, label_scale: float = 1.0, rows: Rows | None = None
    ) -> list[Outputs]:
        """Outputs of every round, 0..iterations; arguments as of `nets.ifan.EngineNet.forward`."""
        x = self.normalise(crops).contiguous(memory_format=torch.channels_last)
        shared = self.encoder(x)
        last = 1.0 if iterations else label_scale
        rounds = [self.decoders(shared, last, rows if iterations == 0 else None)]
        for index in range(iterations):
            encoded = self.reencode(rounds[-1])
            features = [mix(torch.cat((f, e), 1)) for mix, f, e in zip(self.integrate, shared, encoded, strict=True)]
            rounds.append(self.decoders(features, label_scale if index == iterations - 1 else 1.0))
        return rounds

    def freeze_base(self) -> None:
        """Let only re-encoders and integration learn, from here on: what ITER 0 says stays as it is."""
        for module in (self.encoder, self.decoders):
            module.eval()
            module.requires_grad_(False)

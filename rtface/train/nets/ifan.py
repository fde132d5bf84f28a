"""The multi-task engine: a fast network in the shape of iFAN.

iFAN ("Integrated Face Analytics Networks through Cross-Dataset Hybrid Training", ACM MM 2017): a shared encoder,
one decoder a task, re-encoders that turn each task's prediction back into features, and an integrator that mixes
them with the shared features before the decoders run again (ITER = number of such rounds, 0 = plain multi-task).

Here the shared feature is one map at stride 8 (16x16 for a 128x128 crop) that already holds the deeper strides'
context, so a round of interaction costs only integrator + decoders. The network is convolutional: training may
run at 64 or 96 px first.

Coordinates inside the network are normalised: -1..1 across the crop's area (pixel centres at (2 i + 1) / S - 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.train.nets.blocks import ConvBN, Normalise
from rtface.train.nets.rmt import Association, Residual

POINTS = 68
PARSING = 19
EMOTIONS = 8
POSE_SCALE = 45.0  # degrees per unit of the pose head, so that its targets are of order one
WIDTH = 80  # channels of the shared map: with 80, ITER 0 takes 172 M multiply-adds a crop
VECTOR = 192  # channels of the vector decoder's features
SUB = 4  # sub-pixel factor from the parsing decoder (stride 4) to the crop


@dataclass
class Rows:
    """Which samples of a batch a decoder needs to run on: those that carry its task's label."""

    landmarks: slice | Tensor
    parsing: slice | Tensor


@dataclass
class Outputs:
    """What one round of decoders says; logits where the name says so. `rows` None = every sample has every answer;
    else points and heat are those of `rows.landmarks` only, parsing_logits those of `rows.parsing`.

    points (N, 68, 2) normalised; heat (N, 68, h, w) cell logits; parsing_logits (N, 19 * 16, H/4, W/4), sub-pixel
    order of `pixel_shuffle`; emotion_logits (N, 8); pose (N, 3) in units of POSE_SCALE; face_logit (N,);
    landmark_std (N,) expected landmark error as a share of the crop's side. `plain` = points and emotion logits before
    the residual correction, where there is one. A network that regresses its points has no heat: (N, 0, h, w).
    """

    points: Tensor
    heat: Tensor
    parsing_logits: Tensor
    emotion_logits: Tensor
    pose: Tensor
    face_logit: Tensor
    landmark_std: Tensor
    rows: Rows | None = None
    plain: tuple[Tensor, Tensor] | None = None


class Encoder(nn.Module):
    """Crop -> features at stride 2, 4 and the shared map at stride 8 with the deeper strides fused in."""

    def __init__(self) -> None:
        super().__init__()
        self.s2 = ConvBN(3, 16, stride=2)
        self.s4 = nn.Sequential(ConvBN(16, 32, stride=2), ConvBN(32, 32, skip=True), ConvBN(32, 32, skip=True))
        self.s8 = nn.Sequential(ConvBN(32, WIDTH, stride=2), *(ConvBN(WIDTH, WIDTH, skip=True) for _ in range(2)))
        self.s16 = nn.Sequential(ConvBN(WIDTH, 128, stride=2), *(ConvBN(128, 128, skip=True) for _ in range(2)))
        self.s32 = nn.Sequential(ConvBN(128, 160, stride=2), ConvBN(160, 160, skip=True))
        self.down16 = ConvBN(128, WIDTH, kernel=1, act=False)
        self.down32 = ConvBN(160, WIDTH, kernel=1, act=False)
        self.fuse = ConvBN(WIDTH, WIDTH, skip=True)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        f2 = self.s2(x)
        f4 = self.s4(f2)
        f8 = self.s8(f4)
        f16 = self.s16(f8)
        f32 = self.s32(f16)
        top = self.down16(f16) + F.interpolate(self.down32(f32), scale_factor=2.0, mode="nearest")
        shared = self.fuse(F.relu(f8 + F.interpolate(top, scale_factor=2.0, mode="nearest")))
        return f2, f4, f16, shared


class LandmarkDecoder(nn.Module):
    """Heat map over cells plus an offset in each cell; the point is the expectation of (cell + offset)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = ConvBN(WIDTH, WIDTH, skip=True)
        self.head = nn.Conv2d(WIDTH, POINTS * 3, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        return self.read(self.conv(shared))

    def read(self, enhanced: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, 68, 2) and heat (N, 68, h, w) from this decoder's own features."""
        return read_points(self.head(enhanced).float(), POINTS)


def read_points(maps: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Points (N, count, 2) as the expectation of cell + offset, and the cells' logits, of maps (N, 3 * count, h, w)."""
    h, w = (int(side) for side in maps.shape[2:])  # constants of an exported graph
    heat, dx, dy = maps[:, :count], maps[:, count : 2 * count], maps[:, 2 * count :]
    prob = torch.softmax(heat.reshape(-1, count, h * w), dim=2)
    x = (torch.arange(w, device=maps.device, dtype=torch.float32) * 2 + 1) / w - 1
    y = (torch.arange(h, device=maps.device, dtype=torch.float32) * 2 + 1) / h - 1
    px = (prob * (dx.reshape(-1, count, h * w) * (2.0 / w) + x.repeat(h))).sum(2)
    py = (prob * (dy.reshape(-1, count, h * w) * (2.0 / h) + y.repeat_interleave(w))).sum(2)
    return torch.stack((px, py), dim=2), heat


class ParsingDecoder(nn.Module):
    """Shared map -> class logits at the crop's own resolution, by sub-pixel convolution from stride 4."""

    def __init__(self) -> None:
        super().__init__()
        width = 48
        self.up = ConvBN(WIDTH, width, kernel=1, act=False)
        self.lateral4 = ConvBN(32, width, kernel=1, act=False)
        # patch merge: the detail of stride 2 at the cost of stride 4
        self.lateral2 = ConvBN(16, width, kernel=2, stride=2, act=False)
        self.conv = ConvBN(width, width, skip=True)
        self.head = nn.Conv2d(width, PARSING * SUB * SUB, 1)

    def forward(self, shared: Tensor, f2: Tensor, f4: Tensor, scale: float = 1.0) -> Tensor:
        x = F.interpolate(self.up(shared), scale_factor=2.0, mode="nearest") + self.lateral4(f4) + self.lateral2(f2)
        x, head = self.conv(F.relu(x)), self.head
        if scale == 1.0:
            logits: Tensor = head(x)
            return logits
        assert head.bias is not None  # both are constants in the exported graph
        return F.conv2d(x, by_sub_pixel(head.weight) * scale, by_sub_pixel(head.bias) * scale)


def by_sub_pixel(channels: Tensor) -> Tensor:
    """(19 * 16, …) class by class -> sub-pixel by sub-pixel."""
    return channels.reshape(PARSING, SUB * SUB, *channels.shape[1:]).transpose(0, 1).reshape(channels.shape)


class VectorDecoder(nn.Module):
    """Shared map -> emotion, pose, face presence and expected landmark error."""

    def __init__(self) -> None:
        super().__init__()
        self.s16 = ConvBN(WIDTH, 128, stride=2, act=False)
        self.context = ConvBN(128, 128, kernel=1, act=False)
        self.s32 = ConvBN(128, VECTOR, stride=2)
        self.conv = ConvBN(VECTOR, VECTOR, skip=True)
        self.emotion = nn.Sequential(nn.Linear(VECTOR, 128), nn.ReLU(), nn.Dropout(0.2), nn.Linear(128, EMOTIONS))
        self.rest = nn.Sequential(nn.Linear(VECTOR, 64), nn.ReLU(), nn.Linear(64, 5))

    def forward(self, shared: Tensor, f16: Tensor) -> tuple[Tensor, Tensor]:
        x = self.enhance(shared, f16)
        return self.emotion(x), self.rest(x)

    def enhance(self, shared: Tensor, f16: Tensor) -> Tensor:
        """This decoder's own features (N, VECTOR)."""
        x: Tensor = self.conv(self.s32(F.relu(self.s16(shared) + self.context(f16)))).float().mean((2, 3))
        return x


class ReEncoder(nn.Module):
    """Predictions -> features at stride 8: heat maps and parsing map by convolution, emotion by a layer, tiled.

    With `encode` False the predictions go back as they are, pooled and tiled: what the ablation compares with.
    """

    def __init__(self, width: int = 32, encode: bool = True) -> None:
        super().__init__()
        self.encode, self.channels = encode, 2 * width + 16 if encode else POINTS + PARSING + EMOTIONS
        if encode:
            self.heat = ConvBN(POINTS, width)
            self.parsing = ConvBN(PARSING, width)
            self.emotion = nn.Linear(EMOTIONS, 16)

    def forward(self, out: Outputs) -> Tensor:
        n, _, h, w = out.heat.shape
        heat = torch.softmax(out.heat.reshape(n, POINTS, h * w), 2).reshape(n, POINTS, h, w)
        # sub-pixel logits averaged within a stride-4 cell, then class probabilities, then pooled to stride 8
        logits = out.parsing_logits
        coarse = logits.float().reshape(n, PARSING, SUB * SUB, 2 * h, 2 * w).mean(2)
        parsing = F.avg_pool2d(torch.softmax(coarse, 1), 2)
        emotion = torch.softmax(out.emotion_logits, 1)
        if not self.encode:
            return torch.cat((heat, parsing, emotion[:, :, None, None].repeat(1, 1, int(h), int(w))), 1)
        # repeat exports as a Tile of constants; behind expand's run-time shape OpenVINO computes INT8 layers wrongly
        tiled = F.relu(self.emotion(emotion))[:, :, None, None].repeat(1, 1, int(h), int(w))
        return torch.cat((self.heat(heat), self.parsing(parsing), tiled), 1)


class Integrator(nn.Module):
    """Shared features + re-encoded predictions -> shared features of the next round (zero at the start of training)."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.mix = ConvBN(WIDTH + extra, WIDTH, kernel=1)
        self.conv = ConvBN(WIDTH, WIDTH, act=False)
        nn.init.zeros_(self.conv.bn.weight)  # type: ignore[arg-type]

    def forward(self, shared: Tensor, extra: Tensor) -> Tensor:
        return F.relu(shared + self.conv(self.mix(torch.cat((shared, extra), 1))))


class EngineNet(nn.Module):
    """Shared encoder, decoders, re-encoders, integrator. Input (N, S, S, 3) BGR 0..255, S a multiple of 32.

    Args:
        residual: RMT-Net's corrections of points and emotion (nets.rmt).
        association: Its maps between the two, which only training uses.
        reencode: Predictions pass re-encoders before they are integrated; else they go back as they are.
    """

    def __init__(self, residual: bool = False, association: bool = False, reencode: bool = True) -> None:
        super().__init__()
        self.normalise = Normalise()
        self.encoder = Encoder()
        self.landmarks = LandmarkDecoder()
        self.parsing = ParsingDecoder()
        self.vector = VectorDecoder()
        self.reencode = ReEncoder(encode=reencode)
        self.integrate = Integrator(self.reencode.channels)
        self.residual = Residual(WIDTH, VECTOR) if residual else None
        self.association = Association() if association else None

    def decode(
        self,
        shared: Tensor,
        f2: Tensor,
        f4: Tensor,
        f16: Tensor,
        label_scale: float = 1.0,
        rows: Rows | None = None,
    ) -> Outputs:
        vector = self.vector.enhance(shared, f16)
        emotion, rest, plain = self.vector.emotion(vector), self.vector.rest(vector), None
        if self.residual is not None:
            points, heat, emotion, plain = self._corrected(shared, vector, emotion)
        elif rows is None:
            points, heat = self.landmarks(shared)
        else:
            points, heat = self._some_points(shared[rows.landmarks])
        if rows is None:
            parsing = self.parsing(shared, f2, f4, label_scale)
        else:
            parsing = self._some_parsing(shared, f2, f4, rows.parsing)
        landmark_std = F.softplus(rest[:, 4]) * 0.05
        return Outputs(points, heat, parsing, emotion, rest[:, :3], rest[:, 3], landmark_std, rows, plain)

    def _corrected(
        self, shared: Tensor, vector: Tensor, emotion: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Points and emotion with their residuals, and what they were without."""
        assert self.residual is not None
        enhanced = self.landmarks.conv(shared)
        points, heat = self.landmarks.read(enhanced)
        more_points, more_emotion = self.residual(enhanced, vector)
        return points + more_points, heat, emotion + more_emotion, (points, emotion)

    def _some_points(self, shared: Tensor) -> tuple[Tensor, Tensor]:
        n, _, h, w = shared.shape
        if n:
            points: tuple[Tensor, Tensor] = self.landmarks(shared)
            return points
        return shared.new_zeros(0, POINTS, 2), shared.new_zeros(0, POINTS, h, w)

    def _some_parsing(self, shared: Tensor, f2: Tensor, f4: Tensor, rows: slice | Tensor) -> Tensor:
        some = shared[rows]
        if len(some):
            logits: Tensor = self.parsing(some, f2[rows], f4[rows])
            return logits
        return shared.new_zeros(0, PARSING * SUB * SUB, *f4.shape[2:])

    def forward(
        self, crops: Tensor, iterations: int = 0, label_scale: float = 1.0, rows: Rows | None = None
    ) -> list[Outputs]:
        """Outputs of every round, 0..iterations (losses are summed over rounds, as in the paper).

        `label_scale` multiplies the last round's parsing logits, for an export that only takes labels from them; they
        then come in the order of `packed_argmax`.
        `rows` saves work in training without interaction: a decoder, its batch norm included, then sees only the
        samples of its own task (with interaction every decoder's answer is needed for every sample).
        """
        if rows is not None and (self.residual is not None or self.association is not None):
            rows = Rows(slice(None), rows.parsing)  # both look at every face's points
        x = self.normalise(crops).contiguous(memory_format=torch.channels_last)
        f2, f4, f16, shared = self.encoder(x)
        rounds: list[Outputs] = []
        for index in range(iterations + 1):
            if rounds:
                shared = self.integrate(shared, self.reencode(rounds[-1]))
            scale = label_scale if index == iterations else 1.0
            rounds.append(self.decode(shared, f2, f4, f16, scale, rows if iterations == 0 else None))
        return rounds

    def freeze_base(self) -> None:
        """Let only re-encoders and integrator learn, from here on: what ITER 0 says stays as it is."""
        for module in (self.encoder, self.landmarks, self.parsing, self.vector, self.residual):
            if module is not None:
                module.eval()
                module.requires_grad_(False)


LABEL_SCALE = 512.0  # logits are rounded to steps of 1/512 before the labels are taken


def packed_argmax(scaled_logits: Tensor) -> Tensor:
    """Class ids (N, 4 h, 4 w) uint8 of sub-pixel logits (N, 16 * 19, h, w) times LABEL_SCALE, |logit| < 512.

    The channels are the 19 classes of one sub-pixel after the other; h and w become constants of an exported graph.
    The id rides in the fraction of the rounded logit, so that one maximum over the 19 class maps is the argmax:
    19 < 32 fits five fractional bits beside 18 whole ones. The maximum is a pooling over the class axis, which ONNX
    Runtime runs along rows; its ArgMax and ReduceMax over channels take several times as long.
    """
    h, w = (int(side) for side in scaled_logits.shape[2:])
    ids = torch.arange(PARSING, dtype=torch.float32, device=scaled_logits.device).reshape(1, 1, PARSING, 1) / 32.0
    packed = torch.floor(scaled_logits).reshape(-1, SUB * SUB, PARSING, h * w) + ids
    best = F.max_pool2d(packed, (PARSING, 1))
    labels = (best - torch.floor(best)) * 32.0
    return F.pixel_shuffle(labels.reshape(-1, SUB * SUB, h, w), SUB)[:, 0].to(torch.uint8)


class EngineExport(nn.Module):
    """EngineNet (or ifan_paper's net) as the runtime sees it: uint8 crops in, results in crop px and degrees out.

    `lift` (8,) is added to the emotions' logits (train.logit_adjustment).
    """

    def __init__(self, net: nn.Module, iterations: int, lift: Tensor | None = None) -> None:
        super().__init__()
        self.net, self.iterations, self.lift = net, iterations, lift

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        size = int(crops.shape[1])
        out = self.net(crops, self.iterations, label_scale=LABEL_SCALE)[-1]
        landmarks = (out.points + 1.0) * (0.5 * size) - 0.5
        parsing = packed_argmax(out.parsing_logits)
        emotion = out.emotion_logits if self.lift is None else out.emotion_logits + self.lift
        return (
            landmarks,
            parsing,
            torch.softmax(emotion, 1),
            out.pose * POSE_SCALE,
            torch.sigmoid(out.face_logit),
            torch.exp(out.landmark_std * -25.0),
        )


OUTPUT_NAMES = ("landmarks", "parsing", "emotion", "pose", "face", "quality")

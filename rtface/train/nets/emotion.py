"""The emotion teacher: a network for FER+'s own world, 48 px grey crops. It never ships.

FER+ has 28,000 crops of 48 px, and the engine sees them enlarged to 128: most of its work there is on pixels that are
not there. At their own size an epoch costs a third, so a teacher sees them three times as often in the same time, and
the engine learns from its answers on every face, photographs included (distillation: Hinton et al., arXiv 1503.02531;
on the student's own varied crop: Beyer et al., CVPR 2022, "consistent teaching").
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rtface.errors import ModelError
from rtface.train.nets.blocks import MEAN, SPREAD, ConvBN
from rtface.train.run import read_checkpoint

EMOTIONS = 8
SIZE = 48


class EmotionNet(nn.Module):
    """Crops (N, S, S, 3) BGR 0..255 of any size from 48 px -> logits (N, 8) in FER+ order; seen grey at 48 px."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            ConvBN(1, 32),
            ConvBN(32, 56, stride=2),
            ConvBN(56, 56, skip=True),
            ConvBN(56, 112, stride=2),
            ConvBN(112, 112, skip=True),
            ConvBN(112, 112, skip=True),
            ConvBN(112, 224, stride=2),
            ConvBN(224, 224, skip=True),
            ConvBN(224, 288, stride=2),
        )
        self.head = nn.Sequential(nn.Dropout(0.35), nn.Linear(288, EMOTIONS))

    def forward(self, crops: Tensor) -> Tensor:
        x = crops.to(torch.float32).mean(3)[:, None]
        if x.shape[-1] != SIZE:
            x = F.interpolate(x, size=(SIZE, SIZE), mode="bilinear", antialias=True)
        x = ((x - MEAN) * (1.0 / SPREAD)).contiguous(memory_format=torch.channels_last)
        logits: Tensor = self.head(self.body(x).float().mean((2, 3)))
        return logits


def load_teacher(checkpoint: Path) -> EmotionNet:
    """The averaged weights of a teacher's run, in eval mode. Raises ModelError where they cannot be read."""
    net = EmotionNet()
    try:
        net.load_state_dict(read_checkpoint(checkpoint, ("ema",))["ema"])
    except RuntimeError as error:
        raise ModelError(
            str(checkpoint), "holds no EmotionNet", "Name the checkpoint of `rtface train teacher`"
        ) from error
    return net.eval()

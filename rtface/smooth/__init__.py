"""Results along a track: steadier by One-Euro for points and angles and hysteresis for the emotion, masks that move
along; how a face is at rest, and its blinks."""

from rtface.smooth.blinks import Blink, BlinkMeter
from rtface.smooth.head_motion import head_speed, warp_parsing
from rtface.smooth.hysteresis import Hysteresis
from rtface.smooth.neutral import RunningNeutral
from rtface.smooth.one_euro import OneEuro
from rtface.smooth.smoother import Smoother

__all__ = [
    "Blink",
    "BlinkMeter",
    "Hysteresis",
    "OneEuro",
    "RunningNeutral",
    "Smoother",
    "head_speed",
    "warp_parsing",
]

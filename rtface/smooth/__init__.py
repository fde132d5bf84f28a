"""Steadier results along a track: One-Euro for points and pose, hysteresis for the emotion, masks that move along."""

from rtface.smooth.head_motion import head_speed, warp_parsing
from rtface.smooth.hysteresis import Hysteresis
from rtface.smooth.one_euro import OneEuro
from rtface.smooth.smoother import Smoother

__all__ = ["Hysteresis", "OneEuro", "Smoother", "head_speed", "warp_parsing"]

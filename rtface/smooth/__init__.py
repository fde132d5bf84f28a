"""Steadier results along a track: One-Euro for points and pose, hysteresis for the emotion, masks that move along."""

from rtface.smooth.hysteresis import Hysteresis
from rtface.smooth.one_euro import OneEuro
from rtface.smooth.rigid import head_speed, moved, similarity
from rtface.smooth.smoother import Smoother

__all__ = ["Hysteresis", "OneEuro", "Smoother", "head_speed", "moved", "similarity"]

"""Results drawn on pictures: boxes, landmarks, masks, axes, words."""

from rtface.drawing.annotate import LAYERS, draw
from rtface.drawing.blur import blur
from rtface.drawing.text import hud

__all__ = ["LAYERS", "blur", "draw", "hud"]

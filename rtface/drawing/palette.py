"""Colours, BGR. Bright enough on dark video, apart enough for the common kinds of colour blindness."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INK: Colour = (24, 22, 20)
PANEL: Colour = (32, 28, 24)
POINT: Colour = (250, 250, 240)
CONTOUR: Colour = (235, 215, 150)
AXIS_RIGHT: Colour = (70, 70, 240)
AXIS_DOWN: Colour = (90, 215, 90)
AXIS_NOSE: Colour = (255, 150, 40)
SIGHT: Colour = (60, 220, 255)

#: One colour and opacity (0..1) a class, in the order of `rtface.PARSING_CLASSES`.
_CLASSES: tuple[tuple[Colour, float], ...] = (
    ((0, 0, 0), 0.0),  # background
    ((150, 190, 255), 0.22),  # skin
    ((120, 150, 250), 0.42),  # nose
    ((255, 220, 60), 0.50),  # glasses
    ((255, 200, 60), 0.60),  # left eye
    ((255, 235, 120), 0.60),  # right eye
    ((60, 190, 120), 0.55),  # left brow
    ((110, 225, 160), 0.55),  # right brow
    ((200, 130, 220), 0.42),  # left ear
    ((230, 170, 240), 0.42),  # right ear
    ((60, 20, 120), 0.55),  # inner mouth
    ((80, 60, 240), 0.55),  # upper lip
    ((120, 90, 255), 0.55),  # lower lip
    ((190, 90, 60), 0.38),  # hair
    ((60, 140, 220), 0.42),  # hat
    ((40, 220, 255), 0.60),  # earring
    ((40, 200, 230), 0.60),  # necklace
    ((140, 180, 200), 0.22),  # neck
    ((160, 120, 110), 0.25),  # cloth
)


def _premultiplied() -> NDArray[np.uint8]:
    table = np.zeros((256, 4), np.uint8)
    for label, (colour, opacity) in enumerate(_CLASSES):
        table[label] = [*(round(opacity * value) for value in colour), round(255 * opacity)]
    table.flags.writeable = False
    return table


#: (256, 4) uint8: label → BGR times opacity, and opacity. Premultiplied, so that it may be interpolated.
PARSING_BGRA = _premultiplied()


def track_colour(track_id: int) -> Colour:
    """A face's colour: the golden angle keeps the hues of neighbouring ids far apart."""
    hue = (0.47 + 0.618034 * (track_id - 1)) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.62, 1.0)
    return round(255 * blue), round(255 * green), round(255 * red)

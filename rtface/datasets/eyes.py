"""Which labelled faces show where they look."""

from __future__ import annotations

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel
from rtface.labels import PARSING_CLASSES

#: An eye that is more shut than this says nothing; blend shapes of the labels, where they have them.
SHUT = 0.6
#: A mask shows an eye by at least this share of what a square over the eye's width holds.
_LEAST = 0.06
BLINKS = (9, 10)
"""Blend shapes of the labels, in MediaPipe's order: of the subject's left and right eye."""
_CORNERS = ((263, 362), (33, 133))
_CLASSES = (PARSING_CLASSES.index("left_eye"), PARSING_CLASSES.index("right_eye"))


def shows_an_eye(face: FaceLabel, mask: Array | None = None) -> bool:
    """Whether one eye at least of a face with a mesh is open, and seen where a mask (H, W) of `PARSING_CLASSES` tells.

    Raises:
        ValueError: The face has no mesh.
    """
    if face.mesh478 is None:
        raise ValueError("a face without a mesh")
    shut = face.blendshapes52
    return any(
        (shut is None or float(shut[blink]) < SHUT) and (mask is None or _seen(face.mesh478[list(corners)], mask, part))
        for blink, corners, part in zip(BLINKS, _CORNERS, _CLASSES, strict=True)
    )


def _seen(corners: Array, mask: Array, part: int) -> bool:
    (x, y), half = corners.mean(0), float(np.linalg.norm(corners[0] - corners[1])) / 2
    left, right, top, bottom = (max(round(float(at)), 0) for at in (x - half, x + half, y - half, y + half))
    around = mask[top : bottom + 1, left : right + 1]
    return int((around == part).sum()) >= max(1.0, _LEAST * (2 * half) ** 2)

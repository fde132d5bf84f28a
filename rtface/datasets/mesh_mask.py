"""A parsing mask from MediaPipe's mesh: skin, nose, brows, eyes, lips, mouth as polygons; the rest is unknown."""

from __future__ import annotations

import cv2
import numpy as np

from rtface.datasets.labelled import Array
from rtface.datasets.masks import UNKNOWN

_SHIFT = 4  # bits of a pixel's fraction

#: Outlines as vertices of the mesh, painted in this order; of the two sides the subject's left has the lower class.
_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
NOSE = (168, 193, 122, 188, 174, 198, 49, 48, 64, 98, 97, 2, 326, 327, 294, 278, 279, 420, 399, 412, 351, 417)
_BROW_L, _BROW_R = (300, 293, 334, 296, 336, 285, 295, 282, 283, 276), (70, 63, 105, 66, 107, 55, 65, 52, 53, 46)
_EYE_L = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
_EYE_R = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
_OUTER_TOP, _OUTER_LOW = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291), (375, 321, 405, 314, 17, 84, 181, 91, 146)
_INNER_TOP, _INNER_LOW = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308), (324, 318, 402, 317, 14, 87, 178, 88, 95)
_PAINTED = (
    (1, _OVAL),
    (2, NOSE),
    (6, _BROW_L),
    (7, _BROW_R),
    (4, _EYE_L),
    (5, _EYE_R),
    (11, (*_OUTER_TOP, *_INNER_TOP[::-1])),
    (12, (291, *_OUTER_LOW, 61, 78, *_INNER_LOW[::-1], 308)),
    (10, (*_INNER_TOP, *_INNER_LOW)),
)


def mask_of_mesh(mesh478: Array, width: int, height: int, seam: int = 0) -> Array:
    """(H, W) uint8 class ids of the 19, 255 where the mesh does not tell: hair, ears, neck and what covers a face.

    Args:
        mesh478: (478, 2) px, pixel centres at integers.
        width, height: Of the picture.
        seam: Pixels on each side of an outline that are left unknown: a mesh is not drawn that finely.

    Example:
        >>> mask_of_mesh(np.zeros((478, 2), np.float32) - 9, 4, 3).tolist()[0]
        [255, 255, 255, 255]
    """
    out = np.full((height, width), UNKNOWN, np.uint8)
    points = np.round(np.asarray(mesh478, np.float64) * (1 << _SHIFT)).astype(np.int32)
    for label, outline in _PAINTED:
        cv2.fillPoly(out, [points[list(outline)]], label, cv2.LINE_8, _SHIFT)
    if seam:
        kernel = np.ones((2 * seam + 1, 2 * seam + 1), np.uint8)
        out[cv2.dilate(out, kernel) != cv2.erode(out, kernel)] = UNKNOWN
    return out

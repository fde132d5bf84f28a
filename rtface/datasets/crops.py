"""Labels follow their picture when it is cut or scaled."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from rtface.datasets.labelled import Array, FaceLabel

#: An emotion's picture is cut with this much of the face's box kept on every side: the engine's crop is wider than a
#: face's box, and training shifts it about.
MARGIN = 0.35


def moved(
    face: FaceLabel, scale_xy: tuple[float, float] = (1.0, 1.0), offset: tuple[float, float] = (0.0, 0.0)
) -> FaceLabel:
    """A face whose picture was scaled and then shifted: x → (x + ½) · scale − ½ + offset, as pixel centres go."""

    def place(points: Array | None) -> Array | None:
        return None if points is None else moved_points(points, scale_xy, offset)

    return replace(
        face,
        box_xyxy=place(face.box_xyxy),
        points5=place(face.points5),
        landmarks68=place(face.landmarks68),
        mesh478=place(face.mesh478),
    )


def moved_points(
    points: Array, scale_xy: tuple[float, float] = (1.0, 1.0), offset: tuple[float, float] = (0.0, 0.0)
) -> Array:
    """Points or boxes (…, 2 k) of x y pairs, in a picture that was scaled and then shifted; float32."""
    pairs = np.asarray(points, np.float64).reshape(-1, 2)
    placed = (pairs + 0.5) * np.asarray(scale_xy) - 0.5 + np.asarray(offset)
    return np.asarray(placed.astype(np.float32).reshape(np.shape(points)))


def cut_around(face: FaceLabel) -> tuple[tuple[int, int, int, int], FaceLabel]:
    """The part of a picture around a face's box, `MARGIN` of the box's longer side more on each side, and the face
    in px of that part. The part may reach beyond the picture's right and bottom; slicing ends it there."""
    assert face.box_xyxy is not None
    x0, y0, x1, y1 = (float(v) for v in face.box_xyxy)
    more = MARGIN * max(x1 - x0, y1 - y0)
    left, top = max(0, math.floor(x0 - more)), max(0, math.floor(y0 - more))
    part = (left, top, max(left, math.ceil(x1 + more) + 1), max(top, math.ceil(y1 + more) + 1))
    return part, moved(face, offset=(-left, -top))

"""A schematic face made of curves, and its points in the real order of every public mark-up.

The orders below are those of the sets' own papers and documentation, written down from these and not from rtface's
readers: a reader that believes in another order gives points that lie elsewhere on the face.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
#: Mouth: x of the outer contour's upper edge from corner to corner, then the lower edge back.
_HALF_MOUTH, _MOUTH_Y = 0.75, 2.2


def _arc(start: Sequence[float], top: Sequence[float], end: Sequence[float], at: Sequence[float]) -> Points:
    """Points of the parabola through `start`, `top` (half way) and `end`, at shares 0..1 of the way."""
    a, m, b = (np.asarray(p, np.float64) for p in (start, top, end))
    t = np.asarray(at, np.float64)[:, None]
    middle = 2 * m - (a + b) / 2
    return np.asarray((1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b)


def _even(count: int) -> Points:
    return np.linspace(0.0, 1.0, count)


def _mirrored(points: Points) -> Points:
    return points * (-1.0, 1.0)


def _outline(count: int) -> Points:
    turn = np.pi * _even(count)
    return np.stack([-2.0 * np.cos(turn), 3.3 * np.sin(turn)], 1)


def _brow(at: Sequence[float], lower: bool = False) -> Points:
    """Of the brow on the image's left, from its outer end to its inner one."""
    drop = 0.25 if lower else 0.0
    return _arc((-1.75, -0.5 + drop), (-1.1, -0.95 + drop), (-0.4, -0.65 + drop), at)


def _lid(at: Sequence[float], lower: bool = False) -> Points:
    """Of the eye on the image's left, from its outer corner to its inner one."""
    return _arc((-1.45, 0.0), (-1.0, 0.28 if lower else -0.28), (-0.55, 0.0), at)


def _bridge() -> Points:
    return np.stack([np.zeros(4), np.linspace(-0.05, 1.05, 4)], 1)


def _nose(at: Sequence[float]) -> Points:
    return _arc((-0.5, 1.2), (0.0, 1.5), (0.5, 1.2), at)


def _mouth() -> Points:
    """20 points: 12 around the lips from the corner on the image's left over the top, then 8 around the opening."""
    w, y = _HALF_MOUTH, _MOUTH_Y
    outer = [_arc((-w, y), (0, y - 0.35), (w, y), _even(7)), _arc((w, y), (0, y + 0.4), (-w, y), _even(7)[1:-1])]
    inner = [
        _arc((-w + 0.1, y), (0, y - 0.1), (w - 0.1, y), _even(5)),
        _arc((w - 0.1, y), (0, y + 0.12), (-w + 0.1, y), _even(5)[1:-1]),
    ]
    return np.concatenate(outer + inner)


def ibug68() -> Points:
    """300-W: outline 17, brows 5 + 5, bridge 4, nose 5, eyes 6 + 6 (corner to corner, lower lid back), mouth."""
    left = np.concatenate([_lid([0, 1 / 3, 2 / 3, 1]), _lid([2 / 3, 1 / 3], lower=True)])
    right = np.concatenate([_mirrored(_lid([1, 2 / 3, 1 / 3, 0])), _mirrored(_lid([1 / 3, 2 / 3], lower=True))])
    brows = [_brow(_even(5)), _mirrored(_brow(_even(5)[::-1]))]
    return np.concatenate([_outline(17), *brows, _bridge(), _nose(_even(5)), left, right, _mouth()])


def _brows_of_nine() -> list[Points]:
    """Both brows as WFLW and LaPa mark them: 5 along the upper edge, then 4 back along the lower one."""
    back = [0.9, 0.65, 0.4, 0.15]
    left = [_brow(_even(5)), _brow(back, lower=True)]
    right = [_mirrored(_brow(_even(5)[::-1])), _mirrored(_brow(back[::-1], lower=True))]
    return [*left, *right]


def _eyes_of_eight() -> tuple[Points, Points]:
    left = np.concatenate([_lid(_even(5)), _lid([0.75, 0.5, 0.25], lower=True)])
    right = np.concatenate([_mirrored(_lid(_even(5)[::-1])), _mirrored(_lid([0.25, 0.5, 0.75], lower=True))])
    return left, right


_PUPILS = np.array([(-1.0, 0.0), (1.0, 0.0)])


def wflw98() -> Points:
    """WFLW: outline 33, brows 9 + 9, bridge 4, nose 5, eyes 8 + 8, mouth 20, pupils."""
    rest = [_bridge(), _nose(_even(5)), *_eyes_of_eight(), _mouth(), _PUPILS]
    return np.concatenate([_outline(33), *_brows_of_nine(), *rest])


def lapa106() -> Points:
    """LaPa: outline 33, brows 9 + 9, bridge 4, nose 11 (side, wing, 7 along the base, wing, side), an eye of 8 and its
    middle, the other, mouth 20, pupils."""
    side, wing = np.array([(-0.25, 0.2)]), np.array([(-0.45, 0.9)])
    nose = np.concatenate([side, wing, _nose(_even(7)), _mirrored(wing), _mirrored(side)])
    left, right = _eyes_of_eight()
    eyes = [left, _PUPILS[:1], right, _PUPILS[1:]]
    return np.concatenate([_outline(33), *_brows_of_nine(), _bridge(), nose, *eyes, _mouth(), _PUPILS])


def five() -> Points:
    """Eye in the image's left, eye in its right, nose tip, mouth corner left and right."""
    return np.concatenate([_PUPILS, _bridge()[-1:], [(-_HALF_MOUTH, _MOUTH_Y), (_HALF_MOUTH, _MOUTH_Y)]])


def placed(
    points: Points, centre: tuple[float, float] = (100.0, 80.0), scale: float = 25.0, roll: float = 10.0
) -> Points:
    """Face points in px of a picture: `scale` px from an eye to the face's middle, turned `roll` degrees clockwise."""
    cos, sin = np.cos(np.radians(roll)), np.sin(np.radians(roll))
    return np.asarray(points @ np.array(((cos, sin), (-sin, cos))) * scale + centre)


def box(points: Points) -> tuple[float, float, float, float]:
    """x0 y0 x1 y1 around points."""
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return float(x0), float(y0), float(x1), float(y1)


def picture(width: int = 200, height: int = 200, faces: Sequence[Points] | None = None) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 with the faces of these 68 points, by default one, drawn as outlines."""
    image = np.full((height, width, 3), (190, 170, 150), np.uint8)
    for face in [placed(ibug68())] if faces is None else faces:
        ends = (0, 17, 22, 27, 31, 36, 42, 48, 60, 68)
        cv2.fillPoly(image, [np.round(face[:27]).astype(np.int32)[[*range(17), *range(26, 16, -1)]]], (150, 180, 220))
        for start, stop in pairwise(ends):
            part = np.round(face[start:stop]).astype(np.int32)
            cv2.polylines(image, [part], start in (36, 42, 48, 60), (60, 50, 90), 2, cv2.LINE_AA)
    return image


def nme_pct(points: Points, truth68: Points) -> float:
    """Mean error of 68 points, % of the distance of the outer eye corners."""
    ocular = float(np.linalg.norm(truth68[36] - truth68[45]))
    return 100.0 * float(np.linalg.norm(points - truth68, axis=1).mean()) / ocular

"""The square, upright crop the engine looks at, and the way back to the frame.

Training and runtime cut faces with these same functions, so a network never meets a framing it was not taught.
A crop is a similarity: a square of the frame, turned by the face's roll, seen at 128×128. Pixel centres are at
integers on both sides, so the crop spans [-0.5, 127.5] in its own pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

CROP_SIZE = 128
"""Width and height of the engine's input in px."""

SMALL_CROP_SIZE = 96
"""The same where time is short: a little more than half the work."""

POINTS_SIDE = 3.4
"""Side of the crop over the larger of eye distance and eye-to-mouth distance: forehead to chin with a margin."""

POINTS_LIFT = 0.2
"""The centre lies this much of that distance above the middle of eyes and mouth: foreheads are taller than chins."""

BOX_SIDE = 1.2
"""Side of the crop over the longer side of a detector-style box (forehead to chin)."""

ALIAS_SCALE = 2.0
"""Frame px a crop px may cover before the frame is halved first; bilinear sampling alone aliases beyond 2."""

IN_FOUR_CHANNELS = int(cv2.__version__.partition(".")[0]) >= 5
"""Whether crops are sampled as BGRA: OpenCV 5 does four channels 2.5 times as fast as three (0.04 against 0.11 ms), and
the way there and back is short. OpenCV 4 does not."""

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Crop:
    """A square of the frame: centre in frame px, side in frame px, roll in degrees clockwise in the image."""

    x: float
    y: float
    side: float
    roll: float = 0.0

    @property
    def finite(self) -> bool:
        """Whether every number is finite and the side is positive: whether it can be cut at all."""
        return self.side > 0.0 and math.isfinite(self.x + self.y + self.side + self.roll)

    def near(self, other: Crop, centre: float, ratio: float) -> bool:
        """Whether centres lie within `centre` sides (of the smaller) and the sides within `ratio` of each other."""
        small, large = sorted((self.side, other.side))
        return large <= ratio * small and math.hypot(self.x - other.x, self.y - other.y) <= centre * small


def crop_from_points5(points5: Floats) -> Crop:
    """Crop of a face by its five points.

    `points5` (5, 2) in frame px: eye left in the image, eye right, nose, mouth left, mouth right. The roll comes
    from the eye line and the face's axis together, so a profile (eyes nearly in one place) still stands upright.
    """
    (lx, ly), (rx, ry), _, (ax, ay), (bx, by) = points5.tolist()
    return _crop_from_eyes_and_mouth(lx, ly, rx, ry, ax, ay, bx, by)


def crop_from_landmarks(points68: Floats) -> Crop:
    """Crop of a face by its 68 points (68, 2) in iBUG order and frame px."""
    (lx, ly), (rx, ry), _, (ax, ay), (bx, by) = points5_from_landmarks(points68).tolist()
    return _crop_from_eyes_and_mouth(lx, ly, rx, ry, ax, ay, bx, by)


def crop_from_box(box_xyxy: Floats | Sequence[float]) -> Crop:
    """Upright crop around a detector-style box x0 y0 x1 y1 in frame px."""
    x0, y0, x1, y1 = (float(v) for v in box_xyxy)
    return Crop((x0 + x1) / 2, (y0 + y1) / 2, BOX_SIDE * max(x1 - x0, y1 - y0))


# Row p holds the weights of the 68 points in point p: eye centres are means of six, the rest are single points.
_POINTS5_OF_68 = np.zeros((5, 68), np.float32)
_POINTS5_OF_68[0, 36:42] = 1 / 6
_POINTS5_OF_68[1, 42:48] = 1 / 6
_POINTS5_OF_68[[2, 3, 4], [30, 48, 54]] = 1.0


def points5_from_landmarks(points68: Floats) -> npt.NDArray[np.float32]:
    """Five points (..., 5, 2) of 68-point faces (..., 68, 2): eye centres, nose tip 30, mouth corners 48 and 54."""
    five: npt.NDArray[np.float32] = np.matmul(_POINTS5_OF_68, points68, dtype=np.float32, casting="same_kind")
    return five


def crop_to_frame_matrix(crop: Crop, size: int = CROP_SIZE) -> npt.NDArray[np.float64]:
    """(2, 3) float64 that maps crop px to frame px."""
    a, b = _turn(crop, crop.side / size)
    middle = (size - 1) / 2
    return np.array(((a, -b, crop.x - (a - b) * middle), (b, a, crop.y - (a + b) * middle)))


def frame_to_crop_matrix(crop: Crop, size: int = CROP_SIZE) -> npt.NDArray[np.float64]:
    """(2, 3) float64 that maps frame px to crop px; the inverse of `crop_to_frame_matrix`."""
    a, b = _turn(crop, size / crop.side)
    middle = (size - 1) / 2
    return np.array(((a, b, middle - a * crop.x - b * crop.y), (-b, a, middle + b * crop.x - a * crop.y)))


def map_points(matrix: Floats, points: Floats) -> npt.NDArray[np.float32]:
    """Points (..., P, 2) through affine maps (..., 2, 3), in the points' own batch order; float32."""
    mapped: Floats = np.matmul(points, np.swapaxes(matrix[..., :2], -1, -2))
    mapped += matrix[..., None, :, 2]
    return mapped.astype(np.float32, copy=False)


def warp_crops(
    image: npt.NDArray[np.uint8], crops: Sequence[Crop], out: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.uint8]:
    """Cut `crops` out of `image` (H, W, 3) BGR: (N, 128, 128, 3) uint8, black outside the picture.

    `out` is a C-ordered buffer for at least N crops, of another size if it is, written in place; the answer is its
    first N. Large faces are halved before they are sampled (`ALIAS_SCALE`).
    """
    count = len(crops)
    if out is None:
        out = np.empty((count, CROP_SIZE, CROP_SIZE, 3), np.uint8)
    for index, crop in enumerate(crops):
        _warp_one(image, crop, out[index])
    return out[:count]


def _warp_one(image: npt.NDArray[np.uint8], crop: Crop, out: npt.NDArray[np.uint8]) -> None:
    size = out.shape[0]
    resample(image, crop_to_frame_matrix(crop, size), out, halvings_of(crop, size))


def halvings_of(crop: Crop, size: int = CROP_SIZE) -> int:
    """How often the frame is averaged 2×2 before a crop of `size` px is sampled."""
    return int(math.log2(crop.side / size)) if crop.side >= ALIAS_SCALE * size else 0


def resample(image: npt.NDArray[np.uint8], matrix: Floats, out: npt.NDArray[np.uint8], halvings: int = 0) -> None:
    """Fill `out` (S, S, 3) from `image` (H, W, 3) BGR, averaged 2×2 `halvings` times first; black beside the picture.

    `matrix` (2, 3) maps px of `out` to px of `image`.
    """
    size = out.shape[0]
    height, width = image.shape[:2]
    region = region_under(width, height, matrix, size, halvings)
    if region is None:
        out[:] = 0
        return
    part = region.cut(image)
    # Halving has a fast path in OpenCV: five times quicker at 640×480 than one INTER_AREA by 3.
    for more in reversed(range(halvings)):
        sides = region.across << more, region.down << more
        part = cv2.resize(part, sides, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP  # the matrix already maps crop px to the part's; black beside it
    if IN_FOUR_CHANNELS:
        four = cv2.warpAffine(cv2.cvtColor(part, cv2.COLOR_BGR2BGRA), region.matrix, (size, size), flags=flags)
        cv2.cvtColor(four, cv2.COLOR_BGRA2BGR, dst=out)
    else:
        cv2.warpAffine(part, region.matrix, (size, size), dst=out, flags=flags)


@dataclass(frozen=True, slots=True)
class Region:
    """The part of a frame that a crop is sampled from.

    Attributes:
        left, top: Its first column and row, px of the frame.
        across, down: Its size, px after halving.
        halvings: How often it is averaged 2×2 first.
        matrix: (2, 3) float64 that maps px of the crop to px of the halved part.
    """

    left: int
    top: int
    across: int
    down: int
    halvings: int
    matrix: npt.NDArray[np.float64]

    def cut(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """The part of `image` (H, W, 3) as it is, a view: (down << halvings, across << halvings, 3)."""
        down, across = self.down << self.halvings, self.across << self.halvings
        part: npt.NDArray[np.uint8] = image[self.top : self.top + down, self.left : self.left + across]
        return part


def region_under(width: int, height: int, matrix: Floats, size: int, halvings: int = 0) -> Region | None:
    """The part of a frame of `width`×`height` px under a crop of `size` px; None where it lies beside the frame.

    `matrix` (2, 3) maps px of the crop to px of the frame.
    """
    factor, middle = 2**halvings, (size - 1) / 2
    (a, b, left), (c, d, top) = matrix.tolist()
    x, y = (a + b) * middle + left, (c + d) * middle + top
    half_x, half_y = ((abs(p) + abs(q)) * size / 2 + 2 * factor for p, q in ((a, b), (c, d)))
    x0, y0 = max(0, int(x - half_x)), max(0, int(y - half_y))
    across = (min(width, int(x + half_x) + 1) - x0) // factor
    down = (min(height, int(y + half_y) + 1) - y0) // factor
    if across < 1 or down < 1:
        return None
    into = matrix / factor
    into[0, 2] = (left - x0 + 0.5) / factor - 0.5
    into[1, 2] = (top - y0 + 0.5) / factor - 0.5
    return Region(x0, y0, across, down, halvings, into)


def _turn(crop: Crop, scale: float) -> tuple[float, float]:
    angle = math.radians(crop.roll)
    return scale * math.cos(angle), scale * math.sin(angle)


def _crop_from_eyes_and_mouth(
    lx: float, ly: float, rx: float, ry: float, ax: float, ay: float, bx: float, by: float
) -> Crop:
    eyes_x, eyes_y = (lx + rx) / 2, (ly + ry) / 2
    down_x, down_y = (ax + bx) / 2 - eyes_x, (ay + by) / 2 - eyes_y
    # Eye line plus the axis turned a quarter to the image's right: each steadies the other when one is short.
    right_x, right_y = rx - lx + down_y, ry - ly - down_x
    angle = math.atan2(right_y, right_x)
    span = max(math.hypot(rx - lx, ry - ly), math.hypot(down_x, down_y))
    lift = POINTS_LIFT * span
    return Crop(
        x=eyes_x + down_x / 2 + lift * math.sin(angle),
        y=eyes_y + down_y / 2 - lift * math.cos(angle),
        side=max(POINTS_SIDE * span, 1.0),  # five equal points must not make an empty crop
        roll=math.degrees(angle),
    )

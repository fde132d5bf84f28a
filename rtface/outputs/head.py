"""Where a head is before the camera, in centimetres, for programs that move a head of their own."""

from __future__ import annotations

import math
from typing import NamedTuple

from rtface.outputs.face_features import angles_of, geometry_of
from rtface.types import Face

#: Of a webcam, where nothing else is known: the picture's width in degrees.
DEFAULT_FOV_DEG = 60.0
#: A step to neutral, of a head that is gone: a game's view or an avatar glides back and does not jump.
GLIDE = 0.85
#: Height of a detector's box around an adult's face, forehead to chin.
BOX_MM = 180.0


class Head(NamedTuple):
    """A head, seen by its owner: ``x`` cm to the owner's right of the camera's axis, ``y`` up, ``z`` away from the
    camera; degrees: ``yaw`` + turned to the owner's right, ``pitch`` + up, ``roll`` + tilted to the owner's right
    shoulder.
    """

    x: float
    y: float
    z: float
    yaw: float
    pitch: float
    roll: float

    def mirrored(self) -> Head:
        """As in a mirror: left and right exchanged."""
        return self._replace(x=-self.x, yaw=-self.yaw, roll=-self.roll)

    def upright(self) -> Head:
        """In the same place, looking ahead."""
        return self._replace(yaw=0.0, pitch=0.0, roll=0.0)

    def glided_to(self, goal: Head) -> Head:
        """A step nearer to `goal`."""
        return Head(*(end + (now - end) * GLIDE for now, end in zip(self, goal, strict=True)))

    @property
    def is_finite(self) -> bool:
        """No value is NaN or infinite, which no receiver takes."""
        return all(map(math.isfinite, self))


NEUTRAL = Head(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def focal_length_px(width_px: int, fov_deg: float = DEFAULT_FOV_DEG) -> float:
    """Focal length of a camera whose picture of this width shows `fov_deg`."""
    return width_px / 2.0 / math.tan(math.radians(fov_deg) / 2.0)


def head_of(face: Face, size_wh: tuple[int, int], fov_deg: float = DEFAULT_FOV_DEG) -> Head:
    """The head of a face in a picture of this size; angles that are not known are 0.

    The distance assumes an adult's face and a camera of this angle of view: it is right to a tenth or two, and changes
    are right.
    """
    width, height = size_wh
    yaw, pitch, roll = angles_of(face.pose)
    placed = None if face.landmarks is None else geometry_of(face).placed
    if placed is not None and all(map(math.isfinite, placed)):
        px_per_mm, x_px, y_px = placed
    else:
        x0, y0, x1, y1 = face.box_xyxy.tolist()
        px_per_mm, x_px, y_px = max((y1 - y0) / BOX_MM, 1e-6), (x0 + x1) / 2.0, y0 + (y1 - y0) * 0.4
    mm_per_px = 1.0 / px_per_mm
    return Head(
        x=-(x_px - (width - 1) / 2.0) * mm_per_px / 10.0,  # the owner's right is the picture's left
        y=-(y_px - (height - 1) / 2.0) * mm_per_px / 10.0,
        z=focal_length_px(width, fov_deg) * mm_per_px / 10.0,
        yaw=-yaw,
        pitch=pitch,
        roll=-roll,
    )

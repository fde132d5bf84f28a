"""Lines on a face: its box, its points, and the axes of its head."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.drawing.palette import AXIS_DOWN, AXIS_NOSE, AXIS_RIGHT, CONTOUR, INK, POINT, SIGHT, Colour
from rtface.types import Gaze, HeadPose

Image = NDArray[np.uint8]
Point = tuple[float, float]

#: iBUG-68: first and last point of each stroke, and whether it closes.
_STROKES = (
    (0, 16, False),
    (17, 21, False),
    (22, 26, False),
    (27, 30, False),
    (31, 35, False),
    (36, 41, True),
    (42, 47, True),
    (48, 59, True),
    (60, 67, True),
)
_SHIFT = 4  # OpenCV draws at 1/16 px: dots do not jump from pixel to pixel


def draw_box(
    image: Image, box_xyxy: NDArray[np.float32], colour: Colour, thickness: int, *, solid: bool = True
) -> None:
    """Corners of the box; the whole outline, thin, where the face is only predicted."""
    x0, y0, x1, y1 = (round(float(v)) for v in box_xyxy)
    if not solid:
        cv2.rectangle(image, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
        return
    arm = max(4, round(0.2 * min(x1 - x0, y1 - y0)))
    for x, y, dx, dy in ((x0, y0, arm, arm), (x1, y0, -arm, arm), (x0, y1, arm, -arm), (x1, y1, -arm, -arm)):
        corner = np.array(((x + dx, y), (x, y), (x, y + dy)), np.int32)
        cv2.polylines(image, [corner], False, INK, thickness + 2, cv2.LINE_AA)
        cv2.polylines(image, [corner], False, colour, thickness, cv2.LINE_AA)


def draw_landmarks(image: Image, points: NDArray[np.float32], size: float) -> None:
    """68 points (68, 2) px, joined by thin strokes where a face of `size` px leaves room for them."""
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    if size >= 60:
        for first, last, closed in _STROKES:
            cv2.polylines(image, [fixed[first : last + 1]], closed, CONTOUR, 1, cv2.LINE_AA, _SHIFT)
    radius = round(min(2.5, max(0.8, size / 130)) * (1 << _SHIFT))
    for x, y in fixed.tolist():
        cv2.circle(image, (x, y), radius, POINT, -1, cv2.LINE_AA, _SHIFT)


#: Of the mesh: lids of both eyes, outer and inner lips, and the irises' rims, as closed strokes.
_MESH_STROKES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (263, 466, 388, 387, 386, 385, 384, 398, 362, 382, 381, 380, 374, 373, 390, 249),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
    (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95),
)
_IRISES = ((468, (469, 470, 471, 472)), (473, (474, 475, 476, 477)))


def draw_mesh(image: Image, points: NDArray[np.float32], size: float) -> None:
    """478 points (478, 2) px as dots, with lids, lips and irises as lines where a face of `size` px has room."""
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    radius = round(min(1.2, max(0.5, size / 320)) * (1 << _SHIFT))
    for x, y in fixed[:468].tolist():
        cv2.circle(image, (x, y), radius, CONTOUR, -1, cv2.LINE_AA, _SHIFT)
    if size >= 60:
        for stroke in _MESH_STROKES:
            cv2.polylines(image, [fixed[list(stroke)]], True, POINT, 1, cv2.LINE_AA, _SHIFT)
    for middle, rim in _IRISES:
        wide = float(np.linalg.norm(points[list(rim)] - points[middle], axis=1).mean())
        x, y = fixed[middle].tolist()
        cv2.circle(image, (x, y), max(round(wide * (1 << _SHIFT)), 1), SIGHT, 1, cv2.LINE_AA, _SHIFT)


def draw_gaze(image: Image, gaze: Gaze, irises: NDArray[np.float32], length: float, thickness: int) -> None:
    """The line of sight from both irises (2, 2) px, `length` px for one that runs along the picture."""
    yaw, pitch = math.radians(gaze.yaw), math.radians(gaze.pitch)
    dx, dy = length * math.sin(yaw) * math.cos(pitch), -length * math.sin(pitch)
    for x, y in irises.tolist():
        if math.isfinite(x + y):
            ends = _fixed(x, y), _fixed(x + dx, y + dy)
            cv2.line(image, *ends, INK, thickness + 2, cv2.LINE_AA, _SHIFT)
            cv2.line(image, *ends, SIGHT, thickness, cv2.LINE_AA, _SHIFT)


def pose_axes(pose: HeadPose) -> tuple[Point, Point, Point]:
    """The head's axes seen by the camera, as unit vectors' x y in the image: to the right, down, and out of the nose.

    A head that looks straight into the camera has (1, 0), (0, 1) and (0, 0). The turns are applied pitch first, then
    yaw, then roll, each in its own sense: nose up, nose to the image's right, clockwise.
    """
    yaw, pitch, roll = (math.radians(angle) for angle in (pose.yaw, pose.pitch, pose.roll))
    right = (math.cos(yaw), 0.0)
    down = (math.sin(yaw) * math.sin(pitch), math.cos(pitch))
    nose = (math.sin(yaw) * math.cos(pitch), -math.sin(pitch))
    return _turned(right, roll), _turned(down, roll), _turned(nose, roll)


def draw_pose(image: Image, pose: HeadPose, origin: Sequence[float], length: float, thickness: int) -> None:
    """Axes of `length` px from `origin`: red to the right, green down, blue out of the nose with an arrow's head."""
    x, y = origin
    start = _fixed(x, y)
    right, down, nose = pose_axes(pose)
    for (dx, dy), colour in ((right, AXIS_RIGHT), (down, AXIS_DOWN), (nose, AXIS_NOSE)):
        end = _fixed(x + length * dx, y + length * dy)
        cv2.line(image, start, end, INK, thickness + 2, cv2.LINE_AA, _SHIFT)
        cv2.line(image, start, end, colour, thickness, cv2.LINE_AA, _SHIFT)
    tip = _fixed(x + length * nose[0], y + length * nose[1])
    cv2.circle(image, tip, round((thickness + 1.5) * (1 << _SHIFT)), AXIS_NOSE, -1, cv2.LINE_AA, _SHIFT)


def _turned(vector: Point, angle: float) -> Point:
    x, y = vector
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def _fixed(x: float, y: float) -> tuple[int, int]:
    return round(x * (1 << _SHIFT)), round(y * (1 << _SHIFT))

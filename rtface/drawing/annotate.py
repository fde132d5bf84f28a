"""What was found, drawn on the picture."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.drawing.marks import draw_box, draw_gaze, draw_landmarks, draw_mesh, draw_pose
from rtface.drawing.overlay import draw_parsing
from rtface.drawing.palette import Colour, track_colour
from rtface.drawing.text import draw_label, text_scale
from rtface.system.images import as_bgr
from rtface.types import Face, FrameResult

LAYERS: tuple[str, ...] = ("parsing", "mesh", "landmarks", "pose", "gaze", "box", "label")
"""What `draw` can draw, lowest first."""


def draw(image: NDArray[Any], result: FrameResult, layers: Collection[str] = LAYERS) -> NDArray[np.uint8]:
    """A copy of the picture with every face of `result` on it.

    Use this when you show or keep the picture yourself; ``-o out.mp4`` and a window of rtface do this already.

    Args:
        image: The picture that was analysed: uint8, (H, W, 3) BGR, (H, W) grey or (H, W, 4) BGRA.
        result: What was found on it. Of a face that is only predicted, the box and the label are drawn.
        layers: Which of `LAYERS` to draw; a layer that the result has no values for is left out.

    Returns:
        (H, W, 3) uint8 BGR.

    Raises:
        InputError: `image` is not such a picture.

    Example:
        >>> import cv2, rtface
        >>> image = cv2.imread("group.jpg")
        >>> picture = rtface.draw(image, rtface.analyze(image), layers=("box", "landmarks"))
        >>> picture.shape == image.shape
        True
    """
    picture: NDArray[np.uint8] = as_bgr(image).copy()
    for face in result.faces:
        if "parsing" in layers and face.parsing is not None and not face.predicted:
            draw_parsing(picture, face.parsing)
    for row, face in enumerate(result.faces, 1):
        colour = track_colour(face.track_id or row)
        if not face.predicted:
            _draw_shape(picture, face, layers)
        if "box" in layers:
            draw_box(picture, face.box_xyxy, colour, _thickness(picture), solid=not face.predicted)
        if "label" in layers:
            _draw_labels(picture, face, colour)
    return picture


def _draw_shape(picture: NDArray[np.uint8], face: Face, layers: Collection[str]) -> None:
    x0, y0, x1, y1 = face.box_xyxy.tolist()
    size = max(x1 - x0, y1 - y0)
    if "mesh" in layers and face.mesh is not None:
        draw_mesh(picture, face.mesh.points, size)
    elif "landmarks" in layers and face.landmarks is not None:
        draw_landmarks(picture, face.landmarks.points, size)
    if "pose" in layers and face.pose is not None:
        nose = face.points5[2].tolist()
        origin = nose if np.isfinite(nose).all() else ((x0 + x1) / 2, (y0 + y1) / 2)
        draw_pose(picture, face.pose, origin, 0.55 * size, _thickness(picture))
    if "gaze" in layers and face.gaze is not None:
        irises = face.points5[:2] if face.mesh is None else face.mesh.points[[468, 473]]
        draw_gaze(picture, face.gaze, irises, 0.5 * size, _thickness(picture))


def _draw_labels(picture: NDArray[np.uint8], face: Face, colour: Colour) -> None:
    x0, y0, _, y1 = face.box_xyxy.tolist()
    words = [f"#{face.track_id}"] if face.track_id is not None else []
    if face.predicted:
        words.append("predicted")
    elif face.emotion is not None:
        words.append(f"{face.emotion.label} {100 * face.emotion.probs.max():.0f}%")
    if words:
        draw_label(picture, "  ".join(words), x0, y0 - 4, colour)
    if face.pose is not None and not face.predicted and y1 - y0 >= 90:
        pose = face.pose
        angles = f"yaw {_degrees(pose.yaw)}  pitch {_degrees(pose.pitch)}  roll {_degrees(pose.roll)}"
        draw_label(picture, angles, x0, y1 + 22 * text_scale(picture), colour, size=0.38)


def _degrees(angle: float) -> str:
    said = f"{angle:+.0f}"
    return "+0" if said == "-0" else said


def _thickness(picture: NDArray[np.uint8]) -> int:
    return max(1, round(1.6 * text_scale(picture)))

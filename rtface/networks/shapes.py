"""The inputs that a stream brings to a network, known before its first frame."""

from __future__ import annotations

from rtface.detect.letterbox import stream_view
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry
from rtface.networks.roles import DETECTOR
from rtface.options import Options

CAMERAS = ((640, 480), (1280, 720))
"""Frames for which the detector is ready before the first comes: 4:3 and 16:9."""


def stream_shapes(width: int) -> list[tuple[int, int, int, int]]:
    """The usual cameras' pictures on the detector's canvas, when a frame's longer side is seen at `width` px."""
    views = [stream_view(*camera, width) for camera in CAMERAS]
    return [(1, view.canvas_height, view.canvas_width, 3) for view in views]


def warm_shapes(model: ModelEntry, options: Options) -> list[tuple[int, ...]]:
    """Every number of faces up to the most, or the usual cameras' pictures on the detector's canvas."""
    if model.role == DETECTOR:
        return [*stream_shapes(options.detect_width)]
    size = model.size or CROP_SIZE
    return [(faces, size, size, 3) for faces in range(1, options.max_faces + 1)]

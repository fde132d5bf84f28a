"""The inputs that a stream brings to a network, known before its first frame."""

from __future__ import annotations

from rtface.detect.letterbox import stream_view
from rtface.geometry.crop import CROP_SIZE
from rtface.models import ModelEntry
from rtface.networks.roles import DETECTOR
from rtface.options import Options

CAMERAS = ((640, 480), (1280, 720))
"""Frames for which the detector is ready before the first comes: 4:3 and 16:9."""


def warm_shapes(model: ModelEntry, options: Options) -> list[tuple[int, ...]]:
    """Every number of faces up to the most, or the usual cameras' pictures on the detector's canvas."""
    if model.role == DETECTOR:
        views = [stream_view(width, height, options.detect_width) for width, height in CAMERAS]
        return [(1, view.canvas_height, view.canvas_width, 3) for view in views]
    size = model.size or CROP_SIZE
    return [(faces, size, size, 3) for faces in range(1, options.max_faces + 1)]

"""One picture, without threads and without memory: ``rtface.analyze``."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtface.analyzer import Analyzer
from rtface.capture.image import read_image
from rtface.options import Options
from rtface.types import FrameResult

_lock = threading.Lock()
_kept: tuple[Options, Analyzer] | None = None


def analyze(
    image: str | Path | Any,
    boxes: Any = None,
    tasks: Iterable[str] | None = None,
    *,
    options: Options | None = None,
) -> FrameResult:
    """Faces in one picture.

    The networks are loaded on the first call and kept; a call with other options loads others. Calls from several
    threads take turns.

    Args:
        image: Path of a picture, or an array: (H, W, 3) uint8 BGR, (H, W) grey or (H, W, 4) BGRA.
        boxes: Where the faces are, (N, 4) x0 y0 x1 y1 in px: skips detection.
        tasks: Some of "landmarks", "parsing", "emotion", "pose"; None = those of the options, by default all.
        options: How; None = the defaults with RTFACE_* variables.

    Raises:
        SourceError: The file is missing, empty, cut short or not a picture.
        InputError: The array, the boxes or a task is not what is expected.
        ModelError: A network is missing or damaged.
    """
    global _kept
    picture = read_image(image) if isinstance(image, (str, Path)) else image
    options = options or Options.load()
    with _lock:
        if _kept is None or _kept[0] != options:
            if _kept is not None:
                _kept[1].close()
                _kept = None
            _kept = (options, Analyzer(options))
        return _kept[1].image(picture, boxes=boxes, tasks=tuple(tasks) if tasks is not None else None)

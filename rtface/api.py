"""The verbs: ``rtface.analyze`` for one picture, ``rtface.live`` for what comes, ``rtface.run`` for every frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtface.analyzer import Analyzer
from rtface.capture.source import Source
from rtface.options import Options
from rtface.stream import Output, Stream
from rtface.system.images import read_image
from rtface.types import Event, FrameResult

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


def live(
    source: int | str | Path | Source = 0,
    *,
    budget_ms: float | None = None,
    tasks: Iterable[str] | None = None,
    outputs: Iterable[Output] = (),
    options: Options | None = None,
    overwrite: bool = False,
    max_frames: int | None = None,
    on_event: Callable[[Event], None] | None = None,
) -> Stream:
    """Results of a camera or stream as they come; the newest frame wins. A file plays as if it were a camera.

    Args:
        source: Camera index, file, folder of pictures, URL, or "demo".
        budget_ms: Milliseconds from grab to result; what does not fit is carried over. None = as the options say.
        tasks: Some of "landmarks", "parsing", "emotion", "pose"; None = as the options say.
        outputs, options, overwrite, max_frames, on_event: As ``Stream``.

    Raises:
        RtfaceError: On entering the stream: the source, a network or an output cannot be opened.
    """
    options = _with(options, tasks=tasks, budget_ms=budget_ms)
    return Stream(
        source,
        live=True,
        options=options,
        outputs=outputs,
        overwrite=overwrite,
        max_frames=max_frames,
        on_event=on_event,
    )


def run(
    source: int | str | Path | Source,
    outputs: Iterable[Output] = (),
    *,
    tasks: Iterable[str] | None = None,
    options: Options | None = None,
    overwrite: bool = False,
    max_frames: int | None = None,
) -> dict[str, Any]:
    """Every frame of a source into the outputs, without a deadline; returns the summary.

    Args:
        source: File, folder of pictures, "demo", camera index or URL.
        outputs: Paths ending in .jsonl, .mp4, or for a single picture .jpg or .png; "-" for stdout; or sinks.
        tasks: Some of "landmarks", "parsing", "emotion", "pose"; None = as the options say.
        options, overwrite, max_frames: As ``Stream``.

    Raises:
        SourceError: The source cannot be opened, or broke off; outputs hold what came before.
        OutputError: An output is there already, or cannot be written.
        ModelError: A network is missing or damaged.
    """
    options = _with(options, tasks=tasks)
    stream = Stream(source, live=False, options=options, outputs=outputs, overwrite=overwrite, max_frames=max_frames)
    with stream:
        for _ in stream:
            pass
    return stream.summary


def _with(options: Options | None, **given: Any) -> Options:
    options = options or Options.load()
    given = {name: value for name, value in given.items() if value is not None}
    return replace(options, **given) if given else options

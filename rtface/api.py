"""The verbs: ``analyze`` for one picture, ``live`` for what comes, ``run`` and ``frames`` for every frame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, overload

from rtface.analyzer import Analyzer
from rtface.cameras import Cameras
from rtface.capture.files import Named, one_source
from rtface.capture.source import Source
from rtface.labels import MORE_TASKS
from rtface.option_rules import check_tasks
from rtface.options import Options
from rtface.sequence import FrameSequence
from rtface.stream import Output, Stream
from rtface.system.forked import on_fork
from rtface.system.images import read_image
from rtface.types import Event, FrameResult

_lock = threading.Lock()
_kept: tuple[Options, Analyzer] | None = None


def _forget() -> None:
    """In a forked child: the parent's networks are not ours."""
    global _lock, _kept
    _lock, _kept = threading.Lock(), None


on_fork(_forget)


def analyze(
    image: str | Path | Any,
    boxes: Any = None,
    tasks: Iterable[str] | None = None,
    *,
    options: Options | None = None,
) -> FrameResult:
    """Faces in one picture.

    Use this for pictures that have nothing to do with one another. For a video or a camera: `frames`, `live`.

    The networks are loaded on the first call and kept; a call with other options loads others. Calls from several
    threads take turns.

    Args:
        image: Path of a picture, or an array: (H, W, 3) uint8 BGR, (H, W) grey or (H, W, 4) BGRA.
        boxes: Where the faces are, (N, 4) x0 y0 x1 y1 in px: skips detection.
        tasks: Some of `rtface.ALL_TASKS`, or "all"; None = those of the options, by default `rtface.TASKS`.
        options: How; None = the defaults with RTFACE_* variables.

    Raises:
        SourceError: The file is missing, empty, cut short or not a picture.
        InputError: The array, the boxes or a task is not what is expected.
        ModelError: A network is missing or damaged.

    Example:
        >>> import rtface
        >>> for face in rtface.analyze("group.jpg"):
        ...     print(face.box_xyxy.shape, face.emotion is not None)
        (4,) True
    """
    global _kept
    picture = read_image(image) if isinstance(image, (str, Path)) else image
    options = options or Options.load()
    wanted = None if tasks is None else check_tasks(tasks)
    if wanted and set(wanted) & set(MORE_TASKS) - set(options.tasks):  # another network has them
        options = replace(options, tasks=(*options.tasks, *wanted))
    with _lock:
        if _kept is None or _kept[0] != options:
            if _kept is not None:
                _kept[1].close()
                _kept = None
            _kept = (options, Analyzer(options))
        return _kept[1].image(picture, boxes=boxes, tasks=wanted)


@overload
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
    on_idle: Callable[[float], None] | None = None,
    wait: bool | None = None,
) -> Stream: ...
@overload
def live(
    source: list[Any] | tuple[Any, ...] | Mapping[str, Named],
    *,
    budget_ms: float | None = None,
    tasks: Iterable[str] | None = None,
    outputs: Iterable[Output] = (),
    options: Options | None = None,
    overwrite: bool = False,
    max_frames: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_idle: Callable[[float], None] | None = None,
    wait: bool | None = None,
) -> Cameras: ...
def live(
    source: Any = 0,
    *,
    budget_ms: float | None = None,
    tasks: Iterable[str] | None = None,
    outputs: Iterable[Output] = (),
    options: Options | None = None,
    overwrite: bool = False,
    max_frames: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    on_idle: Callable[[float], None] | None = None,
    wait: bool | None = None,
) -> Stream | Cameras:
    """Results of a camera or stream as they come; the newest frame wins. A file plays as if it were a camera.

    Use this for a camera, a screen or a robot, where the newest frame matters and old ones do not.

    Args:
        source: Camera index, file, folder of pictures, URL, or "demo". A list of them, or a mapping of names to them:
            several cameras on one set of networks, as `Cameras`; each result then has its ``camera``.
        budget_ms: Milliseconds from grab to result; what does not fit is carried over. None = as the options say.
        tasks: Some of `rtface.ALL_TASKS`, or "all"; None = as the options say, by default `rtface.TASKS`.
        outputs: Paths, addresses (``rtface outputs`` lists them) or sinks.
        options: How; None = the defaults with RTFACE_* variables.
        overwrite: Whether outputs that are there may be replaced.
        max_frames: End after so many results.
        on_event: Called when the source is lost and when it is back, in the capture's threads; must be quick.
        on_idle: Called now and then while no frame comes, with the seconds since the last one.
        wait: Wait for a camera or stream that is not there yet; None = as the options say.

    Raises:
        RtfaceError: On entering the stream: the source, a network or an output cannot be opened.

    Example:
        >>> import rtface
        >>> with rtface.live("demo", budget_ms=33, max_frames=3) as stream:
        ...     for result in stream:
        ...         faces = len(result)
        >>> faces
        1
    """
    options = _with(options, tasks=tasks, budget_ms=budget_ms, wait=wait)
    given: dict[str, Any] = {
        "options": options,
        "outputs": outputs,
        "overwrite": overwrite,
        "max_frames": max_frames,
        "on_event": on_event,
        "on_idle": on_idle,
    }
    if isinstance(source, (list, tuple, Mapping)):
        return Cameras(source, **given)
    return Stream(source, live=True, **given)


def run(
    source: Named | Sequence[Named],
    outputs: Iterable[Output] = (),
    *,
    tasks: Iterable[str] | None = None,
    options: Options | None = None,
    overwrite: bool = False,
    max_frames: int | None = None,
    recursive: bool = False,
    started_at: datetime | str | None = None,
) -> dict[str, Any]:
    """Every frame of a source into the outputs, without a deadline; returns the summary.

    Use this when every frame counts and results go into files; `frames` gives them to your own code.

    Args:
        source: File, folder of pictures, pattern such as ``"holiday/*.jpg"``, "demo", camera index or URL; several
            where all are pictures.
        outputs: Paths ending in .jsonl, .mp4, or for a single picture .jpg or .png; "-" for stdout; or sinks.
        tasks: Some of `rtface.ALL_TASKS`, or "all"; None = as the options say, by default `rtface.TASKS`.
        options: How; None = the defaults with RTFACE_* variables.
        overwrite: Whether outputs that are there may be replaced.
        max_frames: End after so many results.
        recursive: Also pictures in the sub-folders of a folder.
        started_at: When the first frame of a video was recorded, a datetime or ISO 8601; records then have a ``time``.

    Raises:
        SourceError: The source cannot be opened, or broke off; outputs hold what came before.
        OutputError: An output is there already, or cannot be written.
        ModelError: A network is missing or damaged.

    Example:
        >>> import rtface
        >>> rtface.run("demo", max_frames=3)["frames"]
        3
    """
    options = _with(options, tasks=tasks)
    stream = Stream(
        one_source(source, recursive=recursive),
        live=False,
        options=options,
        outputs=outputs,
        overwrite=overwrite,
        max_frames=max_frames,
        started_at=started_at,
    )
    with stream:
        for _ in stream:
            pass
    return stream.summary


def frames(
    source: Named | Iterable[Named],
    *,
    tasks: Iterable[str] | None = None,
    recursive: bool = False,
    options: Options | None = None,
) -> FrameSequence:
    """Every frame of files, without a deadline and without outputs, as an iterator.

    Use this when results go into your own code: a notebook, a table, a data set.

    Args:
        source: File, folder, pattern such as ``"holiday/*.jpg"``, address or "demo"; or several of those. Of a folder,
            its pictures and videos by their names.
        tasks: Some of `rtface.ALL_TASKS`, or "all"; None = as the options say, by default `rtface.TASKS`.
        recursive: Also the sub-folders of folders.
        options: How; None = the defaults with RTFACE_* variables.

    Returns:
        An iterator of results; each has a ``source``, the file that it is of. Its ``unreadable`` names what could not
        be read, and why. Ids of faces begin again with each video; a picture's faces have none.

    Raises:
        SourceError: A folder or a pattern has no file; while iterating: none of the files could be read, or the only
            one broke off.
        ModelError: While iterating: a network is missing or damaged.

    Example:
        >>> import rtface
        >>> rows = [row for result in rtface.frames("demo", tasks=["emotion"]) for row in result.to_rows()]
        >>> len(rows) > 200
        True
    """
    return FrameSequence(source, options=_with(options, tasks=tasks), recursive=recursive)


def _with(options: Options | None, **given: Any) -> Options:
    options = options or Options.load()
    given = {name: value for name, value in given.items() if value is not None}
    return replace(options, **given) if given else options

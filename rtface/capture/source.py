"""What every source of frames is."""

from __future__ import annotations

import numbers
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from rtface.errors import UsageError, not_one
from rtface.types import Frame


class Source(ABC):
    """Frames, one after the other. A context manager that closes itself.

    Use this when frames come from something that rtface does not open by itself: a camera's own library, a message
    queue. One of your own needs ``read`` and ``close``; it need not stamp its frames.

    Attributes:
        name: What messages and records call it; by default its class's name.
        live: Frames come at their own pace, and one that is not taken is lost: a camera, a network stream.
        stills: Frames have nothing to do with one another: pictures.
        fps: Frames in a second, or None where unknown.
        frame_count: Frames in all, as far as the source knows; None where unknown.
        size_wh: Width and height in px of the first frame.
        reopen: Opens it again after it was lost; None where that makes no sense: a file.
        notes: What people should know of it: a size that was asked for and is not given.
        files: Those that it reads, which no output may replace.
        corrupt: Frames in the middle that could not be decoded and were skipped.

    Example:
        >>> import rtface
        >>> import numpy as np
        >>> class Grey(rtface.Source):
        ...     left = 2
        ...
        ...     def read(self) -> rtface.Frame | None:
        ...         self.left -= 1
        ...         return rtface.Frame(np.full((240, 320, 3), 128, np.uint8)) if self.left >= 0 else None
        ...
        ...     def close(self) -> None: ...
        >>> rtface.run(Grey())["frames"]
        2
    """

    name: str
    live: bool = False
    stills: bool = False
    fps: float | None = None
    frame_count: int | None = None
    size_wh: tuple[int, int] = (0, 0)
    reopen: Callable[[], Source] | None = None
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()

    @abstractmethod
    def read(self) -> Frame | None:
        """The next frame, or None after the last.

        Raises:
            SourceError: The source broke off.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the device or file."""

    @property
    def corrupt(self) -> int:
        """Frames in the middle that could not be decoded and were skipped, so far."""
        return 0

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Those of `corrupt` that have a name of their own, and why they could not be read: a line each."""
        return ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def check_facts(source: Source) -> Source:
    """A source of somebody's own, where what it says of itself can be.

    Raises:
        UsageError: Its name is no text, its rate or number of frames no number, or its size none.
    """
    facts = (
        ("name", isinstance(source.name, str), "a text"),
        ("fps", source.fps is None or (is_number(source.fps, 1e6) and source.fps >= 0), "a finite number, or None"),
        ("frame_count", source.frame_count is None or _is_whole(source.frame_count), "a whole number, or None"),
        ("size_wh", _is_size(source.size_wh), "(width, height) in px"),
    )
    for name, good, expected in facts:
        if not good:
            why = f"its {name} is {getattr(source, name)!r:.60}, expected {expected}"
            raise UsageError(f"source {type(source).__name__}", why, "Set it before the run starts")
    return source


def is_number(value: Any, most: float) -> bool:
    """Whether it is a number of any kind, NumPy's among them, no farther from 0 than `most`; NaN is not."""
    kind = not isinstance(value, bool) and issubclass(type(value), numbers.Real)
    return kind and bool(-most <= value <= most)


def _is_whole(value: Any) -> bool:
    return is_number(value, 2.0**53) and isinstance(value, numbers.Integral) and int(value) >= 0


def _is_size(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(map(_is_whole, value))


T = TypeVar("T")


def check_source(source: T) -> T:
    """The source, where it may be one: a name, an index, a path or a ``Source``.

    Raises:
        UsageError: It is something else, or an empty name; the message says what it lacks.
    """
    if isinstance(source, str) and not source.strip():  # "$FILE" that was never set; as a path it is the folder here
        raise UsageError("source", "its name is empty", "Name a file, an address or a camera; . is this folder")
    if isinstance(source, (int, str, os.PathLike, Source)) and not isinstance(source, bool):
        return source
    raise UsageError("source", not_one(source, Source, "a name, an index, a path"), "Derive it from rtface.Source")

"""What every output is."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rtface.outputs.control import RunControl
from rtface.system.files import stale_parts
from rtface.types import Event, FrameResult


def _unheard(event: Event) -> None:
    """Nobody listens."""


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What is known of a run when it starts.

    Use this when your own `Sink` has to know what will come: it is given to ``open``.

    Attributes:
        source: What the user called the source.
        live: Frames come at their own pace, and some may be left out.
        stills: Frames have nothing to do with one another.
        fps: Frames in a second, or None where unknown.
        frame_count: Frames in all, or None where unknown.
        header: The first JSON line.
        on_event: Takes what happens to an output: its receiver is lost, or is back. May be called from any thread.
        control: What an output may change of the run.

    Example:
        >>> from rtface import RunInfo
        >>> RunInfo("door.mp4", live=False, stills=False, fps=25.0, frame_count=100, header={}).frame_count
        100
    """

    source: str
    live: bool
    stills: bool
    fps: float | None
    frame_count: int | None
    header: dict[str, Any]
    on_event: Callable[[Event], None] = _unheard
    control: RunControl = field(default_factory=RunControl)

    @property
    def tasks(self) -> tuple[str, ...]:
        """What was asked for, by the header; () where it does not say."""
        return tuple(self.header.get("options", {}).get("tasks", ()))


def tell_parts_left(path: Path, info: RunInfo, more: str = "") -> None:
    """Name what runs that were killed have left of an output, before it is written anew."""
    for left in stale_parts(path):
        info.on_event(Event("part_left", time.monotonic(), f"{left} is left of a run that was killed{more}"))


class Sink(ABC):
    """An output: ``open``, then ``write`` a result at a time, then ``finish`` with the summary, and always ``close``.

    Use this when results go to something that ``rtface outputs`` does not list. One of your own needs ``open`` and
    ``write``.

    Attributes:
        name: What messages call it; by default its class's name.
        own_thread: It is written by a thread of its own, so that it holds nobody up; else by the one that analyses.
        done: It wants no more, and the run ends: a window that was closed, a pipe that nobody reads.
        picture: Which frames it gets where faces have to be blurred: "private", as they may leave the process; "none",
            black ones, as it shows none; "original", as it sees to it itself.
        tells_groups_only: It tells of many people together only, and may run with ``privacy="aggregate"``.
        many_cameras: It takes results of several cameras, and tells them apart.
        lost: Results that it left out by itself, because its receiver was not there or too slow.

    Example:
        >>> import rtface
        >>> class Count(rtface.Sink):
        ...     def open(self, info: rtface.RunInfo) -> None:
        ...         self.faces = 0
        ...
        ...     def write(self, result: rtface.FrameResult) -> None:
        ...         self.faces += len(result)
        >>> count = Count()
        >>> summary = rtface.run("demo", [count], max_frames=3)
        >>> count.faces
        3
    """

    name: str
    own_thread: bool = True
    done: bool = False
    picture: Literal["private", "none", "original"] = "private"
    tells_groups_only: bool = False
    many_cameras: bool = False
    lost: int = 0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    @abstractmethod
    def open(self, info: RunInfo) -> None:
        """Make ready.

        Raises:
            OutputError: It cannot be written.
        """

    @abstractmethod
    def write(self, result: FrameResult) -> None:
        """Take one result.

        Raises:
            OutputError: It cannot be written any more.
        """

    def idle(self) -> None:
        """No result has come for a while; a call now and then until one does. For ``own_thread = False`` only."""

    def finish(self, summary: dict[str, Any]) -> None:
        """The end of the run, also after Ctrl-C or an error elsewhere. What was written becomes whole.

        Raises:
            OutputError: It cannot be made whole.
        """

    def close(self) -> None:
        """Release everything; the last call, also where another call raised."""

    def __enter__(self) -> Sink:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

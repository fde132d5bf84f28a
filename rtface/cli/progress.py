"""The progress bar of a run, on a terminal's stderr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from rtface.outputs.sink import RunInfo, Sink
from rtface.types import FrameResult

NAME_LENGTH = 24


class ProgressSink(Sink):
    """A bar that moves a step a frame.

    Args:
        max_frames: The run ends after so many frames, if that is before the source's end.
    """

    name = "progress"
    own_thread = False

    def __init__(self, max_frames: int | None = None) -> None:
        self._max_frames = max_frames
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task: TaskID | None = None

    def open(self, info: RunInfo) -> None:
        counts = [count for count in (info.frame_count, self._max_frames) if count is not None]
        name = Path(info.source).name[-NAME_LENGTH:]
        self._task = self._progress.add_task(name, total=min(counts, default=None), fps="")
        self._progress.start()

    def write(self, result: FrameResult) -> None:
        if self._task is None:
            return
        speed = self._progress.tasks[0].speed
        self._progress.update(self._task, advance=1, fps=f"{speed:.0f} fps" if speed else "")

    def finish(self, summary: dict[str, Any]) -> None:
        self._progress.stop()

    def close(self) -> None:
        self._progress.stop()

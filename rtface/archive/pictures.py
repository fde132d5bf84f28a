"""Some pictures analysed as one source, each into outputs of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rtface.archive.jobs import Job
from rtface.archive.state import DONE, FAILED, Outcome
from rtface.errors import RtfaceError
from rtface.outputs.fanout import Fanout
from rtface.outputs.open import choose
from rtface.outputs.sink import RunInfo, Sink
from rtface.outputs.summary import RunStats
from rtface.system.clock import Clock
from rtface.types import FrameResult


class PicturesSink(Sink):
    """Each result into the outputs of its job, with a header and a summary of its own.

    One picture's outputs that fail do not disturb the others.

    Args:
        jobs: Of the pictures, in order.
        privacy: How pictures may leave the process (`Options.privacy`).
        clock: For the summaries.

    Attributes:
        outcomes: By source, as far as there are results.
    """

    picture = "original"  # the outputs see to it themselves
    tells_groups_only = True  # as they do

    def __init__(self, jobs: Sequence[Job], privacy: str, clock: Clock) -> None:
        self._jobs = {job.source: job for job in jobs}
        self._privacy, self._clock = privacy, clock
        self._info: RunInfo | None = None
        self.outcomes: dict[str, Outcome] = {}

    def open(self, info: RunInfo) -> None:
        self._info = info

    def write(self, result: FrameResult) -> None:
        job = self._jobs[result.source]
        seconds = result.timing.total_ms / 1000.0
        try:
            self._write(job, replace(result, frame=replace(result.frame, index=0)))
        except RtfaceError as error:
            self.outcomes[job.source] = Outcome(job.source, job.outputs, FAILED, seconds=seconds, error=str(error))
        else:
            self.outcomes[job.source] = Outcome(job.source, job.outputs, DONE, 1, len(result.faces), seconds)

    def _write(self, job: Job, result: FrameResult) -> None:
        assert self._info is not None
        sinks = choose(job.outputs, source=job.source, overwrite=job.overwrite)
        stats = RunStats(self._clock)
        stats.start()
        fanout = Fanout(sinks, _info_of(self._info, job, result), live=False, privacy=self._privacy)
        try:
            fanout.put(result)
            stats.add(result)
        except BaseException as error:
            stats.end(error)
            raise
        else:
            stats.end(None)
        finally:
            fanout.finish(stats.record(0) | {"duration_s": round(result.timing.total_ms / 1000.0, 3)})


def _info_of(info: RunInfo, job: Job, result: FrameResult) -> RunInfo:
    """The run as the picture's outputs are to see it: a run on this picture alone."""
    height, width = result.frame.image.shape[:2]
    source: dict[str, Any] = {**info.header["source"], "name": job.source, "width_px": width, "height_px": height}
    return replace(
        info, source=job.source, frame_count=1, header={**info.header, "source": {**source, "frame_count": 1}}
    )

"""Does jobs, one bundle after the other, on one set of networks; in a process of its own, or on another machine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from rtface.analyzer import Analyzer
from rtface.archive.jobs import Job, is_still
from rtface.archive.pictures import PicturesSink
from rtface.archive.state import DONE, FAILED, INTERRUPTED, Outcome
from rtface.capture.images import PictureSource
from rtface.errors import EngineError, ModelError, RtfaceError
from rtface.options import Options
from rtface.stream import Stream
from rtface.system.clock import SystemClock
from rtface.system.files import stale_parts
from rtface.system.images import read_image

Progress = Callable[[int, "int | None"], None]
"""Called with the frames done and the frames in all, None = unknown."""


@dataclass(frozen=True, slots=True)
class Orders:
    """How all jobs of an archive are done.

    Attributes:
        options: Of the pipeline.
        max_frames: End a source after so many frames; None = at its end.
        started_at: When the first frame of a video was recorded.
    """

    options: Options
    max_frames: int | None = None
    started_at: datetime | str | None = None


class Worker:
    """Does jobs. A context manager; the networks are opened here.

    Args:
        orders: How.
        stopping: Set from elsewhere to end the job at hand after the frame at hand; its outputs become whole.

    Raises:
        ModelError, EngineError: A network cannot be opened.
    """

    def __init__(self, orders: Orders, stopping: threading.Event | None = None) -> None:
        self._orders, self._stopping = orders, stopping or threading.Event()
        self._analyzer = Analyzer(orders.options)
        self._stream: Stream | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._analyzer.close()

    def stop(self) -> None:
        """End the job at hand; from any thread."""
        self._stopping.set()
        stream = self._stream
        if stream is not None:
            stream.stop()  # it may be waiting for a frame

    def do(self, bundle: Sequence[Job], progress: Progress) -> list[Outcome]:
        """Do one job, or several that are all pictures.

        Raises:
            ModelError, EngineError: The networks cannot run.
        """
        for folder in {path.parent for job in bundle for path in job.paths}:
            with suppress(OSError):  # the output says what is wrong
                folder.mkdir(parents=True, exist_ok=True)
        done = self._pictures(bundle, progress) if is_still(bundle[0]) else [self._one(bundle[0], progress)]
        for job, outcome in zip(bundle, done, strict=True):
            if job.overwrite and outcome.status == DONE:
                _clear(job)
        return done

    def _one(self, job: Job, progress: Progress) -> Outcome:
        began, error, status = time.monotonic(), None, DONE
        summary = {"frames": 0, "faces": 0, "corrupt": 0}
        stream = Stream(
            job.source,
            live=False,
            options=self._orders.options,
            outputs=job.outputs,
            overwrite=job.overwrite,
            max_frames=self._orders.max_frames,
            analyzer=self._analyzer,
            started_at=self._orders.started_at,
        )
        try:
            self._through(stream, progress)
        except (ModelError, EngineError):
            raise
        except KeyboardInterrupt:
            status = INTERRUPTED
        except Exception as failed:
            error, status = _line(failed), FAILED
        with suppress(RtfaceError):  # it never began
            summary = stream.summary
        counts = summary["frames"], summary["faces"]
        seconds = time.monotonic() - began
        return Outcome(job.source, job.outputs, status, *counts, seconds, error, corrupt=summary["corrupt"])

    def _pictures(self, bundle: Sequence[Job], progress: Progress) -> list[Outcome]:
        clock = SystemClock()
        options = self._orders.options
        sink = PicturesSink(bundle, options.privacy, clock)
        paths = [Path(job.source) for job in bundle]
        try:
            source = PictureSource(f"{len(bundle)} pictures", paths, clock)
        except RtfaceError:  # none of them can be read
            return [_without(job, _why(path)) for job, path in zip(bundle, paths, strict=True)]
        errors: dict[str, str] = {}
        try:
            stream = Stream(source, live=False, options=options, outputs=[sink], analyzer=self._analyzer)
            self._through(stream, progress)
            errors = source.errors
        except (ModelError, EngineError):
            raise
        except KeyboardInterrupt:
            errors = {job.source: "" for job in bundle}
        except Exception as failed:
            errors = {job.source: _line(failed) for job in bundle}
        return [sink.outcomes.get(job.source) or _without(job, errors.get(job.source, "")) for job in bundle]

    def _through(self, stream: Stream, progress: Progress) -> None:
        """
        Raises:
            KeyboardInterrupt: It was stopped.
        """
        self._stream = stream
        try:
            with stream:
                total = stream.source.frame_count
                for number, _ in enumerate(stream, 1):
                    progress(number, total)
                    if self._stopping.is_set():
                        break
                if self._stopping.is_set():
                    raise KeyboardInterrupt
        finally:
            self._stream = None


def _why(path: Path) -> str:
    """Why a picture cannot be read."""
    try:
        read_image(path)
    except RtfaceError as error:
        return str(error)
    return ""


def _without(job: Job, error: str) -> Outcome:
    """A picture that has no result: it failed, or was not reached."""
    if error:
        return Outcome(job.source, job.outputs, FAILED, error=error)
    return Outcome(job.source, job.outputs, INTERRUPTED)


def _clear(job: Job) -> None:
    """Remove what earlier tries that were killed have left of videos: the whole one is there now."""
    for path in job.paths:
        for part in stale_parts(path):
            with suppress(OSError):
                part.unlink()


def _line(error: Exception) -> str:
    if isinstance(error, RtfaceError):
        return str(error)
    return " ".join(f"{type(error).__name__}: {error}".split())

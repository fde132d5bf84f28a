"""``rtface run`` on many files: one progress bar, a table, and what failed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rtface.archive.jobs import Job, shown
from rtface.archive.processes import Bundle
from rtface.archive.run import Report, Watcher, run_archive
from rtface.archive.state import DONE, INTERRUPTED, Outcome
from rtface.errors import SourceError, UsageError

#: So many sources have a row each in the table; of more, only the sums are printed.
MOST_ROWS = 40
#: With --ray: a folder of Parquet files for the rows of all sources.
ROWS, ROWS_MEND = ".parquet/", "-o 'out/{stem}.parquet' has outputs of their own"
#: Where there is no terminal, a line tells how far it is about so often, in seconds.
TELL_S = 30.0


def archive(sources: list[str], outputs: list[str], *, ray: str | None, **how: Any) -> int:
    """Run it, here or on the Ray cluster at an address; the exit code tells of sources that failed."""
    began = time.monotonic()
    if ray is not None and any(output.endswith(ROWS) for output in outputs):
        return _rows(sources, outputs, ray, **how)
    if ray is not None:
        from rtface.cluster.archive import RayRunner

        how["runner"] = lambda orders, on_start, _: RayRunner(orders, on_start, address=ray, actors=how["jobs"])
    with ExitStack() as stack:
        watcher: _Lines = stack.enter_context(_Bar() if sys.stderr.isatty() else _Lines())
        try:
            report = run_archive(sources, outputs, watcher=watcher, **how)
        except KeyboardInterrupt:
            stack.close()
            print(f"rtface: {watcher.whole} files are done; the same command goes on from here", file=sys.stderr)
            raise
    _say_table(report)
    _say_sums(report, time.monotonic() - began)
    for failed in report.failures:
        print(f"rtface: failed: {failed.error or f'{shown(failed.source)}: was ended from outside'}", file=sys.stderr)
    return SourceError.exit_code if report.failures else 0


def _rows(sources: list[str], outputs: list[str], ray: str, **how: Any) -> int:
    """The rows of all sources into one folder of Parquet files.

    Raises:
        UsageError: There are other outputs beside it, or it keeps a state file.
    """
    from rtface.cluster.archive import write_rows

    for name in ("state", "started_at"):
        if how.pop(name) is not None:
            raise UsageError(f"--{name.replace('_', '-')}", f"goes with an output a source, not with {ROWS}", ROWS_MEND)
    if len(outputs) != 1:
        raise UsageError(", ".join(outputs), "are several outputs, and a folder of rows is written alone", ROWS_MEND)
    how["actors"] = how.pop("jobs")
    failed = write_rows(sources, Path(outputs[0]), address=ray, **how)
    for error in failed.values():
        print(f"rtface: failed: {error}", file=sys.stderr)
    print(f"rtface: {outputs[0]} is written" + (f", {len(failed)} failed" if failed else ""), file=sys.stderr)
    return SourceError.exit_code if failed else 0


class _Lines(Watcher):
    """Tells how far it is: a line now and then. Sources count by their bytes, which are known beforehand.

    Attributes:
        whole: Sources that this run has done.
    """

    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._sizes: dict[int, int] = {}
        self._parts: dict[int, float] = {}
        self._done_bytes = self._done = self._frames = 0
        self._running: dict[int, int] = {}
        self.whole = 0

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""

    def begin(self, jobs: Sequence[Job], done_before: int) -> None:
        sizes = {job.index: job.size for job in jobs}
        known = [size for size in sizes.values() if size is not None]
        usual = max(sum(known) // len(known), 1) if known else 1
        self._sizes = {index: usual if size is None else max(size, 1) for index, size in sizes.items()}
        if done_before:
            files = f"{done_before} of {done_before + len(jobs)} sources"
            print(f"rtface: {files} were done before and are left alone", file=sys.stderr)
        self._began = self._told = time.monotonic()

    def progress(self, bundle: Bundle, frames: int, total: int | None) -> None:
        first = bundle[0].index
        self._running[first] = frames
        if total:
            size = sum(self._sizes[job.index] for job in bundle)
            self._parts[first] = size * min(frames / total, 1.0)
        self.show()

    def end(self, bundle: Bundle, outcomes: Sequence[Outcome]) -> None:
        self._running.pop(bundle[0].index, None)
        self._parts.pop(bundle[0].index, None)
        self._done += len(bundle)
        self.whole += sum(outcome.status == DONE for outcome in outcomes)
        self._done_bytes += sum(self._sizes[job.index] for job in bundle)
        self._frames += sum(outcome.frames for outcome in outcomes)
        self.show()

    @property
    def bytes(self) -> tuple[float, int]:
        """Bytes that are done, and in all."""
        return self._done_bytes + sum(self._parts.values()), sum(self._sizes.values())

    @property
    def files(self) -> str:
        """Sources that are done, of all, and frames a second."""
        seconds = max(time.monotonic() - self._began, 1e-6)
        frames = self._frames + sum(self._running.values())
        return f"{self._done}/{len(self._sizes)} files, {frames / seconds:.0f} fps"

    def show(self) -> None:
        """Tell, if it is time."""
        now = time.monotonic()
        done, total = self.bytes
        if now < self._told + TELL_S or not done:
            return
        self._told = now
        left_s = (now - self._began) * (total - done) / done
        line = f"rtface: {self.files}, {100 * done / total:.0f} %, about {_time(left_s)} left"
        print(line, file=sys.stderr, flush=True)


class _Bar(_Lines):
    """One bar for all, on a terminal."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)

    def begin(self, jobs: Sequence[Job], done_before: int) -> None:
        super().begin(jobs, done_before)
        self._task = self._bar.add_task(self.files, total=float(self.bytes[1]))
        self._bar.start()

    def show(self) -> None:
        self._bar.update(self._task, completed=self.bytes[0], description=self.files)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _say_table(report: Report) -> None:
    """A row a source, where they are few."""
    if not 1 < len(report.outcomes) <= MOST_ROWS:
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table("source", box=box.SIMPLE_HEAD)
    for name in ("frames", "faces", "fps", "seconds", "result"):
        table.add_column(name, justify="left" if name == "result" else "right")
    for one in report.outcomes:
        fps = f"{one.frames / one.seconds:.0f}" if one.seconds and one.frames else ""
        counts = str(one.frames), str(one.faces), fps, f"{one.seconds:.1f}"
        table.add_row(escape(shown(one.source)), *counts, _result(one))
    Console(stderr=True).print(table)


def _result(one: Outcome) -> str:
    if one.status == DONE and one.corrupt:
        return f"done, {one.corrupt} frames skipped"
    return {DONE: "done", INTERRUPTED: "interrupted"}.get(one.status, "[bold]failed[/bold]")


def _say_sums(report: Report, seconds: float) -> None:
    done = len(report.outcomes) - len(report.failures)
    frames = sum(one.frames for one in report.outcomes)
    faces = sum(one.faces for one in report.outcomes)
    parts = [f"{done} sources done" if done != 1 else "1 source done", f"{frames} frames", f"{faces} faces"]
    if frames:
        parts.append(f"{frames / max(seconds, 1e-6):.0f} fps")
    parts.append(f"in {_time(seconds)}")
    if report.failures:
        parts.append(f"{len(report.failures)} failed")
    print(", ".join(parts) + f" ({shown(str(report.state.absolute()))})", file=sys.stderr)


def _time(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d} min"

"""Many files into outputs of their own: plans, skips what is done, does the rest and keeps the state file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from rtface.archive.jobs import TOGETHER, Job, bundles, is_still, plan
from rtface.archive.names import fixed_folder
from rtface.archive.processes import Bundle, Pool
from rtface.archive.state import DONE, NAME, Outcome, State, sort_out
from rtface.archive.work import Orders
from rtface.capture.files import Named
from rtface.errors import UsageError
from rtface.options import Options
from rtface.system.machine import usable_cores

#: Processes by default, at most: each holds networks of its own, about 200 MB.
MOST_JOBS = 8


class Runner(AbstractContextManager["Runner"], Protocol):
    """Does bundles of jobs: the processes of this machine, or a cluster."""

    def run(self, bundles: Iterable[list[Job]]) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """Bundles as they are done."""

    def interrupt(self) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """End early, with whole outputs; what was being done."""


class Watcher:
    """Hears how an archive goes; this one does nothing."""

    def begin(self, jobs: Sequence[Job], done_before: int) -> None:
        """These are left to do."""

    def start(self, bundle: Bundle) -> None:
        """A bundle begins."""

    def progress(self, bundle: Bundle, frames: int, total: int | None) -> None:
        """So many of its frames are done, of so many where it is known."""

    def end(self, bundle: Bundle, outcomes: Sequence[Outcome]) -> None:
        """A bundle is done."""


@dataclass(slots=True)
class Report:
    """How an archive went.

    Attributes:
        done_before: Sources that an earlier run had done.
        outcomes: Of the others, in order of the sources.
        state: The state file.
    """

    state: Path
    done_before: int = 0
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def failures(self) -> list[Outcome]:
        """What is not done."""
        return [outcome for outcome in self.outcomes if outcome.status != DONE]


MakeRunner = Callable[[Orders, Callable[[Bundle], None], Callable[[Bundle, int, "int | None"], None]], Runner]


def run_archive(
    sources: Named | Iterable[Named],
    outputs: Sequence[str],
    *,
    options: Options | None = None,
    jobs: int | None = None,
    recursive: bool = False,
    overwrite: bool = False,
    max_frames: int | None = None,
    started_at: datetime | str | None = None,
    state: str | Path | None = None,
    watcher: Watcher | None = None,
    runner: MakeRunner | None = None,
) -> Report:
    """Every frame of many files, each file into outputs of its own, by several processes.

    What an earlier run has done is left alone: same source by size and time, same options, outputs still there. What
    it has left unfinished is done again. In a script, call it below ``if __name__ == "__main__":``, as its processes
    import the script.

    Args:
        sources: Files, folders, patterns, .txt lists, addresses of files; or several of those.
        outputs: Names with {stem}, {parent} or {index} (`rtface.archive.names`), such as ``"out/{stem}.jsonl"``.
        options: How; None = the defaults with RTFACE_* variables. Without ``threads`` the cores are shared out.
        jobs: Processes; None = one a core, at most `MOST_JOBS`.
        recursive: Also the sub-folders of folders.
        overwrite: Whether outputs that are there, and are not this archive's own beginnings, may be replaced.
        max_frames: End each source after so many frames.
        started_at: When the first frame of the only video was recorded.
        state: The state file; None = `NAME` in the folder that all outputs are in.
        watcher: Hears how it goes, in this thread.
        runner: Makes what does the jobs; None = processes.

    Raises:
        UsageError: Two sources have one output, or the like; nothing was begun.
        OutputError: An output is there already; nothing was begun.
        SourceError: A folder or a pattern has no file.
        ModelError, EngineError: The networks cannot run.
        KeyboardInterrupt: Ctrl-C; outputs are whole, and the next run goes on.

    Example:
        >>> from rtface.archive.run import run_archive
        >>> report = run_archive("visits/*.mp4", ["out/{stem}.jsonl"], jobs=2)  # doctest: +SKIP
        >>> [failed.error for failed in report.failures]  # doctest: +SKIP
        []
    """
    watcher = watcher or Watcher()
    planned = plan(sources, outputs, recursive=recursive, overwrite=overwrite)
    if started_at is not None and len(planned) > 1:
        raise UsageError("started_at", f"{len(planned)} sources did not all begin then", "Run them one by one")
    options = replace(options or Options.load(), budget_ms=None)
    path = Path(state) if state is not None else fixed_folder(outputs[0]) / NAME
    with State(path, options, max_frames=max_frames, started_at=started_at) as kept:
        left, done_before = sort_out(planned, kept)
        report = Report(path, done_before)
        watcher.begin(left, done_before)
        if not left:
            return report
        count = max(1, min(jobs or min(usable_cores(), MOST_JOBS), len(left)))
        orders = Orders(options if runner else _shared_out(options, count), max_frames, started_at)
        make = runner or (lambda *args: Pool(args[0], count, on_start=args[1], on_progress=args[2]))

        def on_start(bundle: Bundle) -> None:
            kept.start(bundle)
            watcher.start(bundle)

        with make(orders, on_start, watcher.progress) as pool:
            _follow(pool, _shared_bundles(left, count), kept, report, watcher)
    order = {job.outputs: job.index for job in left}
    report.outcomes.sort(key=lambda outcome: order[outcome.outputs])
    return report


def _follow(pool: Runner, work: list[list[Job]], kept: State, report: Report, watcher: Watcher) -> None:
    def take(bundle: list[Job], outcomes: list[Outcome]) -> None:
        kept.end(bundle, outcomes)
        report.outcomes += outcomes
        watcher.end(bundle, outcomes)

    try:
        for bundle, outcomes in pool.run(work):
            take(bundle, outcomes)
    except KeyboardInterrupt:
        for bundle, outcomes in pool.interrupt():
            take(bundle, outcomes)
        raise


def _shared_bundles(jobs: Sequence[Job], count: int) -> list[list[Job]]:
    """Bundles that keep so many processes busy to the end: of pictures not too many at once, the longest first."""
    stills = sum(map(is_still, jobs))
    most = min(TOGETHER, max(1, stills // (4 * count)))
    work = list(bundles(jobs, most))
    return work if count == 1 else sorted(work, key=lambda bundle: -sum(job.size or 0 for job in bundle))


def _shared_out(options: Options, count: int) -> Options:
    """The cores, shared out among processes that would else fight for them."""
    if options.threads is not None or count == 1:
        return options
    return replace(options, threads=max(1, usable_cores() // count))

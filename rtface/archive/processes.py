"""Processes that do bundles of jobs: each has its own networks, and one that dies costs only what it was doing."""

from __future__ import annotations

import multiprocessing
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import connection
from typing import TYPE_CHECKING, Any

from rtface.archive.jobs import Job
from rtface.archive.state import FAILED, INTERRUPTED, Outcome
from rtface.errors import EngineError, RtfaceError

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from rtface.archive.work import Orders

#: Processes that die while they do the same bundle, before it is given up.
ATTEMPTS = 2
#: A process tells how far it is about so often, in seconds.
TELL_S = 0.2
#: A process that was told to end and does not, in seconds: its outputs may be large.
PATIENCE_S = 60.0

Bundle = Sequence[Job]


@dataclass(slots=True)
class _Process:
    """A process as its parent sees it."""

    process: BaseProcess
    pipe: Connection
    bundle: list[Job] | None = None
    ready: bool = False


class Pool:
    """Processes that do bundles until there are none left. A context manager: leaving it early ends them.

    Args:
        orders: How jobs are done.
        count: Processes at most.
        on_start: Called before a bundle begins; from the thread that iterates, as are the others.
        on_progress: Called with a bundle, the frames done and the frames in all (None = unknown).
    """

    def __init__(
        self,
        orders: Orders,
        count: int,
        *,
        on_start: Callable[[Bundle], None],
        on_progress: Callable[[Bundle, int, int | None], None],
    ) -> None:
        self._orders, self._count = orders, count
        self._on_start, self._on_progress = on_start, on_progress
        self._left: deque[list[Job]] = deque()
        self._tries: dict[int, int] = {}
        self._all: list[_Process] = []

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self._all:
            with suppress(OSError):
                one.pipe.close()  # a process whose parent is gone ends by itself
        end = time.monotonic() + PATIENCE_S
        for one in self._all:
            one.process.join(max(end - time.monotonic(), 0.0))
            if one.process.is_alive():
                one.process.kill()
                one.process.join()
        self._all.clear()

    def run(self, bundles: Iterable[list[Job]]) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """Bundles as they are done, each with its outcomes.

        Raises:
            ModelError, EngineError: The networks cannot run.
        """
        self._left = deque(bundles)
        for _ in range(min(self._count, len(self._left))):
            self._all.append(self._begin())
        while self._all:
            yield from self._wait()

    def interrupt(self) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """Let the processes end what they are doing, with whole outputs; what they had done, or begun."""
        self._left.clear()
        for one in self._all:
            with suppress(OSError):
                one.pipe.send(None)
        while self._all:
            yield from self._wait(beginning=False)

    def _begin(self) -> _Process:
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        process = context.Process(target=_main, args=(there, self._orders), name="rtface-worker", daemon=True)
        with _signals_held():
            process.start()
        there.close()
        return _Process(process, here)

    def _wait(self, *, beginning: bool = True) -> Iterator[tuple[list[Job], list[Outcome]]]:
        ready = connection.wait([one.pipe for one in self._all])
        for one in [one for one in self._all if one.pipe in ready]:
            try:
                told = one.pipe.recv()
            except (EOFError, OSError):
                yield from self._died(one, beginning)
                continue
            if isinstance(told, RtfaceError):
                raise told
            if isinstance(told, tuple):
                self._on_progress(one.bundle or (), *told)
                continue
            one.ready = True
            if told and one.bundle is not None:
                bundle, one.bundle = one.bundle, None
                yield bundle, told
            self._give(one)

    def _give(self, one: _Process) -> None:
        """The next bundle for a process that has nothing to do; the end where there is none."""
        if not self._left:
            self._all.remove(one)
            with suppress(OSError):
                one.pipe.close()
            one.process.join(PATIENCE_S)
            return
        one.bundle = self._left.popleft()
        self._on_start(one.bundle)
        with suppress(OSError):  # it has died: the next read says so
            one.pipe.send(one.bundle)

    def _died(self, one: _Process, beginning: bool) -> Iterator[tuple[list[Job], list[Outcome]]]:
        """A process has ended by itself: what it was doing is tried once more by another."""
        one.process.join(PATIENCE_S)
        one.pipe.close()
        self._all.remove(one)
        bundle, code = one.bundle, one.process.exitcode
        if beginning and not one.ready:  # so would the next one
            raise EngineError("a process", f"ended before it began ({_how(code)})", "Fewer may fit: --jobs 1")
        if bundle is not None and not beginning:
            yield bundle, [Outcome(job.source, job.outputs, INTERRUPTED) for job in bundle]
        elif bundle is not None and not self._try_again(bundle):
            why = f"{bundle[0].shown}: the process that read it died ({_how(code)}), {ATTEMPTS} times. "
            mend = "It may be damaged, or the memory too small: --jobs 1"
            yield bundle, [Outcome(bundle[0].source, bundle[0].outputs, FAILED, error=why + mend)]
        if self._left:
            self._all.append(self._begin())

    def _try_again(self, bundle: list[Job]) -> bool:
        """Puts a bundle back before all others; False where it was tried often enough."""
        if len(bundle) > 1:  # which of them it was shows when each is done alone
            self._left.extendleft([again(job)] for job in reversed(bundle))
            return True
        number = bundle[0].index
        self._tries[number] = self._tries.get(number, 0) + 1
        if self._tries[number] < ATTEMPTS:
            self._left.appendleft([again(bundle[0])])
            return True
        return False


def again(job: Job) -> Job:
    """The job once more, over what its first try has left."""
    return replace(job, overwrite=True)


def _how(code: int | None) -> str:
    if code is None or code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


@contextmanager
def _signals_held() -> Iterator[None]:
    """Ctrl-C waits: a process that is only beginning would answer it with a traceback. Its child inherits that."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


def _main(pipe: Connection, orders: Orders) -> None:
    """A worker's process: takes bundles from the pipe until there are none, or its parent is gone."""
    from rtface.archive.work import Worker

    stopping = threading.Event()
    for number in _ENDING:
        signal.signal(number, lambda *_: stopping.set())  # the terminal's Ctrl-C reaches all processes
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    bundles: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
    try:
        worker = Worker(orders, stopping)
    except RtfaceError as error:
        pipe.send(error)
        return
    with worker:
        threading.Thread(target=_listen, args=(pipe, bundles, worker), daemon=True).start()
        _tell(pipe, [])
        while (bundle := bundles.get()) is not None:
            try:
                outcomes = worker.do(bundle, _Teller(pipe))
            except RtfaceError as error:
                _tell(pipe, error)
                return
            if not _tell(pipe, outcomes) or stopping.is_set():
                return


def _listen(pipe: Connection, bundles: queue.SimpleQueue[list[Job] | None], worker: Any) -> None:
    while True:
        try:
            bundle = pipe.recv()
        except (EOFError, OSError):
            bundle = None
        if bundle is None:
            worker.stop()
        bundles.put(bundle)
        if bundle is None:
            return


class _Teller:
    """Tells the parent how far a bundle is, now and then."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe, self._due = pipe, 0.0

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now >= self._due:
            self._due = now + TELL_S
            _tell(self._pipe, (done, total))


def _tell(pipe: Connection, what: Any) -> bool:
    try:
        pipe.send(what)
    except OSError:  # the parent is gone
        return False
    return True

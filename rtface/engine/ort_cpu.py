"""A network on a CPU that it shares: several ONNX Runtime sessions of one file, and the quickest of them for each call.

- A call for several faces can go in parts, one a thread, each part on a session of one thread ("lanes"). On 2 cores
  that beats one session of two threads (2 faces 3.4 against 3.9 ms, 3 faces 5.1 against 6.9): ONNX Runtime's threads
  meet after every operator, lanes once.
- One face is quicker on all threads together ("wide": 1.6 against 2.2 ms) while the cores are free, and several times
  slower when another process has one of them. Which it is, an `AutoTuner` finds out while running.
- Where one face is over (3 on 2 cores), it goes in halves ("split"): the first lane begins with all of it but what is
  expensive (the parsing), the second lane ends with that. 3 faces took 2.5 ms as 2 and 1, 2.8 as 1 and 1 and then 1
  wide, and take 2.3 so; 5 faces 4.0 and 3.4.
- Outputs that are expensive and not asked for are cut out of the graph (`rtface.models.onnx_bytes`).
- A stream's memory is all there from its start, however many faces come later: a session takes a few at a time
  (`TOGETHER`), `prepare` lets each take as many, and each lane has a session of its own. Two lanes that shared one took
  6 MB more within 120 calls, by how they happened to overlap; with their own, nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.autotune import TIE_RATIO, AutoTuner
from rtface.engine.base import Decoders, Tensors
from rtface.engine.ort import OrtEngine, default_threads
from rtface.engine.split import Channel, SplitSession
from rtface.errors import EngineError
from rtface.models.onnx_bytes import output_names, without_outputs

WIDE, LANES, SPLIT = "wide", "lanes", "split"

TOGETHER = 2
"""Most rows that a session runs at once. A session keeps the memory of its largest call: with 8 faces in one, 33 MB;
with 2 at a time 8 MB, at 2.1 ms of CPU time a face instead of 2.0 (1 at a time: 2.35)."""

MANY = 8
"""Batches of more rows, faces of several cameras, share a tuner with those that leave as many over for a last lane."""

SHARED_TIE_RATIO = 2.0
"""`TIE_RATIO` of several streams on the same cores: what one of them saves in CPU time, the others have. Two threads on
one face spin at every operator; each on a face of its own, or one beside a camera's thread, they do not."""

SHAPES = 16
"""Batch shapes whose tuner is remembered; a stream has one for every number of faces."""


class CpuEngine:
    """A network under ONNX Runtime on the CPU; implements `Engine`.

    Opens one session of all threads for what `names` need; what else is needed later, then, or in `prepare`.

    Args:
        model: The ONNX file's bytes.
        name: What messages call it.
        threads: Most threads of one call; None = `default_threads()`.
        expensive_outputs: Outputs that are cut out of the graph for calls that ask for none of them.
        names: Outputs that calls will ask for; None = all.
        rows: Most rows of a stream's batch, where it is known: lanes beyond that are not opened.
        shared: Several streams share the cores: what takes least CPU time goes first, up to `SHARED_TIE_RATIO`.
        decoders: By output name, what answers are decoded by.
        timer, cpu_timer: Seconds, and seconds of CPU time of all threads, for the tuner.

    Raises:
        EngineError: ONNX Runtime cannot load the network.
    """

    def __init__(
        self,
        model: bytes,
        name: str = "model",
        threads: int | None = None,
        *,
        expensive_outputs: Sequence[str] = (),
        names: Sequence[str] | None = None,
        rows: int | None = None,
        shared: bool = False,
        decoders: Decoders | None = None,
        timer: Callable[[], float] = time.perf_counter,
        cpu_timer: Callable[[], float] = time.process_time,
    ) -> None:
        self._model, self._name, self._timer, self._cpu_timer = model, name, timer, cpu_timer
        self._decoders = decoders
        self.shared = shared
        self._threads = threads if threads is not None else default_threads()
        self._lanes = self._threads if rows is None else max(1, min(self._threads, rows))
        self._one_can_be_over = self._lanes > 1 and (rows is None or rows > self._lanes)
        self._warm = TOGETHER if rows is None else max(1, min(TOGETHER, rows))
        self._sessions: dict[tuple[str, bool, int], OrtEngine] = {}
        self._tuners: dict[tuple[bool, tuple[int, ...]], AutoTuner] = {}
        self._split: SplitSession | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._expensive: tuple[str, ...] = ()
        try:
            self._outputs = output_names(model)
            self._expensive = tuple(expensive_outputs) if set(self._outputs) - set(expensive_outputs) else ()
        except ValueError:
            self._outputs = ()  # opening it says what is wrong with it
        # Of two threads that several streams share, none would ever spin for the other: a pool of threads less.
        self._alone = LANES if shared and self._threads == 2 else WIDE
        first = self._session(self._alone, self._full_graph(self._outputs if names is None else names))
        self._describe = {**first.describe(), "threads": self._threads}

    @property
    def prunes(self) -> bool:
        """Whether a call that does not ask for an expensive output takes less time."""
        return bool(self._expensive)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def prepare(self, *names: Sequence[str]) -> None:
        """Open what calls for each of these lists of outputs may use, for a stream: there a late frame counts.

        Raises:
            EngineError: the engine is closed.
        """
        for asked in names:
            full_graph = self._full_graph(asked)
            # Without its expensive outputs the network is too short for threads that meet at every operator.
            if full_graph:
                self._session(self._alone, full_graph)
            for lane in range(self._lanes if self._threads > 1 else 0):
                self._session(LANES, full_graph, lane)
            if full_graph and self._expensive and self._split is None and self._one_can_be_over:
                with suppress(ValueError):  # a network of another make
                    self._split = SplitSession(self._model, self._name, self._expensive, self._decoders)
        for session in self._sessions.values():
            session.warm(self._warm)
        if self._lanes > 1 and self._pool is None:
            self._pool = ThreadPoolExecutor(self._lanes - 1, thread_name_prefix=f"rtface-{self._name}")

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        Raises:
            EngineError: the engine is closed, or ONNX Runtime refuses the batch.
        """
        if not self._model:
            raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")
        full_graph = self._full_graph(names)
        strategies = [strategy for strategy in (WIDE, LANES) if (strategy, full_graph, 0) in self._sessions]
        if not strategies or not len(batch):
            return self._dispatch(self._alone, full_graph, batch, names)
        if full_graph and self._split is not None and len(batch) % self._lanes == 1 < len(batch):
            strategies[-1] = SPLIT
        if len(strategies) < 2:
            return self._dispatch(strategies[0], full_graph, batch, names)
        tuner = self._tuner(full_graph, batch.shape, strategies)
        strategy = tuner.choose()
        began, cpu = self._timer(), self._cpu_timer()
        tensors = self._dispatch(strategy, full_graph, batch, names)
        # A row: larger batches share a tuner.
        rows = len(batch)
        tuner.record(strategy, (self._timer() - began) / rows, (self._cpu_timer() - cpu) / rows)
        return tensors

    def _tuner(self, full_graph: bool, shape: tuple[int, ...], strategies: Sequence[str]) -> AutoTuner:
        rows = shape[0] if shape[0] <= MANY else MANY + shape[0] % self._lanes
        key = (full_graph, (rows, *shape[1:]))
        if key not in self._tuners:
            if len(self._tuners) >= SHAPES:
                del self._tuners[next(iter(self._tuners))]
            # Several faces are split from the start, one is not.
            first = strategies if shape[0] == 1 else strategies[::-1]
            self._tuners[key] = AutoTuner(first, SHARED_TIE_RATIO if self.shared else TIE_RATIO)
        return self._tuners[key]

    def _dispatch(self, strategy: str, full_graph: bool, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        if strategy == WIDE or self._pool is None:
            return self._run_chunked(WIDE if strategy == WIDE else LANES, full_graph, batch, names)
        split = self._split if strategy == SPLIT else None
        shared = batch if split is None else batch[:-1]
        parts = np.array_split(shared, min(self._lanes, len(shared)))
        odd, handoff = dict[str, NDArray[Any]](), Channel()

        def work(lane: int) -> Tensors:
            if split is not None and lane == 0:
                odd.update(split.first(batch[-1:], names, handoff))
            answer = self._run_chunked(LANES, full_graph, parts[lane], names, lane)
            if split is not None and lane == 1:
                odd.update(split.second(names, handoff))
            return answer

        try:
            others = [self._pool.submit(work, lane) for lane in range(1, len(parts))]
            answers = [work(0), *(other.result() for other in others)]
        finally:
            handoff.put(None)  # whatever went wrong here, Ctrl-C too: the second lane is not to wait for ever
        return _joined(answers if split is None else [*answers, odd], names)

    def _run_chunked(
        self, strategy: str, full_graph: bool, batch: NDArray[Any], names: Sequence[str], lane: int = 0
    ) -> Tensors:
        """What one session makes of a batch, some rows at a time."""
        session = self._session(strategy, full_graph, lane)
        if len(batch) <= TOGETHER:
            return session.run(batch, names)
        parts = range(0, len(batch), TOGETHER)
        return _joined([session.run(batch[at : at + TOGETHER], names) for at in parts], names)

    def _session(self, strategy: str, full_graph: bool, lane: int = 0) -> OrtEngine:
        key = (strategy, full_graph, lane)
        if key not in self._sessions:
            if self._outputs and not self._model:
                raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")
            model = self._model if full_graph else without_outputs(self._model, self._expensive)
            self._sessions[key] = OrtEngine(
                model, self._name, self._threads if strategy == WIDE else 1, decoders=self._decoders
            )
        return self._sessions[key]

    def _full_graph(self, names: Sequence[str]) -> bool:
        return not self._expensive or any(name in self._expensive for name in names)

    def describe(self) -> dict[str, str | int]:
        """Engine, version, device and threads."""
        return self._describe

    def close(self) -> None:
        """Drop the sessions with their threads and memory; idempotent."""
        self._model = b""
        self._sessions.clear()
        self._split = None
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


def _joined(answers: Sequence[Tensors], names: Sequence[str]) -> Tensors:
    if len(answers) == 1:
        return answers[0]
    return {name: np.concatenate([answer[name] for answer in answers]) for name in names}

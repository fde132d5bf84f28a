"""What a TensorRT plan needs to run an input shape: an execution context, buffers and a CUDA graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

from numpy.typing import NDArray

from rtface.engine.base import Tensors
from rtface.engine.call_memory import CallMemory
from rtface.engine.cuda import SETUP, Graph
from rtface.engine.trt_plan import Plan
from rtface.errors import EngineError

GRAPH_AFTER = 2
"""Calls of a shape before its graph is recorded: TensorRT sets itself up in the first."""

log = logging.getLogger(__name__)


class ShapeContext:
    """An execution context with the buffers of one input shape, and from its third call on a CUDA graph of copy in,
    network, copy out.

    All outputs lie in one block, so one copy brings them back. A GPU that shares its memory with the CPU reads and
    writes the host's blocks in place: nothing is copied.

    Args:
        plan: What to run.
        shape: The input's.
        graph: Whether to record a graph; no gain for shapes that come once.
        often: Whether the shape comes again and again.
    """

    def __init__(self, plan: Plan, shape: tuple[int, ...], *, graph: bool = True, often: bool = True) -> None:
        self._plan, self._cuda = plan, plan.cuda
        self._records = graph and not plan.own_graphs
        self._calls, self._scratch_at = 0, 0
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}  # those that the context knows
        self._memories = [CallMemory(self._cuda, plan.input)]
        self._context: Any = None
        self._profile = 0  # a new context has the first
        with ExitStack() as undo:
            undo.callback(self.close)
            with SETUP:
                self._context = plan.make_context(often)
            self.reshape(shape)
            undo.pop_all()

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Take inputs of another shape from now on; memory is asked for only where what is there is too small.

        No call may be under way, and the answers of all must have been read.
        """
        plan = self._plan
        self._drop_graphs()
        self.shape, self._calls, self._scratch_at, self._addresses = shape, 0, 0, {}
        profile = plan.profile_for(shape) or 0
        if profile != self._profile:
            chosen = self._context.set_optimization_profile_async(profile, self._cuda.stream)
            plan.must(chosen, "refuses the profile for", shape)
            self._profile = profile
        plan.must(self._context.set_input_shape(plan.input, shape), "refuses the shape", shape)
        for tensor in plan.dtypes:
            dims = tuple(self._context.get_tensor_shape(tensor))
            if min(dims, default=1) < 0:
                raise EngineError(plan.name, f"the shape of {tensor} depends on data", "`rtface build` makes it again")
            self._shapes[tensor] = dims
        for memory in self._memories:
            memory.lay_out(self._shapes, plan.dtypes)
        self._point_to(self._memories[0])

    def run(self, batch: NDArray[Any], names: Sequence[str], slot: int = 0) -> Tensors:
        """Copy in, compute, copy out; the arrays returned are copies. Rows beyond the batch's hold what was there."""
        memory = self._launched(batch, slot)
        self._cuda.wait()
        return _copied(memory, names, len(batch))

    def run_filled(self, fill: Callable[[int], None], names: Sequence[str], rows: int, slot: int = 0) -> Tensors:
        """Compute and copy out, with `rows` of input that `fill` puts at an address, by work in the stream."""
        memory = self._launched_filled(fill, slot)
        self._cuda.wait()
        return _copied(memory, names, rows)

    def begin(self, batch: NDArray[Any], slot: int) -> None:
        """As `run`, without waiting: what `finish` gives is read from the memory of that slot, 0 or 1."""
        self._launched(batch, slot).mark_end()

    def begin_filled(self, fill: Callable[[int], None], slot: int) -> None:
        """As `run_filled`, without waiting."""
        self._launched_filled(fill, slot).mark_end()

    def finish(self, names: Sequence[str], rows: int, slot: int) -> Tensors:
        """The answers of what was begun in that slot; what was begun after it goes on."""
        memory = self._memories[slot]
        memory.wait()
        return _copied(memory, names, rows)

    def spans_ms(self) -> dict[str, float]:
        """What a call on nothing takes on the GPU: its parts one by one, and all in a graph where there is one."""
        cuda, memory, copies_in = self._cuda, self._memories[0], not self._cuda.integrated
        graph = self._ready(memory, copies_in)
        self._point_to(memory)
        marks = [cuda.mark()]
        for part in (memory.input.upload, self._compute, memory.output.download):
            part()
            marks.append(cuda.mark())
        spans = dict(zip(("copy_in", "network", "copy_out"), cuda.gaps_ms(*marks), strict=True))
        if graph is not None:
            marks = [cuda.mark()]
            graph()
            (spans["graph"],) = cuda.gaps_ms(*marks, cuda.mark())
        return spans

    def _launched(self, batch: NDArray[Any], slot: int) -> CallMemory:
        memory, copies_in = self._memory(slot), not self._cuda.integrated
        graph = self._ready(memory, copies_in)
        memory.arrays[self._plan.input][: len(batch)] = batch
        self._launch(memory, graph, copies_in)
        return memory

    def _launched_filled(self, fill: Callable[[int], None], slot: int) -> CallMemory:
        memory = self._memory(slot)
        graph = self._ready(memory, copies_in=False)
        fill(memory.addresses[self._plan.input])
        self._launch(memory, graph, copies_in=False)
        return memory

    def _memory(self, slot: int) -> CallMemory:
        """That of a call; the second one's is made when it is first needed."""
        while len(self._memories) <= slot:
            memory = CallMemory(self._cuda, self._plan.input, self._memories[0])
            self._memories.append(memory)
            memory.lay_out(self._shapes, self._plan.dtypes)
        return self._memories[slot]

    def _point_to(self, memory: CallMemory) -> None:
        """Have the context work there from now on; what is in the stream and in graphs keeps its own addresses."""
        if self._addresses == memory.addresses:
            return
        for tensor, address in memory.addresses.items():
            self._plan.must(self._context.set_tensor_address(tensor, address), "refuses the buffer of", tensor)
        self._addresses = dict(memory.addresses)

    def _ready(self, memory: CallMemory, copies_in: bool) -> Graph | None:
        """What launches everything, once that is recorded."""
        self._use_scratch()
        if copies_in not in memory.graphs and self._records and self._calls >= GRAPH_AFTER:
            self._record(memory, copies_in)
        self._calls += 1
        return memory.graphs.get(copies_in)

    def _launch(self, memory: CallMemory, graph: Graph | None, copies_in: bool) -> None:
        if graph is None:
            self._enqueue(memory, copies_in)
        else:
            graph()

    def _use_scratch(self) -> None:
        needed = 0 if self._scratch_at else int(self._context.update_device_memory_size_for_shapes())
        block = self._plan.scratch.at_least(needed)
        if block.address != self._scratch_at:
            self._drop_graphs()  # it has the former address
            self._context.set_device_memory(block.address, block.nbytes)
            self._scratch_at, self._calls = block.address, 0

    def _enqueue(self, memory: CallMemory, copies_in: bool) -> None:
        self._point_to(memory)
        if copies_in:
            memory.input.upload()
        self._compute()
        memory.output.download()

    def _compute(self) -> None:
        self._plan.must(self._context.execute_async_v3(self._cuda.stream), "could not run", self._plan.name)

    def _record(self, memory: CallMemory, copies_in: bool) -> None:
        """Record the graph, unless another thread sets TensorRT up just now: then at a later call."""
        self._cuda.wait()  # what is under way is no part of it
        if not SETUP.acquire(blocking=False):
            return
        try:
            memory.graphs[copies_in] = self._cuda.record(lambda: self._enqueue(memory, copies_in))
        except Exception as error:  # some networks cannot be recorded; they run as well, a little later
            self._records = False
            line = " ".join(str(error).split())
            log.warning("%s: no CUDA graph (%s); it runs without", self._plan.name, line)
        finally:
            SETUP.release()

    def _drop_graphs(self) -> None:
        if any(memory.graphs for memory in self._memories):
            self._cuda.wait()
        for memory in self._memories:
            memory.drop_graphs()

    def close(self) -> None:
        """Graphs, context, buffers: each before what it uses; idempotent."""
        self._drop_graphs()
        self._context = None
        for memory in self._memories[::-1]:
            memory.close()


def _copied(memory: CallMemory, names: Sequence[str], rows: int) -> Tensors:
    return {name: memory.arrays[name][:rows].copy() for name in names}

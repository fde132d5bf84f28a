"""What a TensorRT plan needs to run: for every input shape an execution context, buffers and a CUDA graph."""

from __future__ import annotations

import logging
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Tensors
from rtface.engine.cuda import SETUP, Cuda, Graph, view
from rtface.engine.gpu_memory import ALIGNMENT, MirroredBlock, Scratch
from rtface.errors import EngineError

GRAPH_AFTER = 2
"""Calls of a shape before its graph is recorded: TensorRT sets itself up in the first."""

SEEN_BEFORE = 2
"""Calls of a shape that nobody foresaw before it gets a context of its own. Stills have a shape each: they share one
context, without a graph."""

MOST_SEEN = 64
"""Shapes that are counted for that."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """A loaded plan, and what its contexts need of it.

    Attributes:
        name: What messages call the network.
        engine: TensorRT's.
        cuda: The stream that runs it.
        input: The input's name.
        dtypes: NumPy's type of every tensor, by name.
        scratch: The contexts' working memory.
        make_context: A new execution context, which brings no memory of its own; for a shape that comes often, or not.
        own_graphs: Whether TensorRT records graphs by itself.
        profiles: Of every optimisation profile, the smallest and the largest input.
    """

    name: str
    engine: Any
    cuda: Cuda
    input: str
    dtypes: dict[str, np.dtype[Any]]
    scratch: Scratch
    make_context: Callable[[bool], Any]
    own_graphs: bool
    profiles: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    def profile_for(self, shape: tuple[int, ...]) -> int | None:
        """The narrowest profile that takes an input of this shape, if need be with more rows; None = there is none."""
        rows, *sides = shape

        def takes(least: tuple[int, ...], most: tuple[int, ...]) -> bool:
            bounds = zip(least[1:], sides, most[1:], strict=False)
            return len(shape) == len(most) and 1 <= rows <= most[0] and all(a <= b <= c for a, b, c in bounds)

        fitting = [at for at, (least, most) in enumerate(self.profiles) if takes(least, most)]
        return min(fitting, key=lambda at: int(np.prod(self.profiles[at][1])), default=None)

    def padded(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape with as many rows as the narrowest profile takes at least: kernels are chosen for a few numbers of
        faces, and three faces run as four."""
        at = self.profile_for(shape)
        return shape if at is None else (max(shape[0], self.profiles[at][0][0]), *shape[1:])

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return tuple(tensor for tensor in self.dtypes if tensor != self.input)

    def must(self, done: bool, what: str, about: object) -> None:
        """Raise what TensorRT only says with False."""
        if not done:
            raise EngineError(self.name, f"TensorRT {what} {about}", "RTFACE_DEBUG=1 shows its log; --engine onnx runs")


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
        self._graphs: dict[bool, Graph] = {}  # with and without the copy in
        self._in, self._out = MirroredBlock(self._cuda), MirroredBlock(self._cuda)
        self._hosts: dict[str, NDArray[Any]] = {}
        self._context: Any = None
        self._profile = 0  # a new context has the first
        with ExitStack() as undo:
            undo.callback(self.close)
            with SETUP:
                self._context = plan.make_context(often)
            self.reshape(shape)
            undo.pop_all()

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Take inputs of another shape from now on; memory is asked for only where what is there is too small."""
        plan, sizes = self._plan, dict[str, int]()
        self._drop_graphs()
        self.shape, self._calls, self._scratch_at = shape, 0, 0
        profile = plan.profile_for(shape) or 0
        if profile != self._profile:
            chosen = self._context.set_optimization_profile_async(profile, self._cuda.stream)
            plan.must(chosen, "refuses the profile for", shape)
            self._profile = profile
        plan.must(self._context.set_input_shape(plan.input, shape), "refuses the shape", shape)
        for tensor, dtype in plan.dtypes.items():
            dims = tuple(self._context.get_tensor_shape(tensor))
            if min(dims, default=1) < 0:
                raise EngineError(plan.name, f"the shape of {tensor} depends on data", "`rtface build` makes it again")
            sizes[tensor] = max(1, int(np.prod(dims))) * dtype.itemsize
        for tensors, pair in (((plan.input,), self._in), (plan.outputs, self._out)):
            offsets, total = dict[str, int](), 0
            for tensor in tensors:
                offsets[tensor] = total
                total += -(-sizes[tensor] // ALIGNMENT) * ALIGNMENT
            pair.at_least(total)
            for tensor, offset in offsets.items():
                dims = tuple(self._context.get_tensor_shape(tensor))
                self._hosts[tensor] = view(pair.host, dims, plan.dtypes[tensor], offset)
                done = self._context.set_tensor_address(tensor, pair.device.device_address + offset)
                plan.must(done, "refuses the buffer of", tensor)

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Copy in, compute, copy out; the arrays returned are copies. Rows beyond the batch's hold what was there."""
        graph = self._ready(copies_in := not self._cuda.integrated)
        self._hosts[self._plan.input][: len(batch)] = batch
        return self._answers(graph, copies_in, names, len(batch))

    def run_filled(self, fill: Callable[[int], None], names: Sequence[str], rows: int) -> Tensors:
        """Compute and copy out, with `rows` of input that `fill` puts at an address, by work in the stream."""
        graph = self._ready(copies_in=False)
        fill(self._in.device.device_address)
        return self._answers(graph, False, names, rows)

    def spans_ms(self) -> dict[str, float]:
        """What a call on nothing takes on the GPU: its parts one by one, and all in a graph where there is one."""
        cuda, graph = self._cuda, self._ready(copies_in := not self._cuda.integrated)
        marks = [cuda.mark()]
        for part in (self._in.upload, self._compute, self._out.download):
            part()
            marks.append(cuda.mark())
        spans = dict(zip(("copy_in", "network", "copy_out"), cuda.gaps_ms(*marks), strict=True))
        if graph is not None:
            marks = [cuda.mark()]
            self._launch(graph, copies_in)
            (spans["graph"],) = cuda.gaps_ms(*marks, cuda.mark())
        return spans

    def _ready(self, copies_in: bool) -> Graph | None:
        """What launches everything, once that is recorded."""
        self._use_scratch()
        if copies_in not in self._graphs and self._records and self._calls >= GRAPH_AFTER:
            self._record(copies_in)
        self._calls += 1
        return self._graphs.get(copies_in)

    def _answers(self, graph: Graph | None, copies_in: bool, names: Sequence[str], rows: int) -> Tensors:
        self._launch(graph, copies_in)
        self._cuda.wait()
        return {name: self._hosts[name][:rows].copy() for name in names}

    def _launch(self, graph: Graph | None, copies_in: bool) -> None:
        if graph is None:
            self._enqueue(copies_in)
        else:
            graph()

    def _use_scratch(self) -> None:
        needed = 0 if self._scratch_at else int(self._context.update_device_memory_size_for_shapes())
        block = self._plan.scratch.at_least(needed)
        if block.address != self._scratch_at:
            self._drop_graphs()  # it has the former address
            self._context.set_device_memory(block.address, block.nbytes)
            self._scratch_at, self._calls = block.address, 0

    def _enqueue(self, copies_in: bool) -> None:
        if copies_in:
            self._in.upload()
        self._compute()
        self._out.download()

    def _compute(self) -> None:
        self._plan.must(self._context.execute_async_v3(self._cuda.stream), "could not run", self._plan.name)

    def _record(self, copies_in: bool) -> None:
        """Record the graph, unless another thread sets TensorRT up just now: then at a later call."""
        if not SETUP.acquire(blocking=False):
            return
        try:
            self._graphs[copies_in] = self._cuda.record(lambda: self._enqueue(copies_in))
        except Exception as error:  # some networks cannot be recorded; they run as well, a little later
            self._records = False
            line = " ".join(str(error).split())
            log.warning("%s: no CUDA graph (%s); it runs without", self._plan.name, line)
        finally:
            SETUP.release()

    def _drop_graphs(self) -> None:
        if self._graphs:
            self._cuda.wait()
        while self._graphs:
            self._graphs.popitem()[1].close()

    def close(self) -> None:
        """Graph, context, buffers: each before what it uses; idempotent."""
        self._drop_graphs()
        self._context = None
        self._hosts = {}
        self._in.close()
        self._out.close()


class ContextPool:
    """The contexts of a plan: one for every shape of a stream, and one that all other shapes share.

    Args:
        plan: What they run.
        foreseen: Shapes that get a context at their first call.
        most: Most contexts; those used least recently are given back.
        graphs: Whether they record CUDA graphs.
    """

    def __init__(self, plan: Plan, foreseen: Sequence[tuple[int, ...]], most: int, *, graphs: bool = True) -> None:
        self._graphs = graphs
        self._plan, self._foreseen, self._most = plan, frozenset(foreseen), max(most, len(foreseen))
        self._contexts: OrderedDict[tuple[int, ...], ShapeContext] = OrderedDict()
        self._shared: ShapeContext | None = None
        self._seen: Counter[tuple[int, ...]] = Counter()

    def __getitem__(self, shape: tuple[int, ...]) -> ShapeContext:
        if (known := self._contexts.get(shape)) is not None:
            self._contexts.move_to_end(shape)
            return known
        if shape in self._foreseen or self._often(shape):
            while len(self._contexts) >= self._most:
                self._plan.cuda.wait()
                self._contexts.popitem(last=False)[1].close()
            made = self._contexts[shape] = ShapeContext(self._plan, shape, graph=self._graphs)
            return made
        if self._shared is None:
            self._shared = ShapeContext(self._plan, shape, graph=False, often=False)
        elif self._shared.shape != shape:
            self._plan.cuda.wait()
            self._shared.reshape(shape)
        return self._shared

    def _often(self, shape: tuple[int, ...]) -> bool:
        """Count a shape that nobody foresaw; whether it deserves a context of its own."""
        if len(self._seen) > MOST_SEEN:
            self._seen.clear()
        self._seen[shape] += 1
        return self._seen[shape] > SEEN_BEFORE

    def close(self) -> None:
        """Give all back; idempotent."""
        for context in (*self._contexts.values(), *filter(None, [self._shared])):
            context.close()
        self._contexts.clear()
        self._shared = None

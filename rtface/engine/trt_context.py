"""What a TensorRT plan needs to run: one working memory, and for every input shape a context, buffers and a graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Tensors
from rtface.engine.cuda import SETUP, Cuda, Graph, Memory, view
from rtface.errors import EngineError

GRAPH_AFTER = 2
"""Calls of a shape before its graph is recorded: TensorRT sets itself up in the first."""

ALIGNMENT = 256
"""Bytes that every tensor's address is a multiple of, as if each had memory of its own."""

log = logging.getLogger(__name__)


class Scratch:
    """The working memory of all contexts of a network; they share it, as one stream runs them one after another.

    By itself every context would take the memory of the largest input that the plan allows.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._block: Memory | None = None

    def at_least(self, nbytes: int) -> Memory:
        """The block, larger if it has to be; then contexts that know its former address must be told."""
        if self._block is None or self._block.nbytes < nbytes:
            self._cuda.wait()
            self.close()
            self._block = self._cuda.device(max(ALIGNMENT, nbytes))
        return self._block

    def close(self) -> None:
        """Give it back; idempotent."""
        if self._block is not None:
            self._block.close()
            self._block = None


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
        make_context: A new execution context, which brings no memory of its own.
        own_graphs: Whether TensorRT records graphs by itself.
    """

    name: str
    engine: Any
    cuda: Cuda
    input: str
    dtypes: dict[str, np.dtype[Any]]
    scratch: Scratch
    make_context: Callable[[], Any]
    own_graphs: bool

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
    """

    def __init__(self, plan: Plan, shape: tuple[int, ...], *, graph: bool = True) -> None:
        self._plan, self._cuda = plan, plan.cuda
        self._records = graph and not plan.own_graphs
        self._calls, self._scratch_at = 0, 0
        self._graphs: dict[bool, Graph] = {}  # with and without the copy in
        self._in, self._out = MirroredBlock(self._cuda), MirroredBlock(self._cuda)
        self._hosts: dict[str, NDArray[Any]] = {}
        self._context: Any = None
        with ExitStack() as undo:
            undo.callback(self.close)
            with SETUP:
                self._context = plan.make_context()
            self.reshape(shape)
            undo.pop_all()

    def reshape(self, shape: tuple[int, ...]) -> None:
        """Take inputs of another shape from now on; memory is asked for only where what is there is too small."""
        plan, sizes = self._plan, dict[str, int]()
        self._drop_graphs()
        self.shape, self._calls, self._scratch_at = shape, 0, 0
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
        """Copy in, compute, copy out; the arrays returned are copies."""
        graph = self._ready(copies_in := not self._cuda.integrated)
        self._hosts[self._plan.input][...] = batch
        return self._answers(graph, copies_in, names)

    def run_filled(self, fill: Callable[[int], None], names: Sequence[str]) -> Tensors:
        """As `run`, with an input that `fill` puts at an address, by work in the stream."""
        graph = self._ready(copies_in=False)
        fill(self._in.device.device_address)
        return self._answers(graph, False, names)

    def _ready(self, copies_in: bool) -> Graph | None:
        """What launches everything, once that is recorded."""
        self._use_scratch()
        if copies_in not in self._graphs and self._records and self._calls >= GRAPH_AFTER:
            self._record(copies_in)
        self._calls += 1
        return self._graphs.get(copies_in)

    def _answers(self, graph: Graph | None, copies_in: bool, names: Sequence[str]) -> Tensors:
        if graph is None:
            self._enqueue(copies_in)
        else:
            graph()
        self._cuda.wait()
        return {name: self._hosts[name].copy() for name in names}

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
        self._plan.must(self._context.execute_async_v3(self._cuda.stream), "could not run", self._plan.name)
        self._out.download()

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


class MirroredBlock:
    """A block on the host and its double on the device; one and the same where they share memory."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._blocks: tuple[Memory, ...] = ()
        self._used = 0

    def at_least(self, nbytes: int) -> None:
        """New ones where those that are there are too small."""
        self._used = nbytes
        if self._blocks and self.host.nbytes >= nbytes:
            return
        self.close()
        host = self._cuda.pinned(nbytes)
        self._blocks = (host,)  # given back even if the next fails
        self._blocks = (host, host if self._cuda.integrated else self._cuda.device(nbytes))

    def upload(self) -> None:
        """Copy to the device, in the stream."""
        if self.host is not self.device:
            self._cuda.copy(self.device, self.host, self._used)

    def download(self) -> None:
        """Copy back, in the stream."""
        if self.host is not self.device:
            self._cuda.copy(self.host, self.device, self._used)

    @property
    def host(self) -> Memory:
        """Pinned, for the CPU."""
        return self._blocks[0]

    @property
    def device(self) -> Memory:
        """For the network."""
        return self._blocks[1]

    def close(self) -> None:
        """Give them back; idempotent."""
        blocks, self._blocks = self._blocks, ()
        for block in blocks:
            block.close()

"""TensorRT 10, 11 and TensorRT-RTX: a plan, run by tensor name.

Every input shape has its own place: pinned and device buffers of its exact size, an execution context, and from its
third call on a CUDA graph of copy in, network, copy out. A stream of one camera uses one or two shapes; the places
used least recently are given back beyond `places`.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import Tensors
from rtface.engine.cuda import Cuda, Memory, open_cuda, view
from rtface.errors import EngineError

MODULES = ("tensorrt", "tensorrt_rtx")
GRAPH_AFTER = 2
"""Calls of a shape before its graph is recorded: TensorRT sets itself up in the first."""

log = logging.getLogger(__name__)


def find_api() -> Any:
    """The module `tensorrt`, else `tensorrt_rtx`.

    Raises:
        EngineError: Neither is installed.
    """
    for module in MODULES:
        try:
            return import_module(module)
        except ImportError:
            continue
    mend = "pip install 'rtface[tensorrt]' (data centre, workstation, Jetson) or 'rtface[rtx]' (RTX cards)"
    raise EngineError("tensorrt", "is not installed, nor is tensorrt_rtx", mend)


def is_rtx(api: Any) -> bool:
    """Whether the module is TensorRT-RTX: its plans are for every RTX card, and it makes CUDA graphs by itself."""
    return str(api.__name__).startswith("tensorrt_rtx")


def logger_of(api: Any) -> Any:
    """One logger for builder and runtime: TensorRT keeps the first, and wants it to live."""
    if (known := _LOGGERS.get(api.__name__)) is None:
        known = _LOGGERS[api.__name__] = api.Logger(api.Logger.ERROR)
    return known


_LOGGERS: dict[str, Any] = {}


class TrtEngine:
    """A network as a TensorRT plan; implements `Engine`.

    Args:
        plan: What `build_plan` made, for this GPU and this version.
        name: What messages call it.
        places: Most input shapes kept ready at a time.
        api: The TensorRT module; None = the one that is installed.
        cuda: The GPU; None = the first.

    Raises:
        EngineError: TensorRT or cuda-core is not installed.
        EngineError: There is no GPU, or the plan is not for this GPU and version, or damaged.
    """

    def __init__(
        self, plan: bytes, name: str = "model", *, places: int = 8, api: Any = None, cuda: Cuda | None = None
    ) -> None:
        self._name, self._most = name, places
        self._api = api or find_api()
        self._cuda = cuda or open_cuda()
        self._places: OrderedDict[tuple[int, ...], _Place] = OrderedDict()
        self._closed = False
        with self._cuda.active():
            # The runtime must outlive the engine, and the logger both.
            self._runtime = self._api.Runtime(logger_of(self._api))
            self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            why = f"{self._version()} does not load its plan (another version, another GPU, or damaged)"
            raise EngineError(name, why, "`rtface build` makes it again")
        tensors = [self._engine.get_tensor_name(at) for at in range(self._engine.num_io_tensors)]
        reads = self._api.TensorIOMode.INPUT
        inputs = [tensor for tensor in tensors if self._engine.get_tensor_mode(tensor) == reads]
        if len(inputs) != 1:
            raise EngineError(name, f"its plan has {len(inputs)} inputs, not one", "`rtface build` makes it again")
        self._input = inputs[0]
        self._outputs = tuple(str(tensor) for tensor in tensors if tensor != self._input)
        self._dtypes = {tensor: self._api.nptype(self._engine.get_tensor_dtype(tensor)) for tensor in tensors}
        least, _, most = self._engine.get_tensor_profile_shape(self._input, 0)
        self._least, self._largest = tuple(least), tuple(most)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        A batch longer than the plan's goes in several calls.

        Raises:
            EngineError: The engine is closed, the batch is not what the plan takes, or TensorRT fails.
        """
        if self._closed:
            raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")
        self._check(batch, names)
        most = self._largest[0]
        if len(batch) <= most:
            return self._one(batch, names)
        parts = [self._one(batch[at : at + most], names) for at in range(0, len(batch), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def describe(self) -> dict[str, str | int]:
        """Engine, version, device and its compute capability."""
        return {
            "engine": str(self._api.__name__),
            "version": str(self._api.__version__),
            "device": self._cuda.name,
            "capability": self._cuda.capability,
        }

    def close(self) -> None:
        """Give back buffers, contexts, the network and the stream, in that order; idempotent."""
        if self._closed:
            return
        self._closed = True
        with self._cuda.active():
            self._cuda.wait()
            for place in self._places.values():
                place.close()
            self._places.clear()
            self._engine = self._runtime = None
            self._cuda.close()

    def _one(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        with self._cuda.active():
            try:
                return self._place(batch.shape).run(batch, names)
            except EngineError:
                raise
            except Exception as error:
                why = f"{self._version()} failed on a batch of shape {batch.shape}: {' '.join(str(error).split())}"
                raise EngineError(self._name, why, "--engine onnx runs it on the CPU") from error

    def _place(self, shape: tuple[int, ...]) -> _Place:
        place = self._places.get(shape)
        if place is None:
            while len(self._places) >= self._most:
                self._cuda.wait()
                self._places.popitem(last=False)[1].close()
            place = self._places[shape] = _Place(self, shape)
        self._places.move_to_end(shape)
        return place

    def _check(self, batch: NDArray[Any], names: Sequence[str]) -> None:
        wanted = np.dtype(self._dtypes[self._input])
        low, high = self._least[1:], self._largest[1:]
        fits = len(batch) >= 1 and all(a <= b <= c for a, b, c in zip(low, batch.shape[1:], high, strict=False))
        if batch.dtype != wanted or batch.ndim != len(self._largest) or not fits:
            expected = f"{wanted} from {self._least} to {self._largest}"
            mend = "A profile of one's own has other sizes (rtface build --profile OWN.toml); --engine onnx takes any"
            raise EngineError(self._name, f"expected {expected}, got {batch.dtype} {batch.shape}", mend)
        if unknown := [name for name in names if name not in self._outputs]:
            raise EngineError(self._name, f"has no output {unknown[0]!r}", f"It has {', '.join(self._outputs)}")

    def _version(self) -> str:
        return f"{self._api.__name__} {self._api.__version__}"


class _Place:
    """Buffers, context and graph of one input shape."""

    def __init__(self, owner: TrtEngine, shape: tuple[int, ...]) -> None:
        self._name, self._cuda = owner._name, owner._cuda
        self._calls = 0
        self._graph: Callable[[], None] | None = None
        self._own_graphs = is_rtx(owner._api)
        self._context: Any = _context(owner._api, owner._engine)
        with ExitStack() as undo:
            undo.callback(self.close)
            self._blocks: dict[str, tuple[Memory, Memory]] = {}
            self._hosts: dict[str, NDArray[Any]] = {}
            self._input = owner._input
            self._must(self._context.set_input_shape(self._input, shape), "refuses the shape", shape)
            for tensor, dtype in owner._dtypes.items():
                self._add(tensor, tuple(self._context.get_tensor_shape(tensor)), np.dtype(dtype))
            undo.pop_all()

    def _add(self, tensor: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        if min(shape, default=1) < 0:
            raise EngineError(self._name, f"the shape of {tensor} depends on data", "`rtface build` makes it again")
        nbytes = max(1, int(np.prod(shape))) * dtype.itemsize
        device = self._cuda.device(nbytes)
        pinned = self._cuda.pinned(nbytes)
        self._blocks[tensor] = device, pinned
        self._hosts[tensor] = view(pinned, shape, dtype)
        self._must(self._context.set_tensor_address(tensor, device.address), "refuses the buffer of", tensor)

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Copy in, compute, copy out; the arrays returned are copies."""
        self._hosts[self._input][...] = batch
        if self._calls == GRAPH_AFTER and not self._own_graphs:
            self._graph = self._recorded()
        self._calls += 1
        (self._graph or self._enqueue)()
        self._cuda.wait()
        return {name: self._hosts[name].copy() for name in names}

    def _enqueue(self) -> None:
        device, pinned = self._blocks[self._input]
        self._cuda.copy(device, pinned)
        self._must(self._context.execute_async_v3(self._cuda.stream), "could not run", self._name)
        for tensor, (device, pinned) in self._blocks.items():
            if tensor != self._input:
                self._cuda.copy(pinned, device)

    def _recorded(self) -> Callable[[], None] | None:
        try:
            return self._cuda.record(self._enqueue)
        except Exception as error:  # some networks cannot be recorded; they run as well, a little later
            log.warning("%s: no CUDA graph (%s); it runs without", self._name, " ".join(str(error).split()))
            return None

    def _must(self, done: bool, what: str, about: object) -> None:
        if not done:
            raise EngineError(self._name, f"TensorRT {what} {about}", "RTFACE_DEBUG=1 shows more; --engine onnx runs")

    def close(self) -> None:
        """Graph, context, buffers: each before what it uses."""
        self._graph = None
        self._context = None
        self._hosts = {}
        for device, pinned in getattr(self, "_blocks", {}).values():
            device.close()
            pinned.close()
        self._blocks = {}


def _context(api: Any, engine: Any) -> Any:
    """An execution context; TensorRT-RTX is told to make CUDA graphs by itself, which it does for each of its kernels'
    specialisations."""
    strategy = getattr(api, "CudaGraphStrategy", None)
    if strategy is None:
        context = engine.create_execution_context()
    else:
        config = engine.create_runtime_config()
        config.cuda_graph_strategy = strategy.WHOLE_GRAPH_CAPTURE
        context = engine.create_execution_context(config)
    if context is None:
        raise EngineError("tensorrt", "cannot make an execution context (is the GPU's memory full?)", "nvidia-smi")
    return context

"""TensorRT 10, 11 and TensorRT-RTX: a plan, run by tensor name.

Every input shape has a context of its own (`rtface.engine.trt_context`). A stream of one camera uses one or two of the
detector's and one for each number of faces that the plan was tuned for: a batch in between is padded. Those used least
recently are given back beyond `max_contexts`. Two calls may be under way at a time: `submit` begins one, and its ticket
gives the answers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import DeviceFailed, Tensors
from rtface.engine.context_pool import ContextPool
from rtface.engine.crop_kernel import GpuCrops
from rtface.engine.cuda import SETUP, Cuda, open_cuda
from rtface.engine.tickets import Parts, Ticket
from rtface.engine.trt_api import find_api
from rtface.engine.trt_calls import Call, Calls
from rtface.engine.trt_context import GRAPH_AFTER, ShapeContext
from rtface.engine.trt_plan import load_plan
from rtface.errors import EngineError
from rtface.geometry.crop import Crop, warp_crops

CROPS_FROM = 3
"""Faces from which the GPU cuts them out: for fewer the CPU's 0.06 ms each are less than launching another kernel. A
GPU that shares its memory does it always."""

SLOTS = 2
"""Calls that may be under way: one that the GPU works on, and one whose input the CPU writes."""

log = logging.getLogger(__name__)


class TrtEngine:
    """A network as a TensorRT plan; implements `Engine`.

    Args:
        plan: What `build_plan` made, for this GPU and this version.
        name: What messages call it.
        max_contexts: Most input shapes kept ready at a time.
        warm: Input shapes that `prepare` makes ready, graph and all.
        graphs: Whether calls are recorded as CUDA graphs; without, the CPU launches every kernel.
        crops: Whether `run_crops` will be called: the kernel for that is compiled in `prepare`.
        ahead: Whether a stream will `submit` a call before it has collected the last: `prepare` makes memory and graphs
            for two. Else those of the second are made when it comes.
        kernels: File in which TensorRT-RTX keeps the kernels that it compiled for this GPU; None = it compiles them
            every time. TensorRT has them in the plan.
        api: The TensorRT module; None = the one that is installed.
        cuda: The GPU; None = the first.

    Raises:
        EngineError: TensorRT or cuda-bindings is not installed.
        EngineError: There is no GPU, its driver is too old for TensorRT, or its memory is full.
        PlanRefused: The plan is not for this GPU and version, or damaged.
    """

    prunes = False
    """TensorRT computes every output at each call, asked for or not."""

    def __init__(
        self,
        plan: bytes,
        name: str = "model",
        *,
        max_contexts: int = 8,
        warm: Sequence[tuple[int, ...]] = (),
        graphs: bool = True,
        crops: bool = False,
        ahead: bool = False,
        kernels: Path | None = None,
        api: Any = None,
        cuda: Cuda | None = None,
    ) -> None:
        self._name, self._max_contexts, self._warm = name, max_contexts, tuple(warm)
        self._graphs, self._wants_crops, self._ahead = graphs, crops, ahead
        self._crops: GpuCrops | None = None
        self._api = api or find_api()
        self._cuda = cuda or open_cuda()
        self._closed = False
        try:
            with self._cuda.active(), SETUP:
                self._load(plan, kernels)
        except BaseException:
            self._cuda.close()
            raise

    def _load(self, plan: bytes, kernels: Path | None) -> None:
        self._runtime, self._plan = load_plan(self._api, self._cuda, self._name, plan, kernels)
        self._outputs = self._plan.outputs
        least, most = zip(*self._plan.profiles, strict=True)
        self._least, self._largest = tuple(map(min, zip(*least, strict=True))), tuple(map(max, zip(*most, strict=True)))
        shapes = [(min(rows, self._largest[0]), *sides) for rows, *sides in self._warm]
        self._ahead |= any(shape[0] > self._largest[0] for shape in self._warm)  # longer ones go in parts
        self._warm = tuple(dict.fromkeys(self._plan.padded(shape) for shape in shapes if self._fits(shape)))
        # Graphs that TensorRT-RTX makes itself know one set of addresses; where nothing is copied, a slot has its own.
        alone = self._plan.own_graphs and self._cuda.integrated
        self._calls = Calls(self._name, 1 if alone else SLOTS)
        settle = self._calls.settle
        self._contexts = ContextPool(self._plan, self._warm, self._max_contexts, settle, graphs=self._graphs)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def prepare(self, *names: Sequence[str]) -> None:
        """Make every shape ready that a stream will ask for, so that no frame waits for a context or a graph.

        Raises:
            EngineError: The engine is closed, or TensorRT fails.
        """
        self._check_open()
        if self._wants_crops and self._crops is None:
            self._open_crops()
        for shape in sorted(self._warm, key=np.prod, reverse=True):  # the largest decides what memory all work in
            for _ in range(GRAPH_AFTER + 1):
                self._try(shape, 1)
            if self._ahead:
                self._try(shape, self._calls.slots)
        if self._plan.kernels is not None:
            self._plan.kernels.save()  # a stream may end with the process

    def _try(self, shape: tuple[int, ...], together: int) -> None:
        """So many calls of a shape at a time, on nothing; each way that a stream has."""
        batch = np.zeros(shape, self._plan.dtypes[self._plan.input])
        for ticket in [self.submit(batch, ()) for _ in range(together)]:
            ticket.collect()
        if self._crops is not None:
            image, crops = np.zeros((8, 8, 3), np.uint8), [Crop(4, 4, 8)] * shape[0]
            for ticket in [self.submit_crops(image, crops, ()) for _ in range(together)]:
                ticket.collect()

    def _open_crops(self) -> None:
        """Compile the kernel that samples crops; without it the CPU goes on doing that."""
        self._wants_crops = False
        try:
            with self._cuda.active():
                self._crops = GpuCrops(self._cuda, self._largest[1])
                self._crops.reserve(self._largest[0], self._calls.slots if self._ahead else 1)
        except Exception as error:
            log.warning("%s: the CPU cuts the faces out, not the GPU (%s)", self._name, " ".join(str(error).split()))

    def crops_itself(self, count: int) -> bool:
        """Whether `run_crops` is there and the better way for so many faces."""
        return self._crops is not None and count >= (1 if self._cuda.integrated else CROPS_FROM)

    def run_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Tensors:
        """Sample these squares of a frame (H, W, 3) BGR on the GPU, and run; the outputs asked for, by name.

        Raises:
            EngineError: The engine is closed, or has no output of that name.
            DeviceFailed: TensorRT or the GPU fails.
        """
        if self._closed or self._crops is None or not self._crops.takes(crops):
            return self.run(self._cut_here(image, crops), names)
        self._check_names(names)
        rows = len(crops)
        if rows > self._largest[0]:
            return self.submit_crops(image, crops, names).collect()
        shape, put = (rows, *self._largest[1:]), self._crops.put
        with self._working(shape):
            slot = self._calls.free_slot()
            fill = lambda address: put(image, crops, address, slot)  # noqa: E731
            return self._contexts[self._plan.padded(shape)].run_filled(fill, names, rows, slot)

    def _cut_here(self, image: NDArray[np.uint8], crops: Sequence[Crop]) -> NDArray[np.uint8]:
        """What the kernel does, by the CPU."""
        size = self._largest[1]
        return warp_crops(image, crops, np.empty((len(crops), size, size, 3), np.uint8))

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        A batch longer than the plan's goes in several calls.

        Raises:
            EngineError: The engine is closed, or the batch is not what the plan takes.
            DeviceFailed: TensorRT or the GPU fails.
        """
        self._check_open()
        self._check(batch, names)
        if len(batch) > self._largest[0]:
            return self.submit(batch, names).collect()
        with self._working(batch.shape):
            slot = self._calls.free_slot()
            return self._contexts[self._plan.padded(batch.shape)].run(batch, names, slot)

    def submits(self) -> bool:
        """Whether a call can begin before the last one's answers are read."""
        return self._calls.slots > 1

    def submit(self, batch: NDArray[Any], names: Sequence[str]) -> Ticket:
        """As `run`, without waiting; the batch may be written to again at once.

        Raises:
            EngineError: The engine is closed, or the batch is not what the plan takes.
            DeviceFailed: TensorRT or the GPU fails.
        """
        self._check_open()
        self._check(batch, names)

        def begin(context: ShapeContext, rows: slice, slot: int) -> None:
            context.begin(batch[rows], slot)

        return self._begun(len(batch), batch.shape[1:], names, begin)

    def submit_crops(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Ticket:
        """As `run_crops`, without waiting; the image may be written to again at once.

        Raises:
            EngineError: The engine is closed, or has no output of that name.
            DeviceFailed: TensorRT or the GPU fails.
        """
        if self._closed or self._crops is None or not self._crops.takes(crops):
            return self.submit(self._cut_here(image, crops), names)
        self._check_names(names)
        put = self._crops.put

        def begin(context: ShapeContext, rows: slice, slot: int) -> None:
            context.begin_filled(lambda address: put(image, crops[rows], address, slot), slot)

        return self._begun(len(crops), self._largest[1:], names, begin)

    def _begun(
        self,
        count: int,
        sides: tuple[int, ...],
        names: Sequence[str],
        begin: Callable[[ShapeContext, slice, int], None],
    ) -> Ticket:
        """The ticket of so many rows, in as many calls as it takes."""
        calls: list[Call] = []
        most = self._largest[0]
        for start in range(0, count, most):
            rows = min(most, count - start)
            with self._working(shape := (rows, *sides)):
                slot = self._calls.free_slot()
                context = self._contexts[self._plan.padded(shape)]
                begin(context, slice(start, start + rows), slot)
            calls.append(Call(context, slot, rows, names, self._finish))
            self._calls.add(calls[-1])
        return calls[0] if len(calls) == 1 else Parts(calls, names)

    def _finish(self, call: Call) -> None:
        self._check_open()
        with self._working():
            self._calls.finish(call)

    def spans_ms(self, shape: tuple[int, ...], runs: int = 30) -> dict[str, float]:
        """What a call takes on the GPU by its own clock: copy in, network, copy out, and all in a graph; medians, ms.

        Raises:
            EngineError: The engine is closed, or the plan does not take the shape.
            DeviceFailed: TensorRT or the GPU fails.
        """
        self.run(np.zeros(shape, self._plan.dtypes[self._plan.input]), ())
        shape = self._plan.padded(shape)
        with self._working(shape):
            spans = [self._contexts[shape].spans_ms() for _ in range(runs)]
        return {part: median(span[part] for span in spans if part in span) for part in spans[-1]}

    def describe(self) -> dict[str, str | int]:
        """Engine, version, device and its compute capability."""
        return {
            "engine": str(self._api.__name__),
            "version": str(self._api.__version__),
            "device": self._cuda.name,
            "capability": self._cuda.capability,
        }

    def close(self) -> None:
        """Give back buffers, contexts, the network and the stream, in that order; idempotent.

        After a failure of the device nothing can be given back any more, and nothing is said about it.
        """
        if self._closed:
            return
        self._closed = True
        with suppress(Exception), self._cuda.active(), SETUP:
            with suppress(Exception):
                self._cuda.wait()
            if self._plan.kernels is not None:
                self._plan.kernels.save()
            self._calls.forget()
            self._contexts.close()
            if self._crops is not None:
                self._crops.close()
            self._plan.scratch.close()
            del self._contexts, self._plan, self._runtime
            self._cuda.close()

    @contextmanager
    def _working(self, shape: tuple[int, ...] | None = None) -> Iterator[None]:
        """On the GPU; whatever goes wrong there is the device's failure."""
        try:
            with self._cuda.active():
                yield
        except DeviceFailed:
            raise
        except Exception as error:
            on = "" if shape is None else f" on a batch of shape {shape}"
            why = f"{self._version()} failed{on}: {' '.join(str(error).split())}"
            raise DeviceFailed(self._name, why, "--engine onnx runs it on the CPU") from error

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")

    def _check(self, batch: NDArray[Any], names: Sequence[str]) -> None:
        wanted = self._plan.dtypes[self._plan.input]
        if batch.dtype != wanted or not self._fits(batch.shape):
            expected = f"{wanted} from {self._least} to {self._largest}"
            mend = "A profile of one's own has other sizes (rtface build --profile OWN.toml); --engine onnx takes any"
            raise EngineError(self._name, f"expected {expected}, got {batch.dtype} {batch.shape}", mend)
        self._check_names(names)

    def _check_names(self, names: Sequence[str]) -> None:
        if unknown := [name for name in names if name not in self.outputs]:
            raise EngineError(self._name, f"has no output {unknown[0]!r}", f"It has {', '.join(self.outputs)}")

    def _fits(self, shape: tuple[int, ...]) -> bool:
        """Whether the plan takes it; more rows go in several calls."""
        return bool(shape) and self._plan.profile_for((min(shape[0], self._largest[0]), *shape[1:])) is not None

    def _version(self) -> str:
        return f"{self._api.__name__} {self._api.__version__}"

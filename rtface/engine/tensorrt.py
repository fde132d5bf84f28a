"""TensorRT 10, 11 and TensorRT-RTX: a plan, run by tensor name.

Every input shape has a context of its own (`rtface.engine.trt_context`). A stream of one camera uses one or two of the
detector's and one for each number of faces that the plan was tuned for: a batch in between is padded. Those used least
recently are given back beyond `max_contexts`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.engine.base import DeviceFailed, Tensors
from rtface.engine.crop_kernel import GpuCrops
from rtface.engine.cuda import SETUP, Cuda, open_cuda
from rtface.engine.gpu_memory import Scratch
from rtface.engine.trt_api import RtxKernels, find_api, is_rtx, logger_of, must_make
from rtface.engine.trt_context import GRAPH_AFTER, ContextPool, Plan
from rtface.errors import EngineError
from rtface.geometry.crop import Crop, warp_crops

CROPS_FROM = 3
"""Faces from which the GPU cuts them out: for fewer the CPU's 0.06 ms each are less than launching another kernel. A
GPU that shares its memory does it always."""

log = logging.getLogger(__name__)


class PlanRefused(EngineError):
    """A plan does not load here; one that is built again will."""


class TrtEngine:
    """A network as a TensorRT plan; implements `Engine`.

    Args:
        plan: What `build_plan` made, for this GPU and this version.
        name: What messages call it.
        max_contexts: Most input shapes kept ready at a time.
        warm: Input shapes that `prepare` makes ready, graph and all.
        graphs: Whether calls are recorded as CUDA graphs; without, the CPU launches every kernel.
        crops: Whether `run_crops` will be called: the kernel for that is compiled in `prepare`.
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
        kernels: Path | None = None,
        api: Any = None,
        cuda: Cuda | None = None,
    ) -> None:
        self._name, self._max_contexts, self._warm = name, max_contexts, tuple(warm)
        self._graphs, self._wants_crops = graphs, crops
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
        name = self._name
        # The runtime must outlive the engine, and the logger both.
        self._runtime = must_make(name, "TensorRT's runtime", lambda: self._api.Runtime(logger_of(self._api)))
        try:
            engine = self._runtime.deserialize_cuda_engine(plan)
        except Exception as error:
            raise PlanRefused(name, f"{self._version()} does not load its plan ({error})", _BUILD) from error
        if engine is None:
            why = f"{self._version()} does not load its plan (another version, another GPU, or damaged)"
            raise PlanRefused(name, why, _BUILD)
        self._kernels = RtxKernels(self._api, engine, kernels) if is_rtx(self._api) else None
        self._plan = self._opened(engine)
        self._outputs = self._plan.outputs
        least, most = zip(*self._plan.profiles, strict=True)
        self._least, self._largest = tuple(map(min, zip(*least, strict=True))), tuple(map(max, zip(*most, strict=True)))
        shapes = [(min(rows, self._largest[0]), *sides) for rows, *sides in self._warm]  # longer ones go in parts
        self._warm = tuple(dict.fromkeys(self._plan.padded(shape) for shape in shapes if self._fits(shape)))
        self._contexts = ContextPool(self._plan, self._warm, self._max_contexts, graphs=self._graphs)

    def _opened(self, engine: Any) -> Plan:
        tensors = [str(engine.get_tensor_name(at)) for at in range(engine.num_io_tensors)]
        reads = self._api.TensorIOMode.INPUT
        inputs = [tensor for tensor in tensors if engine.get_tensor_mode(tensor) == reads]
        if len(inputs) != 1:
            raise PlanRefused(self._name, f"its plan has {len(inputs)} inputs, not one", _BUILD)
        what, alone = "an execution context", self._api.ExecutionContextAllocationStrategy.USER_MANAGED

        def context(often: bool) -> Any:
            given = alone if self._kernels is None else self._kernels.config(often)
            return must_make(self._name, what, lambda: engine.create_execution_context(given))

        return Plan(
            name=self._name,
            engine=engine,
            cuda=self._cuda,
            input=inputs[0],
            dtypes={tensor: np.dtype(self._api.nptype(engine.get_tensor_dtype(tensor))) for tensor in tensors},
            scratch=Scratch(self._cuda),
            make_context=context,
            own_graphs=self._kernels is not None,
            profiles=tuple(
                (tuple(least), tuple(most))
                for least, _, most in (
                    engine.get_tensor_profile_shape(inputs[0], at) for at in range(engine.num_optimization_profiles)
                )
            ),
        )

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return self._outputs

    def prepare(self, *names: Sequence[str]) -> None:
        """Make every shape ready that a stream will ask for, so that no frame waits for a context or a graph.

        Raises:
            EngineError: The engine is closed, or TensorRT fails.
        """
        if self._closed:
            raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")
        if self._wants_crops and self._crops is None:
            self._open_crops()
        for shape in sorted(self._warm, key=np.prod, reverse=True):  # the largest decides what memory all work in
            batch = np.zeros(shape, self._plan.dtypes[self._plan.input])
            for _ in range(GRAPH_AFTER + 1):
                self._one(batch, ())
                if self._crops is not None:
                    self._cropped(np.zeros((8, 8, 3), np.uint8), [Crop(4, 4, 8)] * shape[0], ())
        if self._kernels is not None:
            self._kernels.save()  # a stream may end with the process

    def _open_crops(self) -> None:
        """Compile the kernel that samples crops; without it the CPU goes on doing that."""
        self._wants_crops = False
        try:
            with self._cuda.active():
                self._crops = GpuCrops(self._cuda, self._largest[1])
                self._crops.reserve(self._largest[0])
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
        size, most = self._largest[1], self._largest[0]
        if self._closed or self._crops is None or not self._crops.takes(crops):
            return self.run(warp_crops(image, crops, np.empty((len(crops), size, size, 3), np.uint8)), names)
        self._check_names(names)
        if len(crops) <= most:
            return self._cropped(image, crops, names)
        parts = [self._cropped(image, crops[at : at + most], names) for at in range(0, len(crops), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

    def _cropped(self, image: NDArray[np.uint8], crops: Sequence[Crop], names: Sequence[str]) -> Tensors:
        assert self._crops is not None
        rows, put = len(crops), self._crops.put
        shape = self._plan.padded((rows, *self._largest[1:]))
        with self._working(shape):
            return self._contexts[shape].run_filled(lambda address: put(image, crops, address), names, rows)

    def run(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        """Feed `batch` to the network; return the outputs asked for, as fresh arrays by name.

        A batch longer than the plan's goes in several calls.

        Raises:
            EngineError: The engine is closed, or the batch is not what the plan takes.
            DeviceFailed: TensorRT or the GPU fails.
        """
        if self._closed:
            raise EngineError(self._name, "the engine is closed", "Open a new Analyzer")
        self._check(batch, names)
        most = self._largest[0]
        if len(batch) <= most:
            return self._one(batch, names)
        parts = [self._one(batch[at : at + most], names) for at in range(0, len(batch), most)]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}

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
            if self._kernels is not None:
                self._kernels.save()
            self._contexts.close()
            if self._crops is not None:
                self._crops.close()
            self._plan.scratch.close()
            del self._contexts, self._plan, self._kernels, self._runtime
            self._cuda.close()

    def _one(self, batch: NDArray[Any], names: Sequence[str]) -> Tensors:
        with self._working(batch.shape):
            return self._contexts[self._plan.padded(batch.shape)].run(batch, names)

    @contextmanager
    def _working(self, shape: tuple[int, ...]) -> Iterator[None]:
        """On the GPU; whatever goes wrong there is the device's failure."""
        try:
            with self._cuda.active():
                yield
        except Exception as error:
            why = f"{self._version()} failed on a batch of shape {shape}: {' '.join(str(error).split())}"
            raise DeviceFailed(self._name, why, "--engine onnx runs it on the CPU") from error

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


_BUILD = "`rtface build` makes it again"

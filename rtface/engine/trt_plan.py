"""A TensorRT plan, loaded: what its network takes and answers, and what makes contexts for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtface.engine.cuda import Cuda
from rtface.engine.gpu_memory import Scratch
from rtface.engine.trt_api import RtxKernels, is_rtx, logger_of, must_make
from rtface.errors import EngineError

_BUILD = "`rtface build` makes it again"


class PlanRefused(EngineError):
    """A plan does not load here; one that is built again will."""


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
        kernels: Those that TensorRT-RTX has compiled; None = TensorRT's are in the plan.
        profiles: Of every optimisation profile, the smallest and the largest input.
    """

    name: str
    engine: Any
    cuda: Cuda
    input: str
    dtypes: dict[str, np.dtype[Any]]
    scratch: Scratch
    make_context: Callable[[bool], Any]
    kernels: RtxKernels | None
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
    def own_graphs(self) -> bool:
        """Whether TensorRT records graphs by itself."""
        return self.kernels is not None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of everything the network can answer."""
        return tuple(tensor for tensor in self.dtypes if tensor != self.input)

    def must(self, done: bool, what: str, about: object) -> None:
        """Raise what TensorRT only says with False."""
        if not done:
            raise EngineError(self.name, f"TensorRT {what} {about}", "RTFACE_DEBUG=1 shows its log; --engine onnx runs")


def load_plan(api: Any, cuda: Cuda, name: str, data: bytes, kernels: Path | None) -> tuple[Any, Plan]:
    """TensorRT's runtime, which must outlive the plan's engine, and the plan.

    Raises:
        EngineError: The GPU's driver is too old for TensorRT, or its memory is full.
        PlanRefused: The plan is not for this GPU and version, or damaged.
    """
    version = f"{api.__name__} {api.__version__}"
    runtime = must_make(name, "TensorRT's runtime", lambda: api.Runtime(logger_of(api)))
    try:
        engine = runtime.deserialize_cuda_engine(data)
    except Exception as error:
        raise PlanRefused(name, f"{version} does not load its plan ({error})", _BUILD) from error
    if engine is None:
        why = f"{version} does not load its plan (another version, another GPU, or damaged)"
        raise PlanRefused(name, why, _BUILD)
    tensors = [str(engine.get_tensor_name(at)) for at in range(engine.num_io_tensors)]
    inputs = [tensor for tensor in tensors if engine.get_tensor_mode(tensor) == api.TensorIOMode.INPUT]
    if len(inputs) != 1:
        raise PlanRefused(name, f"its plan has {len(inputs)} inputs, not one", _BUILD)
    compiled = RtxKernels(api, engine, kernels) if is_rtx(api) else None
    alone = api.ExecutionContextAllocationStrategy.USER_MANAGED

    def context(often: bool) -> Any:
        given = alone if compiled is None else compiled.config(often)
        return must_make(name, "an execution context", lambda: engine.create_execution_context(given))

    sizes = (engine.get_tensor_profile_shape(inputs[0], at) for at in range(engine.num_optimization_profiles))
    return runtime, Plan(
        name=name,
        engine=engine,
        cuda=cuda,
        input=inputs[0],
        dtypes={tensor: np.dtype(api.nptype(engine.get_tensor_dtype(tensor))) for tensor in tensors},
        scratch=Scratch(cuda),
        make_context=context,
        kernels=compiled,
        profiles=tuple((tuple(least), tuple(most)) for least, _, most in sizes),
    )

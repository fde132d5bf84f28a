"""TensorRT's and TensorRT-RTX's modules: which is there, its log, its factories, what it keeps from run to run."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from rtface.engine.cuda import how_to_install
from rtface.errors import EngineError, OutputError
from rtface.system.files import write_private
from rtface.system.trusted import UntrustedError, read_trusted

MODULES = ("tensorrt", "tensorrt_rtx")

log = logging.getLogger(__name__)

T = TypeVar("T")


def find_api() -> Any:
    """The module `tensorrt`, else `tensorrt_rtx`.

    Raises:
        EngineError: Neither is installed, or its libraries do not load.
    """
    broken = ""
    for module in MODULES:
        try:
            return import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module:
                broken = broken or f"{module}: {error}"
        except Exception as error:  # Windows: FileNotFoundError where its DLLs are missing
            broken = broken or f"{module}: {error}"
    if broken:
        raise EngineError("tensorrt", f"is installed and cannot be imported ({broken})", how_to_install())
    raise EngineError("tensorrt", "is not installed, nor is tensorrt_rtx", how_to_install())


def is_rtx(api: Any) -> bool:
    """Whether the module is TensorRT-RTX: its plans are for every RTX card, and it makes CUDA graphs by itself."""
    return str(api.__name__).startswith("tensorrt_rtx")


def logger_of(api: Any) -> Any:
    """One logger for builder and runtime: TensorRT keeps the first, and wants it to live. RTFACE_DEBUG=1 opens it."""
    if (known := _LOGGERS.get(api.__name__)) is None:
        level = api.Logger.INFO if os.environ.get("RTFACE_DEBUG") == "1" else api.Logger.ERROR
        known = _LOGGERS[api.__name__] = api.Logger(level)
    return known


_LOGGERS: dict[str, Any] = {}


def must_make(name: str, what: str, make: Callable[[], T]) -> T:
    """What one of TensorRT's factories makes.

    Where it cannot (a driver older than its CUDA, no memory), the bindings of some factories raise TypeError ("factory
    function returned nullptr"), those of others return None.

    Raises:
        EngineError: It made nothing.
    """
    try:
        made = make()
    except Exception as error:
        line = " ".join(str(error).split()) or type(error).__name__
        mend = "nvidia-smi shows the driver (CUDA 13 needs 580 or newer) and free memory; --engine onnx runs"
        raise EngineError(name, f"{what} cannot be made ({line})", mend) from error
    if made is None:
        raise EngineError(name, f"{what} cannot be made", "RTFACE_DEBUG=1 shows TensorRT's log; --engine onnx runs")
    return made


class RtxKernels:
    """TensorRT-RTX's kernels, which it compiles for the GPU while running, kept in a file from run to run.

    Args:
        api: The module.
        engine: TensorRT-RTX's.
        path: The file; None = none is kept.
    """

    def __init__(self, api: Any, engine: Any, path: Path | None) -> None:
        self._path, self._api = path, api
        self._eager, self._lazy = engine.create_runtime_config(), engine.create_runtime_config()
        self._cache: Any = self._eager.create_runtime_cache()
        if (kept := self._kept()) and not self._cache.deserialize(kept):
            self._cache.reset()  # of another version or GPU: it is written again
        when = api.DynamicShapesKernelSpecializationStrategy
        for config, strategy in ((self._eager, when.EAGER), (self._lazy, when.LAZY)):
            config.set_runtime_cache(self._cache)
            config.set_execution_context_allocation_strategy(api.ExecutionContextAllocationStrategy.USER_MANAGED)
            config.cuda_graph_strategy = api.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
            config.dynamic_shapes_kernel_specialization_strategy = strategy

    def _kept(self) -> bytes:
        """What was compiled before."""
        try:
            return b"" if self._path is None else read_trusted(self._path)
        except UntrustedError as error:
            log.warning("%s holds native code, and %s: it is left alone", self._path, error)
            self._path = None
        except OSError:
            pass  # there is none
        return b""

    def config(self, often: bool) -> Any:
        """How a context is made: for a shape that comes often its kernels are compiled at its first call, which
        `prepare` makes; for others in the background, while slower ones run."""
        return self._eager if often else self._lazy

    def save(self) -> None:
        """Keep what was compiled."""
        if self._path is None:
            return
        data = bytes(self._cache.serialize())
        with suppress(OutputError, OSError):  # the next run compiles again
            if data and not (self._path.is_file() and self._path.read_bytes() == data):
                write_private(self._path, data)

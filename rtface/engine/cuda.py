"""One GPU through NVIDIA's driver API (`cuda-bindings`): memory, streams, CUDA graphs, kernels, times.

The driver API is used directly, not through cuda-core or pycuda: it is the same on a desktop (CUDA 13) and on JetPack 6
(CUDA 12, Python 3.10), records graphs on both, and a recording that fails is an error there, not the end of the
process.

The device's primary context is the one that TensorRT works in. It is retained once in a process and never released:
releasing it while TensorRT or another library still uses it destroys their work.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EngineError

SETUP = threading.RLock()
"""Held while a network is loaded, gets a context, or has its work recorded: a recording dies when another thread
synchronises the whole device meanwhile, which TensorRT does while it loads."""

TEGRA_FILES = ("/etc/nv_tegra_release", "/proc/device-tree/compatible")
"""What tells a Jetson, also inside a container, where the first is missing."""


class Memory(Protocol):
    """A block on the device or pinned on the host.

    Attributes:
        address: Where it is, for the owner of that memory; valid until `close`.
        device_address: Where the GPU sees it: of pinned memory too.
        nbytes: Its size.
    """

    address: int
    device_address: int
    nbytes: int

    def close(self) -> None:
        """Give it back; idempotent."""


class Graph(Protocol):
    """Recorded work; a call puts all of it in the stream at once."""

    def __call__(self) -> None:
        """Launch it."""

    def close(self) -> None:
        """Give it back; idempotent."""


class Event(Protocol):
    """A place in the stream that can be waited for, again and again."""

    def record(self) -> None:
        """It is where the stream ends now."""

    def wait(self) -> None:
        """Until the stream has come there; what was put in it since may still run."""

    def close(self) -> None:
        """Give it back; idempotent."""


class Cuda(Protocol):
    """One stream on one GPU.

    Attributes:
        name: The GPU's.
        capability: Its compute capability, "8.9".
        processors: Its number of streaming multiprocessors.
        integrated: Whether it shares its memory with the CPU (Jetson): there nothing need be copied.
        stream: The stream's handle, for TensorRT.
    """

    name: str
    capability: str
    processors: int
    integrated: bool
    stream: int

    def active(self) -> Any:
        """A context manager in which the calling thread works on this GPU."""

    def device(self, nbytes: int) -> Memory:
        """Memory on the device."""

    def pinned(self, nbytes: int) -> Memory:
        """Host memory that copies to and from without a detour, and that the GPU can read and write in place."""

    def copy(self, to: Memory, source: Memory, nbytes: int) -> None:
        """Copy the first bytes of a block, in the stream."""

    def kernel(self, image: bytes, name: str) -> Any:
        """A kernel of a compiled module, for `launch`."""

    def launch(self, kernel: Any, grid: Sequence[int], block: Sequence[int], *values: tuple[Any, Any]) -> None:
        """Put a kernel in the stream: a grid of blocks of threads, and every argument with its type of ctypes."""

    def record(self, work: Callable[[], None]) -> Graph:
        """What `work` puts in the stream, as a graph. Raises whatever goes wrong; the stream is as before then."""

    def mark(self) -> Any:
        """A point of time in the stream, for `gaps_ms`."""

    def gaps_ms(self, *marks: Any) -> list[float]:
        """Milliseconds on the GPU from each mark to the next; the marks are given back."""

    def event(self) -> Event:
        """A place in the stream, to wait for a part of what is in it."""

    def wait(self) -> None:
        """Until the stream is empty."""

    def close(self) -> None:
        """Give the stream back; idempotent."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """What a GPU is; read without making a context on it.

    Attributes:
        name: The product's.
        capability: Compute capability, "8.9".
        processors: Streaming multiprocessors.
        memory_mb: Its memory, 2**20 bytes.
        integrated: Whether it shares its memory with the CPU (Jetson).
        driver: The newest CUDA that the driver runs, "13.0".
    """

    name: str
    capability: str
    processors: int
    memory_mb: int
    integrated: bool
    driver: str

    @property
    def number(self) -> tuple[int, int]:
        """Compute capability to compare with: (8, 9)."""
        major, _, minor = self.capability.partition(".")
        return int(major), int(minor)


class CudaError(Exception):
    """The driver refused a call; its own name for why, and what that means."""


def on_jetson() -> bool:
    """Whether this is NVIDIA's Jetson, where JetPack brings TensorRT and CUDA."""
    release, compatible = map(Path, TEGRA_FILES)
    try:
        return release.exists() or b"nvidia,tegra" in compatible.read_bytes()
    except OSError:
        return False


def how_to_install() -> str:
    """The command that brings TensorRT and a way to the GPU, for this platform."""
    if on_jetson():
        return (
            "JetPack brings TensorRT: python3 -m venv --system-site-packages venv && "
            "venv/bin/pip install 'rtface[jetson]'"
        )
    return "pip install 'rtface[tensorrt]' (data centre, workstation) or 'rtface[rtx]' (RTX cards)"


def view(memory: Memory, shape: tuple[int, ...], dtype: Any, offset: int = 0) -> NDArray[Any]:
    """Pinned memory from `offset` bytes on as an array; valid as long as the memory."""
    block = (ctypes.c_uint8 * memory.nbytes).from_address(memory.address)
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    array: NDArray[Any] = np.ctypeslib.as_array(block)[offset : offset + nbytes].view(dtype).reshape(shape)
    return array


def gpu(device: int = 0) -> Gpu:
    """What the GPU is.

    Raises:
        EngineError: cuda-bindings is not installed, or there is no NVIDIA GPU or driver.
    """
    driver = _driver()
    kind = driver.CUdevice_attribute
    with _named():
        chosen = _do(driver, driver.cuDeviceGet(device))

        def fact(attribute: Any) -> int:
            return int(_do(driver, driver.cuDeviceGetAttribute(attribute, chosen)))

        major = fact(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)
        minor = fact(kind.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)
        version = int(_do(driver, driver.cuDriverGetVersion()))
        name = bytes(_do(driver, driver.cuDeviceGetName(128, chosen)))
        return Gpu(
            name=name.partition(b"\0")[0].decode("utf-8", "replace").strip(),
            capability=f"{major}.{minor}",
            processors=fact(kind.CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT),
            memory_mb=int(_do(driver, driver.cuDeviceTotalMem(chosen))) >> 20,
            integrated=bool(fact(kind.CU_DEVICE_ATTRIBUTE_INTEGRATED)),
            driver=f"{version // 1000}.{version % 1000 // 10}",
        )


def open_cuda(device: int = 0, *, urgent: bool = True) -> DriverCuda:
    """A new stream on the GPU.

    Args:
        device: Which.
        urgent: Its work goes before that of streams that are not.

    Raises:
        EngineError: cuda-bindings is not installed, there is no NVIDIA GPU or driver, or its memory is full.
    """
    facts = gpu(device)
    with _named():
        return DriverCuda(_driver(), _primary_context(device), facts, urgent=urgent)


class DriverMemory:
    """A block of the driver's; implements `Memory`. Giving it back never raises: after a failure every call fails."""

    def __init__(self, address: int, device_address: int, nbytes: int, free: Callable[[], object]) -> None:
        self.address, self.device_address, self.nbytes = address, device_address, nbytes
        self._free: Callable[[], object] | None = free

    def close(self) -> None:
        """Give it back; idempotent."""
        free, self._free = self._free, None
        if free is not None:
            free()


class DriverGraph:
    """A CUDA graph ready to be launched in one stream; implements `Graph`."""

    def __init__(self, driver: Any, ready: Any, stream: Any) -> None:
        self._driver, self._ready, self._stream = driver, ready, stream

    def __call__(self) -> None:
        """Launch it."""
        _do(self._driver, self._driver.cuGraphLaunch(self._ready, self._stream))

    def close(self) -> None:
        """Give it back; idempotent."""
        ready, self._ready = self._ready, None
        if ready is not None:
            self._driver.cuGraphExecDestroy(ready)


class DriverEvent:
    """A place in a stream; implements `Event`."""

    def __init__(self, driver: Any, stream: Any) -> None:
        self._driver, self._stream = driver, stream
        flags = driver.CUevent_flags.CU_EVENT_DISABLE_TIMING  # without a time it costs less
        self._event = _do(driver, driver.cuEventCreate(flags))

    def record(self) -> None:
        """It is where the stream ends now."""
        _do(self._driver, self._driver.cuEventRecord(self._event, self._stream))

    def wait(self) -> None:
        """Until the stream has come there."""
        _do(self._driver, self._driver.cuEventSynchronize(self._event))

    def close(self) -> None:
        """Give it back; idempotent."""
        event, self._event = self._event, None
        if event is not None:
            self._driver.cuEventDestroy(event)


class DriverCuda:
    """`Cuda` by NVIDIA's driver API; also kernels and times, which a network alone does not need."""

    def __init__(self, driver: Any, context: Any, facts: Gpu, *, urgent: bool = True) -> None:
        self._driver, self._context = driver, context
        self.facts = facts
        self.name, self.capability, self.processors = facts.name, facts.capability, facts.processors
        self.integrated = facts.integrated
        with self.active():
            least, greatest = _do(driver, driver.cuCtxGetStreamPriorityRange())
            flags = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            priority = greatest if urgent else least
            self._stream = _do(driver, driver.cuStreamCreateWithPriority(flags, priority))
        self.stream = int(self._stream)

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the primary context the calling thread's, and afterwards what it had before."""
        _do(self._driver, self._driver.cuCtxPushCurrent(self._context))
        try:
            yield
        finally:
            _do(self._driver, self._driver.cuCtxPopCurrent())

    def device(self, nbytes: int) -> DriverMemory:
        """Memory on the device."""
        driver = self._driver
        address = int(_do(driver, driver.cuMemAlloc(nbytes)))
        return DriverMemory(address, address, nbytes, lambda: driver.cuMemFree(address))

    def pinned(self, nbytes: int) -> DriverMemory:
        """Page-locked host memory that the GPU sees too."""
        driver = self._driver
        address = int(_do(driver, driver.cuMemHostAlloc(nbytes, driver.CU_MEMHOSTALLOC_DEVICEMAP)))
        seen = int(_do(driver, driver.cuMemHostGetDevicePointer(address, 0)))
        return DriverMemory(address, seen, nbytes, lambda: driver.cuMemFreeHost(address))

    def copy(self, to: Memory, source: Memory, nbytes: int) -> None:
        """Copy the first bytes of a block; which way follows from the addresses."""
        _do(self._driver, self._driver.cuMemcpyAsync(to.address, source.address, nbytes, self._stream))

    def record(self, work: Callable[[], None]) -> DriverGraph:
        """Record the stream while `work` fills it."""
        driver, mode = self._driver, self._driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED
        _do(driver, driver.cuStreamBeginCapture(self._stream, mode))
        try:
            work()
        except BaseException:
            failed, graph = driver.cuStreamEndCapture(self._stream)  # the stream leaves the recording either way
            if int(failed) == 0:
                driver.cuGraphDestroy(graph)
            raise
        graph = _do(driver, driver.cuStreamEndCapture(self._stream))  # where this fails there is no graph to give back
        try:
            ready = _do(driver, driver.cuGraphInstantiate(graph, 0))
        finally:
            driver.cuGraphDestroy(graph)
        return DriverGraph(driver, ready, self._stream)

    def event(self) -> DriverEvent:
        """A place in the stream, to wait for a part of what is in it."""
        return DriverEvent(self._driver, self._stream)

    def wait(self) -> None:
        """Until the stream is empty."""
        _do(self._driver, self._driver.cuStreamSynchronize(self._stream))

    def kernel(self, image: bytes, name: str) -> Any:
        """A kernel of a compiled module, for `launch`; it stays loaded until the process ends."""
        module = _do(self._driver, self._driver.cuModuleLoadData(image))
        return _do(self._driver, self._driver.cuModuleGetFunction(module, name.encode()))

    def launch(self, kernel: Any, grid: Sequence[int], block: Sequence[int], *values: tuple[Any, Any]) -> None:
        """Put a kernel in the stream: a grid of blocks of threads, and every argument with its type of ctypes."""
        given = tuple(zip(*values, strict=True))
        _do(self._driver, self._driver.cuLaunchKernel(kernel, *grid, *block, 0, self._stream, given, 0))

    def mark(self) -> Any:
        """A point of time in the stream, for `gaps_ms`."""
        event = _do(self._driver, self._driver.cuEventCreate(0))
        _do(self._driver, self._driver.cuEventRecord(event, self._stream))
        return event

    def gaps_ms(self, *marks: Any) -> list[float]:
        """Milliseconds on the GPU from each mark to the next; the marks are given back."""
        driver = self._driver
        _do(driver, driver.cuEventSynchronize(marks[-1]))
        gaps = [float(_do(driver, driver.cuEventElapsedTime(*pair))) for pair in pairwise(marks)]
        for event in marks:
            driver.cuEventDestroy(event)
        return gaps

    def free_mb(self) -> int:
        """Memory of the GPU that nobody uses now, 2**20 bytes."""
        with self.active():
            free, _ = _do(self._driver, self._driver.cuMemGetInfo())
        return int(free) >> 20

    def close(self) -> None:
        """Give the stream back; idempotent."""
        stream, self._stream = self._stream, None
        if stream is not None:
            with self.active():
                self._driver.cuStreamDestroy(stream)


def _driver() -> Any:
    """The driver API, initialised."""
    try:
        driver = import_module("cuda.bindings.driver")
    except Exception as error:  # besides ImportError, what a broken installation raises
        raise EngineError("cuda-bindings", f"cannot be imported ({_line(error)})", how_to_install()) from error
    with _named():
        _do(driver, driver.cuInit(0))  # again is harmless, and costs a microsecond
    return driver


@cache
def _primary_context(device: int) -> Any:
    driver = _driver()
    return _do(driver, driver.cuDevicePrimaryCtxRetain(_do(driver, driver.cuDeviceGet(device))))


@contextmanager
def _named() -> Iterator[None]:
    """Whatever the bindings raise where there is no driver or GPU, as our error."""
    try:
        yield
    except EngineError:
        raise
    except Exception as error:  # the driver's own errors, and those of a library that is not there
        why = f"finds no NVIDIA GPU or driver that works ({_line(error)})"
        raise EngineError("cuda", why, "Use --engine onnx; nvidia-smi shows the driver") from error


def _do(driver: Any, answer: tuple[Any, ...]) -> Any:
    """What the driver answered beside its error code: nothing, one thing, or several.

    Raises:
        CudaError: The code is not CUDA_SUCCESS.
    """
    code, *rest = answer
    if int(code) != 0:
        _, text = driver.cuGetErrorString(code)
        says = text.decode("utf-8", "replace") if isinstance(text, bytes) else "unknown"
        raise CudaError(f"{getattr(code, 'name', code)}: {says}")
    if len(rest) > 1:
        return tuple(rest)
    return rest[0] if rest else None


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

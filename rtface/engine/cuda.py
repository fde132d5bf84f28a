"""Device memory, pinned memory, one stream and CUDA graphs: `cuda-core`, or `pycuda` where that is what there is.

Nothing else in rtface knows which of the two it is. JetPack 6 (Python 3.10) has pycuda; it records no graphs.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rtface.errors import EngineError


class Memory(Protocol):
    """A block on the device or pinned on the host; `address` is valid until `close`."""

    address: int
    nbytes: int

    def close(self) -> None:
        """Give it back; idempotent."""


class Cuda(Protocol):
    """One GPU with one stream."""

    name: str
    capability: str
    stream: int

    def active(self) -> Any:
        """A context manager in which the calling thread works on this GPU."""

    def device(self, nbytes: int) -> Memory:
        """Memory on the device."""

    def pinned(self, nbytes: int) -> Memory:
        """Host memory that copies to and from without a detour."""

    def copy(self, to: Memory, source: Memory) -> None:
        """Copy a block of the same size, in the stream."""

    def record(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """What `work` puts in the stream as a graph, to be launched at a call; None where graphs are not to be had."""

    def wait(self) -> None:
        """Until the stream is empty."""

    def close(self) -> None:
        """Give the stream back; idempotent."""


def view(memory: Memory, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Pinned memory as an array; valid as long as the memory."""
    block = (ctypes.c_uint8 * memory.nbytes).from_address(memory.address)
    array: NDArray[Any] = np.ctypeslib.as_array(block).view(dtype).reshape(shape)
    return array


def open_cuda(device: int = 0) -> Cuda:
    """The GPU, by cuda-core or else pycuda.

    Raises:
        EngineError: Neither is installed, or there is no NVIDIA GPU or driver.
    """
    for module, opened in (("cuda.core", CoreCuda), ("pycuda.driver", PyCuda)):
        try:
            api = import_module(module)
        except ImportError:
            continue
        try:
            return opened(api, device)
        except Exception as error:  # neither library's errors share a base, and a missing driver is a third kind
            why = f"{module} finds no NVIDIA GPU or driver ({_line(error)})"
            raise EngineError("cuda", why, "Use --engine onnx; nvidia-smi shows the driver") from error
    raise EngineError("cuda-core", "is not installed, nor is pycuda", "pip install cuda-core (on JetPack: pycuda)")


class CoreMemory:
    """A block of cuda-core's."""

    def __init__(self, buffer: Any, nbytes: int) -> None:
        self.buffer, self.nbytes, self.address = buffer, nbytes, int(buffer.handle)

    def close(self) -> None:
        """Give it back."""
        if self.buffer is not None:
            self.buffer.close()
            self.buffer = None


class CoreCuda:
    """`Cuda` by cuda-core."""

    def __init__(self, core: Any, device: int) -> None:
        self._device = core.Device(device)
        self._device.set_current()
        self._stream = self._device.create_stream()
        self._target = self._stream  # or the builder of a graph, while one is recorded
        self._host = core.LegacyPinnedMemoryResource()
        self.stream = int(self._stream.handle)
        self.name = str(self._device.name)
        self.capability = ".".join(map(str, self._device.compute_capability))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Make the device the calling thread's."""
        self._device.set_current()
        yield

    def device(self, nbytes: int) -> CoreMemory:
        """Memory on the device, from the driver's pool."""
        return CoreMemory(self._device.allocate(nbytes, stream=self._stream), nbytes)

    def pinned(self, nbytes: int) -> CoreMemory:
        """Page-locked host memory."""
        return CoreMemory(self._host.allocate(nbytes), nbytes)

    def copy(self, to: Any, source: Any) -> None:
        """Copy a whole block."""
        to.buffer.copy_from(source.buffer, stream=self._target)

    def record(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """Record the stream while `work` fills it."""
        builder = self._stream.create_graph_builder().begin_building("relaxed")
        self._target = builder
        try:
            work()
        except BaseException:
            with suppress(Exception):  # the recording is spoilt; what spoilt it is the error that counts
                builder.end_building()
            raise
        finally:
            self._target = self._stream
        graph = builder.end_building().complete()
        return lambda: graph.launch(self._stream)

    def wait(self) -> None:
        """Until the stream is empty."""
        self._stream.sync()

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class PyMemory:
    """A block of pycuda's: a device allocation, or a page-locked array."""

    def __init__(self, block: Any, nbytes: int, address: int) -> None:
        self.block, self.nbytes, self.address = block, nbytes, address

    def close(self) -> None:
        """Give it back."""
        if self.block is not None:
            getattr(self.block, "free", lambda: None)()  # an array goes with its last reference
            self.block = None


class PyCuda:
    """`Cuda` by pycuda, on the primary context, which TensorRT uses too."""

    def __init__(self, driver: Any, device: int) -> None:
        self._driver = driver
        driver.init()
        chosen = driver.Device(device)
        self._context = chosen.retain_primary_context()
        with self.active():
            self._stream = driver.Stream()
        self.stream = int(self._stream.handle)
        self.name = str(chosen.name())
        self.capability = ".".join(map(str, chosen.compute_capability()))

    @contextmanager
    def active(self) -> Iterator[None]:
        """Push the context on the calling thread's stack."""
        self._context.push()
        try:
            yield
        finally:
            self._context.pop()

    def device(self, nbytes: int) -> PyMemory:
        """Memory on the device."""
        block = self._driver.mem_alloc(nbytes)
        return PyMemory(block, nbytes, int(block))

    def pinned(self, nbytes: int) -> PyMemory:
        """Page-locked host memory."""
        array = self._driver.pagelocked_empty(nbytes, np.uint8)
        return PyMemory(array, nbytes, array.ctypes.data)

    def copy(self, to: Any, source: Any) -> None:
        """Copy a whole block; which way follows from which side is an array."""
        if isinstance(source.block, np.ndarray):
            self._driver.memcpy_htod_async(to.block, source.block, self._stream)
        else:
            self._driver.memcpy_dtoh_async(to.block, source.block, self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None] | None:
        """None: pycuda's releases record no graphs."""
        return None

    def wait(self) -> None:
        """Until the stream is empty."""
        self._stream.synchronize()

    def close(self) -> None:
        """Nothing: the stream goes with its last reference, the primary context is everybody's."""


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__

"""TensorRT and a GPU as far as rtface uses them, strict about their rules: a wrong order, address, shape or type fails.

The fake network has one input `crops` uint8 (N, 4, 4, 3) and two outputs: `mean` float32 (N, 3), the mean colour, and
`flip` uint8 (N, 4, 4, 3), the picture turned over. It reads and writes at the addresses it was given, so a test that
gets right numbers has had its bytes copied where they belong.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum, IntEnum
from types import SimpleNamespace
from typing import Any

import numpy as np

SIDE = 4
PLAN = b"plan of the fake"


class Block:
    """Memory that knows whether it was given back."""

    def __init__(self, cuda: FakeCuda, nbytes: int, pinned: bool) -> None:
        self.memory = np.full(nbytes, 0xCD, np.uint8)
        self.cuda, self.nbytes, self.pinned = cuda, nbytes, pinned
        self.address = self.memory.ctypes.data
        cuda.blocks[self.address] = self

    def close(self) -> None:
        self.cuda.blocks.pop(self.address, None)


class FakeCuda:
    """A stream that works only when it is waited for, as a real one may."""

    name, capability, stream = "Fake GPU", "8.9", 77

    def __init__(self, graphs: bool = True) -> None:
        self.blocks: dict[int, Block] = {}
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.graphs, self.launched, self.depth, self.closed = graphs, 0, 0, False

    @contextmanager
    def active(self) -> Iterator[None]:
        self.depth += 1
        yield
        self.depth -= 1

    def device(self, nbytes: int) -> Block:
        assert self.depth and self.recording is None, "no allocation without a context or while a graph is recorded"
        return Block(self, nbytes, pinned=False)

    def pinned(self, nbytes: int) -> Block:
        assert self.depth and self.recording is None
        return Block(self, nbytes, pinned=True)

    def put(self, work: Callable[[], None]) -> None:
        assert self.depth and not self.closed, "work without a context"
        (self.queue if self.recording is None else self.recording).append(work)

    def copy(self, to: Block, source: Block) -> None:
        assert to.nbytes == source.nbytes and to.pinned != source.pinned
        self.put(lambda: self._copy(to, source))

    def _copy(self, to: Block, source: Block) -> None:
        assert {to.address, source.address} <= set(self.blocks), "a copy from or to memory that was given back"
        to.memory[:] = source.memory

    def record(self, work: Callable[[], None]) -> Callable[[], None] | None:
        if not self.graphs:
            return None
        self.recording = []
        try:
            work()
            recorded = list(self.recording)
        finally:
            self.recording = None

        def launch() -> None:
            self.launched += 1
            self.queue.extend(recorded)

        return launch

    def wait(self) -> None:
        assert self.recording is None, "waiting breaks a recording"
        while self.queue:
            self.queue.pop(0)()

    def close(self) -> None:
        assert not self.queue and not self.blocks, "closed with work to do or memory not given back"
        self.closed = True


class Mode(Enum):
    INPUT, OUTPUT = 0, 1


class Flag(IntEnum):
    TF32 = 7


class NetworkFlag(IntEnum):
    STRONGLY_TYPED = 1


class Pool(IntEnum):
    WORKSPACE = 0


DTYPES: dict[str, type] = {"crops": np.uint8, "mean": np.float32, "flip": np.uint8}


class Context:
    """Refuses to run before every address and the shape are set; a new shape forgets the addresses' fit."""

    def __init__(self, engine: NetworkEngine) -> None:
        self.engine, self.shape, self.addresses = engine, None, {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "crops"
        if len(shape) != 4 or not 1 <= shape[0] <= self.engine.most or tuple(shape[1:]) != (SIDE, SIDE, 3):
            return False
        self.shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        count = self.shape[0] if self.shape else -1
        return {"crops": (count, SIDE, SIDE, 3), "mean": (count, 3), "flip": (count, SIDE, SIDE, 3)}[name]

    def set_tensor_address(self, name: str, address: int) -> bool:
        assert name in DTYPES, f"no tensor {name}"
        block = self.engine.cuda.blocks.get(address)
        assert block is not None and not block.pinned, f"{name} is not on the device"
        assert block.nbytes == np.dtype(DTYPES[name]).itemsize * np.prod(self.get_tensor_shape(name))
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        cuda = self.engine.cuda
        assert stream == cuda.stream, "not the engine's stream"
        if self.engine.fails or set(self.addresses) != set(DTYPES) or self.shape is None:
            return False
        if cuda.recording is not None and not self.engine.ran:
            raise RuntimeError("the first run cannot be recorded")
        self.engine.ran = True
        cuda.put(self._work)
        return True

    def _work(self) -> None:
        crops = self._at("crops")
        self._at("mean")[...] = crops.reshape(len(crops), -1, 3).mean(axis=1)
        self._at("flip")[...] = crops[:, ::-1]

    def _at(self, name: str) -> np.ndarray:
        assert self.addresses[name] in self.engine.cuda.blocks, f"{name}'s memory was given back"
        shape, dtype = self.get_tensor_shape(name), np.dtype(DTYPES[name])
        block = (ctypes.c_uint8 * int(np.prod(shape) * dtype.itemsize)).from_address(self.addresses[name])
        return np.ctypeslib.as_array(block).view(dtype).reshape(shape)


class NetworkEngine:
    num_io_tensors = 3

    def __init__(self, cuda: FakeCuda, most: int) -> None:
        self.cuda, self.most, self.fails, self.ran = cuda, most, False, False

    def get_tensor_name(self, at: int) -> str:
        return list(DTYPES)[at]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "crops" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> type:
        return DTYPES[name]

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert (name, profile) == ("crops", 0)
        return [(count, SIDE, SIDE, 3) for count in (1, 1, self.most)]

    def create_execution_context(self) -> Context:
        assert self.cuda.depth, "a context is made where the GPU is current"
        return Context(self)


class FakeTrt:
    """The module. `loads` is the plan that it takes; `engine` the network it made last."""

    __name__, __version__ = "tensorrt", "10.13.0"
    TensorIOMode, BuilderFlag, NetworkDefinitionCreationFlag, MemoryPoolType = Mode, Flag, NetworkFlag, Pool
    IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})

    def __init__(self, cuda: FakeCuda, most: int = 8, loads: bytes = PLAN) -> None:
        self.cuda, self.most, self.loads = cuda, most, loads
        self.engine: NetworkEngine | None = None
        self.built: SimpleNamespace | None = None
        self.readable = self.buildable = True

    class Logger:
        ERROR = 1

        def __init__(self, level: int) -> None: ...

    @staticmethod
    def nptype(dtype: type) -> type:
        return dtype

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        def deserialize(plan: bytes) -> NetworkEngine | None:
            self.engine = NetworkEngine(self.cuda, self.most) if plan == self.loads else None
            return self.engine

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        built = self.built = SimpleNamespace(flags=None, shapes=None, tf32=True, workspace=0, profiles=0)

        class Config:
            progress_monitor = None

            def set_memory_pool_limit(self, pool: Pool, size: int) -> None:
                built.workspace = size

            def clear_flag(self, flag: Flag) -> None:
                built.tf32 = flag is not Flag.TF32

            def add_optimization_profile(self, profile: Any) -> int:
                assert built.shapes is not None, "an empty profile"
                least, usual, most = built.shapes
                built.profiles += 1
                return 0 if least <= usual <= most else -1

        def create_network(flags: int) -> Any:
            built.flags = flags
            return SimpleNamespace(get_input=lambda at: SimpleNamespace(name="crops"))

        def set_shape(name: str, *shapes: tuple[int, ...]) -> None:
            assert name == "crops"
            built.shapes = shapes

        def build(network: Any, config: Any) -> bytes | None:
            assert built.profiles == 1, "a dynamic network needs a profile"
            if config.progress_monitor is not None:
                monitor = config.progress_monitor
                monitor.phase_start("Building", None, 2)
                monitor.phase_start("inner", "Building", 9)
                assert monitor.step_complete("inner", 3) and monitor.step_complete("Building", 0)
                monitor.phase_finish("Building")
            return self.loads if self.buildable else None

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=Config,
            create_optimization_profile=lambda: SimpleNamespace(set_shape=set_shape),
            build_serialized_network=build,
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            parse=lambda data: self.readable, num_errors=1, get_error=lambda at: "node 3:\n uint8 is not supported"
        )

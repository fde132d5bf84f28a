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
        whole = np.full(nbytes + 256, 0xCD, np.uint8)
        self.memory = whole[-whole.ctypes.data % 256 :][:nbytes]
        self.cuda, self.nbytes, self.pinned = cuda, nbytes, pinned
        self.address = self.device_address = self.memory.ctypes.data
        cuda.blocks[self.address] = self

    def close(self) -> None:
        assert self.cuda.depth, "memory is given back where the GPU is current"
        self.cuda.blocks.pop(self.address, None)


class FakeGraph:
    """Recorded work."""

    def __init__(self, cuda: FakeCuda, recorded: list[Callable[[], None]]) -> None:
        self.cuda, self.recorded = cuda, recorded
        cuda.alive.append(self)

    def __call__(self) -> None:
        assert self in self.cuda.alive, "a graph that was given back"
        self.cuda.launched += 1
        self.cuda.queue.extend(self.recorded)

    def close(self) -> None:
        assert not self.cuda.queue, "a graph given back while it may run"
        self.cuda.alive.remove(self)


class FakeEvent:
    """A place in the stream: waiting for it leaves what came after it to do."""

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda, self.reached, self.places = cuda, 0, 0
        cuda.alive.append(self)

    def record(self) -> None:
        assert self in self.cuda.alive and self.cuda.recording is None, "an event is no part of a graph here"
        self.places += 1
        self.cuda.put(lambda place=self.places: self._reach(place))  # type: ignore[misc]

    def _reach(self, place: int) -> None:
        assert self in self.cuda.alive, "an event that was given back"
        self.reached = place

    def wait(self) -> None:
        assert self.places, "an event that was never recorded"
        self.cuda.work(lambda: self.reached < self.places)

    def close(self) -> None:
        assert self.reached == self.places, "an event given back while it is waited for"
        self.cuda.alive.remove(self)


class FakeCuda:
    """A stream that works only when it is waited for, as a real one may, and then no further than it must."""

    name, capability, processors, stream = "Fake GPU", "8.9", 24, 77

    def __init__(self, graphs: bool = True, integrated: bool = False) -> None:
        self.blocks: dict[int, Block] = {}
        self.queue: list[Callable[[], None]] = []
        self.recording: list[Callable[[], None]] | None = None
        self.alive: list[FakeGraph | FakeEvent] = []
        self.graphs, self.integrated = graphs, integrated
        self.launched, self.copies, self.depth, self.closed, self.dead = 0, 0, 0, False, False

    @contextmanager
    def active(self) -> Iterator[None]:
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1

    def device(self, nbytes: int) -> Block:
        assert self.depth and self.recording is None, "no allocation without a context or while a graph is recorded"
        assert nbytes > 0, "the driver refuses to give nothing"
        return Block(self, nbytes, pinned=False)

    def pinned(self, nbytes: int) -> Block:
        assert self.depth and self.recording is None and nbytes > 0
        return Block(self, nbytes, pinned=True)

    def holding(self, address: int) -> Block | None:
        return next((block for at, block in self.blocks.items() if at <= address < at + block.nbytes), None)

    def put(self, work: Callable[[], None]) -> None:
        assert self.depth and not self.closed, "work without a context"
        (self.queue if self.recording is None else self.recording).append(work)

    def copy(self, to: Block, source: Block, nbytes: int) -> None:
        assert 0 < nbytes <= min(to.nbytes, source.nbytes) and to.pinned != source.pinned
        self.copies += 1
        self.put(lambda: self._copy(to, source, nbytes))

    def _copy(self, to: Block, source: Block, nbytes: int) -> None:
        assert {to.address, source.address} <= set(self.blocks), "a copy from or to memory that was given back"
        to.memory[:nbytes] = source.memory[:nbytes]

    def record(self, work: Callable[[], None]) -> FakeGraph:
        if not self.graphs:
            raise RuntimeError("CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED")
        assert not self.queue, "what is in the stream is not recorded"
        self.recording = []
        try:
            work()
            recorded = list(self.recording)
        finally:
            self.recording = None
        return FakeGraph(self, recorded)

    def event(self) -> FakeEvent:
        return FakeEvent(self)

    def wait(self) -> None:
        self.work(lambda: True)

    def work(self, on: Callable[[], bool]) -> None:
        assert self.depth and self.recording is None, "waiting breaks a recording"
        if self.dead:
            raise RuntimeError("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered")
        while self.queue and on():
            self.queue.pop(0)()

    def close(self) -> None:
        assert not self.queue and not self.blocks and not self.alive, "closed with work to do or memory not given back"
        self.closed = True


class Mode(Enum):
    INPUT, OUTPUT = 0, 1


class Flag(IntEnum):
    TF32 = 7


class NetworkFlag(IntEnum):
    STRONGLY_TYPED = 1


class Pool(IntEnum):
    WORKSPACE = 0


class Preview(IntEnum):
    RUNTIME_ACTIVATION_RESIZE_10_10 = 1


class Strategy(IntEnum):
    STATIC, ON_PROFILE_CHANGE, USER_MANAGED = 0, 1, 2


class GraphStrategy(IntEnum):
    DISABLED, WHOLE_GRAPH_CAPTURE = 0, 1


class Specialization(IntEnum):
    LAZY, EAGER, NONE = 0, 1, 2


class Compute(IntEnum):
    SM75, SM86 = 75, 86


LATER = ("RUNTIME_ACTIVATION_RESIZE_10_10", "STRONGLY_TYPED")
"""What some releases lack, and the adapter does without."""

NULL = "tensorrt.tensorrt.{}: factory function returned nullptr"
"""What pybind says where a factory has nothing to give: a TypeError, never None."""


DTYPES: dict[str, type] = {"crops": np.uint8, "mean": np.float32, "flip": np.uint8}


class Context:
    """Refuses to run before every address and the shape are set; a new shape forgets the addresses' fit."""

    def __init__(self, engine: NetworkEngine) -> None:
        self.engine, self.shape, self.addresses, self.scratch = engine, None, {}, None
        self.profile = 0

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        cuda = self.engine.cuda
        assert stream_handle == cuda.stream and cuda.recording is None and profile_index != self.profile
        self.profile, self.shape, self.scratch, self.addresses = profile_index, None, None, {}
        return 0 <= profile_index < self.engine.num_optimization_profiles

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert name == "crops"
        least, most = self.engine.profiles[self.profile]
        if len(shape) != 4 or not least <= shape[0] <= most or tuple(shape[1:]) != (SIDE, SIDE, 3):
            return False
        self.shape, self.scratch = tuple(shape), None  # a larger input needs more
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        assert self.shape is not None, "the size follows from the shape"
        return 1000 * self.shape[0]

    def set_device_memory(self, memory: int, size: int) -> None:
        block = self.engine.cuda.blocks[memory]
        assert self.engine.cuda.recording is None and not block.pinned and memory % 256 == 0
        assert block.nbytes >= size >= self.update_device_memory_size_for_shapes(), "not enough working memory"
        self.scratch = memory

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        count = self.shape[0] if self.shape else -1
        return {"crops": (count, SIDE, SIDE, 3), "mean": (count, 3), "flip": (count, SIDE, SIDE, 3)}[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert name in DTYPES, f"no tensor {name}"
        cuda = self.engine.cuda
        block = cuda.holding(memory)
        assert block is not None and block.pinned == cuda.integrated, f"{name} is not where the GPU works"
        nbytes = np.dtype(DTYPES[name]).itemsize * np.prod(self.get_tensor_shape(name))
        assert memory % 256 == 0 and memory + nbytes <= block.address + block.nbytes
        self.addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        cuda = self.engine.cuda
        assert stream_handle == cuda.stream, "not the engine's stream"
        if self.engine.fails or set(self.addresses) != set(DTYPES) or self.shape is None:
            return False
        assert self.scratch in cuda.blocks, "no working memory, or one that was given back"
        if cuda.recording is not None and not self.engine.ran:
            raise RuntimeError("the first run cannot be recorded")
        self.engine.ran = True
        places = {name: (address, self.get_tensor_shape(name)) for name, address in self.addresses.items()}
        cuda.put(lambda scratch=self.scratch: self._work(scratch, places))  # type: ignore[misc]
        return True

    def _work(self, scratch: int, places: dict[str, tuple[int, tuple[int, ...]]]) -> None:
        """With the addresses and shapes of the call, whatever the context was told since."""
        self.engine.cuda.blocks[scratch].memory[:] = 0xEE  # whoever had something there loses it
        crops, mean, flip = (self._tensor(name, *places[name]) for name in ("crops", "mean", "flip"))
        mean[...] = crops.reshape(len(crops), -1, 3).mean(axis=1)
        flip[...] = crops[:, ::-1]

    def _tensor(self, name: str, address: int, shape: tuple[int, ...]) -> np.ndarray:
        assert self.engine.cuda.holding(address), f"{name}'s memory was given back"
        dtype = np.dtype(DTYPES[name])
        block = (ctypes.c_uint8 * int(np.prod(shape) * dtype.itemsize)).from_address(address)
        return np.ctypeslib.as_array(block).view(dtype).reshape(shape)


class NetworkEngine:
    num_io_tensors = 3

    def __init__(self, cuda: FakeCuda, most: int) -> None:
        self.cuda, self.fails, self.ran, self.contexts = cuda, False, False, 0
        self.profiles = ((1, most),)

    @property
    def num_optimization_profiles(self) -> int:
        return len(self.profiles)

    def get_tensor_name(self, index: int) -> str:
        return list(DTYPES)[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "crops" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> type:
        return DTYPES[name]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert name == "crops" and 0 <= profile_index < len(self.profiles)
        least, most = self.profiles[profile_index]
        return [(count, SIDE, SIDE, 3) for count in (least, least, most)]

    def create_execution_context(self, strategy: Strategy) -> Context:
        assert self.cuda.depth, "a context is made where the GPU is current"
        assert strategy is Strategy.USER_MANAGED, "every context would take the largest input's memory"
        self.contexts += 1
        return Context(self)


class RtxEngine(NetworkEngine):
    """TensorRT-RTX's: contexts come with a configuration, which keeps the kernels."""

    def __init__(self, cuda: FakeCuda, most: int) -> None:
        super().__init__(cuda, most)
        self.strategies: list[Specialization] = []

    def create_runtime_config(self) -> RuntimeConfig:
        return RuntimeConfig()

    def create_execution_context(self, runtime_config: RuntimeConfig) -> Context:
        assert runtime_config.cuda_graph_strategy is GraphStrategy.WHOLE_GRAPH_CAPTURE
        runtime_config.cache.kernels += b"."  # one more was compiled
        self.strategies.append(runtime_config.dynamic_shapes_kernel_specialization_strategy)
        return super().create_execution_context(runtime_config.strategy)


class RuntimeConfig:
    cuda_graph_strategy = GraphStrategy.DISABLED
    dynamic_shapes_kernel_specialization_strategy = Specialization.LAZY

    def __init__(self) -> None:
        self.strategy, self.cache = Strategy.STATIC, KernelCache()

    def set_execution_context_allocation_strategy(self, strategy: Strategy = Strategy.STATIC) -> None:
        self.strategy = strategy

    def create_runtime_cache(self) -> KernelCache:
        return KernelCache()

    def set_runtime_cache(self, cache: KernelCache) -> bool:
        self.cache = cache
        return True


class KernelCache:
    kernels = b"kernels"

    def deserialize(self, blob: bytes) -> bool:
        self.kernels = blob
        return blob.startswith(b"kernels")

    def serialize(self) -> bytes:
        return self.kernels

    def reset(self) -> bool:
        self.kernels = b"kernels"
        return True


class Config:
    """Of a builder."""

    progress_monitor = None

    def __init__(self, built: SimpleNamespace) -> None:
        self.built = built

    def set_memory_pool_limit(self, pool: Pool, pool_size: int) -> None:
        self.built.workspace = pool_size

    def clear_flag(self, flag: Flag) -> None:
        self.built.tf32 = flag is not Flag.TF32

    def set_preview_feature(self, feature: Preview, enable: bool) -> None:
        self.built.features.append(feature)

    def create_timing_cache(self, serialized_timing_cache: bytes) -> SimpleNamespace:
        known = SimpleNamespace(measured=serialized_timing_cache)
        known.serialize = lambda: known.measured
        return known

    def set_timing_cache(self, cache: SimpleNamespace, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        if cache.measured.startswith(b"other"):
            return False
        self.built.timings = cache
        return True

    def get_timing_cache(self) -> SimpleNamespace:
        return self.built.timings

    def add_optimization_profile(self, profile: Any) -> int:
        assert self.built.shapes is not None, "an empty profile"
        least, usual, most = self.built.shapes
        self.built.profiles += 1
        return 0 if least <= usual <= most else -1


class FakeTrt:
    """The module. `loads` is the plan that it takes; `engine` the network it made last."""

    __name__, __version__ = "tensorrt", "10.13.0"
    TensorIOMode, BuilderFlag, NetworkDefinitionCreationFlag, MemoryPoolType = Mode, Flag, NetworkFlag, Pool
    PreviewFeature, ExecutionContextAllocationStrategy = Preview, Strategy
    IProgressMonitor = type("IProgressMonitor", (), {"__init__": lambda self: None})
    Engine, Config = NetworkEngine, Config

    def __init__(self, cuda: FakeCuda, most: int = 8, loads: bytes = PLAN) -> None:
        self.cuda, self.most, self.loads = cuda, most, loads
        self.engine: NetworkEngine | None = None
        self.built: SimpleNamespace | None = None
        self.profiles: tuple[tuple[int, int], ...] = ()
        """Least and most faces of each; none = one for 1 to `most`."""
        self.readable = self.buildable = True
        self.driver_too_old = False

    class Logger:
        ERROR, WARNING, INFO, VERBOSE = 1, 2, 3, 4

        def __init__(self, min_severity: int) -> None:
            self.level = min_severity

    @staticmethod
    def nptype(trt_type: type) -> type:
        return trt_type

    def Runtime(self, logger: Any) -> Any:  # noqa: N802
        if self.driver_too_old:
            raise TypeError(NULL.format("Runtime"))

        def deserialize(serialized_engine: bytes) -> NetworkEngine | None:
            self.engine = self.Engine(self.cuda, self.most) if serialized_engine == self.loads else None
            if self.engine is not None and self.profiles:
                self.engine.profiles = self.profiles
            return self.engine

        return SimpleNamespace(deserialize_cuda_engine=deserialize)

    def Builder(self, logger: Any) -> Any:  # noqa: N802
        if self.driver_too_old:
            raise TypeError(NULL.format("Builder"))
        built = self.built = SimpleNamespace(
            flags=None,
            shapes=None,
            tf32=True,
            workspace=0,
            profiles=0,
            features=[],
            all_shapes=[],
            capability=None,
            timings=None,
        )

        built.all_shapes = []

        def create_network(flags: int) -> Any:
            built.flags = flags
            return SimpleNamespace(get_input=lambda index: SimpleNamespace(name="crops"))

        def set_shape(input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
            assert input == "crops"
            built.shapes = min, opt, max
            built.all_shapes.append(built.shapes)

        def build(network: Any, config: Any) -> bytes | None:
            assert built.profiles >= 1, "a dynamic network needs a profile"
            if config.progress_monitor is not None:
                monitor = config.progress_monitor
                monitor.phase_start("Building", None, 2)
                monitor.phase_start("inner", "Building", 9)
                assert monitor.step_complete("inner", 3) and monitor.step_complete("Building", 0)
                monitor.phase_finish("Building")
            if built.timings is not None:
                built.timings.measured += b"."
            return self.loads if self.buildable else None

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=lambda: self.Config(built),
            create_optimization_profile=lambda: SimpleNamespace(set_shape=set_shape),
            build_serialized_network=build,
        )

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802
        return SimpleNamespace(
            parse=lambda model, path=None: self.readable,
            num_errors=1,
            get_error=lambda index: "node 3:\n uint8 is not supported",
        )


class RtxConfig(Config):
    num_compute_capabilities = 0

    def set_compute_capability(self, compute_capability: Compute, index: int) -> bool:
        assert index < self.num_compute_capabilities
        self.built.capability = compute_capability
        return True


class FakeRtx(FakeTrt):
    """TensorRT-RTX: it makes graphs by itself and compiles kernels while running."""

    __name__, __version__ = "tensorrt_rtx", "1.7.1"
    CudaGraphStrategy, ComputeCapability, Engine, Config = GraphStrategy, Compute, RtxEngine, RtxConfig
    DynamicShapesKernelSpecializationStrategy = Specialization

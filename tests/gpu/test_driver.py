"""`rtface.engine.cuda` and what stands on it, through NVIDIA's own bindings: on a GPU, or on the simulated driver.

On a machine with a GPU (no TensorRT is needed): `pytest -m gpu tests/gpu/test_driver.py`. Elsewhere
`tests/engine/test_cuda.py` runs this file on the driver of `tests/engine/simulated`.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.engine import DeviceFailed
from rtface.engine.context_pool import SEEN_BEFORE
from rtface.engine.cuda import CudaError, DriverCuda, gpu, open_cuda, view
from rtface.engine.nvrtc import compile_kernel
from rtface.engine.tensorrt import TrtEngine
from rtface.engine.trt_context import GRAPH_AFTER
from rtface.errors import EngineError, RtfaceError
from tests.engine.fake_trt import PLAN, SIDE, Context, FakeTrt, NetworkEngine
from tests.engine.simulated import kernel

pytestmark = pytest.mark.gpu

SIMULATED = os.environ.get("RTFACE_SIMULATED_DRIVER")
"""The simulated driver's path, where this runs on it."""

SOURCE = """
extern "C" __global__ void network(
    const unsigned char *crops, float *mean, unsigned char *flip, unsigned char *scratch, int rows, int side
) {
    int row = blockIdx.x, pixels = side * side;
    if (row >= rows || threadIdx.x != 0) return;
    const unsigned char *crop = crops + row * pixels * 3;
    for (int byte = 0; byte < 1000; byte++) scratch[row * 1000 + byte] = 0xEE;
    for (int channel = 0; channel < 3; channel++) {
        float sum = 0;
        for (int at = 0; at < pixels; at++) sum += crop[at * 3 + channel];
        mean[row * 3 + channel] = sum / pixels;
    }
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side * 3; x++)
            flip[row * pixels * 3 + y * side * 3 + x] = crop[(side - 1 - y) * side * 3 + x];
}
"""


@pytest.fixture
def cuda() -> Iterator[DriverCuda]:
    try:
        opened = open_cuda()
    except RtfaceError as error:
        pytest.skip(str(error))
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The kernel, for whatever driver this is."""
    try:
        capability = gpu().capability
        if SIMULATED:
            return kernel(SOURCE, "network", tmp_path_factory.mktemp("kernel"))
        return compile_kernel(SOURCE, "network", capability)
    except RtfaceError as error:
        pytest.skip(str(error))


def count(what: str) -> int:
    """What the simulated driver has in use."""
    library = ctypes.CDLL(SIMULATED)
    return int(library.sim_count(what.encode()))


def fail(function: str, code: int, after: int = 0) -> None:
    ctypes.CDLL(SIMULATED).sim_fail(function.encode(), code, after)


only_simulated = pytest.mark.skipif(not SIMULATED, reason="a real driver cannot be told to fail")


def test_facts_are_read_without_a_context() -> None:
    try:
        facts = gpu()
    except RtfaceError as error:
        pytest.skip(str(error))
    assert facts.name and facts.processors > 0 and facts.memory_mb > 100 and facts.number >= (5, 0)
    assert float(facts.driver) >= 11
    if SIMULATED:
        assert (facts.name, facts.capability, facts.driver) == ("Simulated GPU", "8.9", "13.0")
        assert count("retained") == 0


def test_bytes_go_there_and_back(cuda: DriverCuda) -> None:
    with cuda.active():
        blocks = there, here, back = cuda.device(4000), cuda.pinned(4000), cuda.pinned(4000)
        view(here, (1000,), np.float32)[:] = np.arange(1000)
        view(back, (4000,), np.uint8)[:] = 7
        cuda.copy(there, here, 2000)
        cuda.copy(back, there, 2000)
        cuda.wait()
        assert np.array_equal(view(back, (500,), np.float32), np.arange(500))
        assert (view(back, (2000,), np.uint8, offset=2000) == 7).all()
        for block in blocks:
            block.close()
            block.close()
    if SIMULATED:
        assert count("blocks") == 0 and count("depth") == 0


def test_a_graph_does_again_what_was_recorded(cuda: DriverCuda) -> None:
    with cuda.active():
        there, here, back = cuda.device(256), cuda.pinned(256), cuda.pinned(256)

        def work() -> None:
            cuda.copy(there, here, 256)
            cuda.copy(back, there, 256)

        graph = cuda.record(work)
        for value in (3, 5):
            view(here, (256,), np.uint8)[:] = value
            graph()
            cuda.wait()
            assert (view(back, (256,), np.uint8) == value).all()
        graph.close()
        graph.close()
    if SIMULATED:
        assert count("graphs") == 0


@pytest.mark.parametrize("how", ["waits", "raises"])
def test_a_recording_that_fails_is_an_error_and_the_stream_goes_on(cuda: DriverCuda, how: str) -> None:
    def work() -> None:
        if how == "raises":
            raise ValueError("of the work itself")
        cuda.wait()

    with cuda.active():
        there, here = cuda.device(256), cuda.pinned(256)
        for _ in range(3):
            with pytest.raises(CudaError if how == "waits" else ValueError):
                cuda.record(work)
            cuda.copy(there, here, 256)
            cuda.wait()
    if SIMULATED:
        assert count("graphs") == 0


def test_another_thread_works_with_it_too(cuda: DriverCuda) -> None:
    seen: list[Any] = []

    def work() -> None:
        with cuda.active():
            there, here, back = cuda.device(64), cuda.pinned(64), cuda.pinned(64)
            view(here, (64,), np.uint8)[:] = 9
            cuda.copy(there, here, 64)
            cuda.copy(back, there, 64)
            cuda.wait()
            seen.append(view(back, (64,), np.uint8).copy())

    for _ in range(2):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert len(seen) == 2 and all((one == 9).all() for one in seen)


def test_one_context_serves_all_streams_of_the_process(cuda: DriverCuda) -> None:
    others = [open_cuda(urgent=urgent) for urgent in (True, False)]
    assert len({cuda.stream, *(other.stream for other in others)}) == 3
    for other in others:
        other.close()
        other.close()
    if SIMULATED:
        assert count("retained") == 1


def test_what_is_not_urgent_goes_behind_what_is(cuda: DriverCuda) -> None:
    """`cuda` is urgent; the driver says 0 for the least and a negative number for the most urgent."""
    other = open_cuda(urgent=False)
    with cuda.active():
        driver = cuda._driver
        priorities = [int(driver.cuStreamGetPriority(one._stream)[1]) for one in (cuda, other)] if not SIMULATED else []
    if SIMULATED:
        assert count("urgent") == 1 and count("streams") == 2
    else:
        assert priorities[0] < priorities[1]
    other.close()


def test_an_event_is_waited_for_and_nothing_behind_it(cuda: DriverCuda) -> None:
    with cuda.active():
        there, here, back = cuda.device(64), cuda.pinned(64), cuda.pinned(64)
        event = cuda.event()
        for value in (3, 5):
            view(here, (64,), np.uint8)[:] = value
            cuda.copy(there, here, 64)
            cuda.copy(back, there, 64)
            event.record()
            if SIMULATED:
                cuda.copy(back, here, 32)
            event.wait()
            assert (view(back, (64,), np.uint8) == value).all()
            if SIMULATED:
                assert count("waiting") == 1
            cuda.wait()
        event.close()
        event.close()
    if SIMULATED:
        assert count("events") == 0


def test_times_are_of_the_gpu(cuda: DriverCuda) -> None:
    with cuda.active():
        there, here = cuda.device(1 << 20), cuda.pinned(1 << 20)
        began = cuda.mark()
        cuda.copy(there, here, 1 << 20)
        (took,) = cuda.gaps_ms(began, cuda.mark())
    assert 0 < took < 1000 and cuda.free_mb() > 0


@only_simulated
@pytest.mark.parametrize("function", ["cuMemAlloc", "cuMemHostAlloc"])
def test_no_memory_is_said(cuda: DriverCuda, function: str) -> None:
    fail(function, 2)
    with cuda.active(), pytest.raises(CudaError, match="CUDA_ERROR_OUT_OF_MEMORY: out of memory"):
        cuda.device(64) if function == "cuMemAlloc" else cuda.pinned(64)
    fail("", 0)


@only_simulated
@pytest.mark.parametrize(("function", "code"), [("cuInit", 100), ("cuInit", 803), ("cuDeviceGet", 101)])
def test_no_gpu_is_said(function: str, code: int) -> None:
    fail(function, code)
    with pytest.raises(EngineError, match=r"finds no NVIDIA GPU or driver that works \(CUDA_ERROR"):
        open_cuda()
    fail("", 0)


class KernelContext(Context):
    """The fake TensorRT's, but the network is a kernel on the stream."""

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert memory % 256 == 0
        self.addresses[name] = memory
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self.update_device_memory_size_for_shapes()
        self.scratch = memory

    def execute_async_v3(self, stream_handle: int) -> bool:
        cuda: Any = self.engine.cuda
        assert stream_handle == cuda.stream and self.shape is not None
        rows = self.shape[0]
        pointers = [self.addresses[name] for name in ("crops", "mean", "flip")]
        given = [(pointer, ctypes.c_void_p) for pointer in (*pointers, self.scratch)]
        given += [(number, ctypes.c_int) for number in (rows, SIDE)]
        cuda.launch(self.engine.kernel, (rows, 1, 1), (32, 1, 1), *given)
        return True


class KernelEngine(NetworkEngine):
    kernel: Any = None

    def create_execution_context(self, strategy: Any) -> KernelContext:
        self.contexts += 1
        return KernelContext(self)


def opened(cuda: DriverCuda, image: bytes, **given: Any) -> TrtEngine:
    """Our adapter around a TensorRT whose network is a real kernel."""
    api = FakeTrt(cuda)  # type: ignore[arg-type]
    api.Engine = KernelEngine
    engine = TrtEngine(PLAN, "net", api=api, cuda=cuda, **given)
    with cuda.active():
        assert isinstance(api.engine, KernelEngine)
        api.engine.kernel = cuda.kernel(image, "network")
    return engine


def is_right(out: dict[str, np.ndarray], batch: np.ndarray) -> bool:
    mean = batch.reshape(len(batch), -1, 3).mean(axis=1, dtype=np.float64)
    return bool(np.allclose(out["mean"], mean, atol=1e-3) and np.array_equal(out["flip"], batch[:, ::-1]))


def test_a_network_runs_through_the_adapter(cuda: DriverCuda, image: bytes) -> None:
    warm = [(rows, SIDE, SIDE, 3) for rows in range(1, 9)]
    engine, rng = opened(cuda, image, warm=warm), np.random.default_rng(0)
    engine.prepare()
    before = count("launches") if SIMULATED else 0
    for rows in (1, 8, 3, 11, 2, 1, 5):
        batch = rng.integers(0, 256, (rows, SIDE, SIDE, 3), np.uint8)
        assert is_right(engine.run(batch, engine.outputs), batch)
    if SIMULATED:
        assert count("launches") - before == 8  # eleven rows are two calls, and every call is a graph
    engine.close()
    if SIMULATED:
        assert count("graphs") == 0


def test_shapes_that_nobody_foresaw_run_too(cuda: DriverCuda, image: bytes) -> None:
    engine, rng = opened(cuda, image, max_contexts=2), np.random.default_rng(1)
    for call in range(4 * (SEEN_BEFORE + GRAPH_AFTER + 1)):
        batch = rng.integers(0, 256, (1 + call % 4, SIDE, SIDE, 3), np.uint8)
        assert is_right(engine.run(batch, engine.outputs), batch)
    engine.close()


def test_the_parts_of_a_call_have_times(cuda: DriverCuda, image: bytes) -> None:
    shape = (2, SIDE, SIDE, 3)
    engine = opened(cuda, image, warm=[shape])
    engine.prepare()
    spans = engine.spans_ms(shape, runs=3)
    assert set(spans) == {"copy_in", "network", "copy_out", "graph"} and all(took >= 0 for took in spans.values())
    assert spans["network"] > 0
    engine.close()


def test_two_calls_under_way_have_memory_of_their_own(cuda: DriverCuda, image: bytes) -> None:
    warm = [(rows, SIDE, SIDE, 3) for rows in range(1, 4)]
    blocks = count("blocks") if SIMULATED else 0
    engine, rng = opened(cuda, image, warm=warm, ahead=True), np.random.default_rng(0)
    engine.prepare()
    before = count("launches") if SIMULATED else 0
    flying: list[tuple[Any, np.ndarray]] = []
    for call in range(30):
        batch = rng.integers(0, 256, (1 + call % 3, SIDE, SIDE, 3), np.uint8)
        flying.append((engine.submit(given := batch.copy(), engine.outputs), batch))
        given[:] = 0
        if SIMULATED and call == 2:
            assert len(flying) == 2
            ticket, expected = flying.pop(0)
            assert is_right(ticket.collect(), expected) and count("waiting") > 0, "the second has not run"
        while len(flying) > call % 4:
            ticket, expected = flying.pop(int(rng.integers(len(flying))))
            assert is_right(ticket.collect(), expected)
    assert is_right(engine.run(batch, engine.outputs), batch)
    if SIMULATED:
        assert count("launches") - before == 31, "every call is a graph, of either memory"
    engine.close()
    if SIMULATED:
        assert (count("graphs"), count("events"), count("blocks")) == (0, 0, blocks)


@only_simulated
def test_an_error_that_stays_meets_both_calls_under_way(cuda: DriverCuda, image: bytes) -> None:
    engine = opened(cuda, image)
    batch = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    tickets = [engine.submit(batch, ("mean",)) for _ in range(2)]
    fail("cuEventSynchronize", 700)
    for ticket in (*tickets, *tickets):
        with pytest.raises(DeviceFailed, match=r"ILLEGAL_ADDRESS: an illegal memory access|failed while it ran this"):
            ticket.collect()
    engine.close()
    fail("", 0)


@only_simulated
def test_an_error_that_stays_is_a_failed_device(cuda: DriverCuda, image: bytes) -> None:
    engine = opened(cuda, image)
    batch = np.zeros((1, SIDE, SIDE, 3), np.uint8)
    engine.run(batch, ("mean",))
    fail("cuStreamSynchronize", 700)
    for _ in range(2):
        with pytest.raises(DeviceFailed, match="CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access"):
            engine.run(batch, ("mean",))
    engine.close()
    fail("", 0)


def test_the_process_ends_well() -> None:
    """A GPU's libraries have crashed processes that had done their work; see its exit code."""
    code = """
from rtface.engine.cuda import open_cuda
cuda = open_cuda()
active = cuda.active()
active.__enter__()
blocks = cuda.device(64), cuda.pinned(64)
graph = cuda.record(lambda: cuda.copy(*blocks, 64))
graph()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if "finds no NVIDIA GPU" in done.stderr or "cuda-bindings" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr

"""What works on this machine's GPU, step by step, each in a process of its own: a crash ends a step, not the report.

`rtface doctor --gpu` prints it; `python -m rtface.networks.gpu_check STEP` runs one step and prints its facts as JSON.
Nothing of the user is in it: no folder, no host, no picture.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

Facts = dict[str, Any]

PREFIXES = ("tensorrt", "cuda-", "nvidia-cuda", "nvidia-cudnn", "onnxruntime", "opencv", "numpy", "pycuda")
"""Beginnings of the names of the packages that matter."""

TIMES = 30
"""Runs that a time is the median of."""


def packages() -> Facts:
    """Versions of what is installed."""
    found = {dist.metadata["Name"].lower(): dist.version for dist in metadata.distributions()}
    return {name: version for name, version in sorted(found.items()) if name.startswith(PREFIXES)}


def gpu() -> Facts:
    """The GPU, its driver and free memory, and the Jetson's release and power mode."""
    from rtface.engine.cuda import gpu as facts_of
    from rtface.engine.cuda import on_jetson, open_cuda

    facts = facts_of()
    cuda = open_cuda()
    found: Facts = {
        "name": facts.name,
        "capability": facts.capability,
        "processors": facts.processors,
        "memory_mb": facts.memory_mb,
        "free_mb": cuda.free_mb(),
        "integrated": facts.integrated,
        "driver_cuda": facts.driver,
    }
    cuda.close()
    if on_jetson():
        found["jetson"] = _text("/etc/nv_tegra_release") or "without /etc/nv_tegra_release"
        found["power_mode"] = _text("/var/lib/nvpmodel/status")
    return found


def memory() -> Facts:
    """Copies there and back and through a graph, a recording that fails, and what each takes on the GPU."""
    from rtface.engine.cuda import CudaError, open_cuda, view

    cuda, size = open_cuda(), 8 * 128 * 128 * 3
    with cuda.active():
        there, here, back = cuda.device(size), cuda.pinned(size), cuda.pinned(size)
        pattern = np.random.default_rng(0).integers(0, 256, size, np.uint8)
        view(here, (size,), np.uint8)[:] = pattern

        def both() -> None:
            cuda.copy(there, here, size)
            cuda.copy(back, there, size)

        both()
        cuda.wait()
        copied = bool(np.array_equal(view(back, (size,), np.uint8), pattern))
        view(back, (size,), np.uint8)[:] = 0
        graph = cuda.record(both)
        graph()
        cuda.wait()
        by_graph = bool(np.array_equal(view(back, (size,), np.uint8), pattern))
        try:
            cuda.record(cuda.wait)
            failed = "a recording that waits does not fail"
        except CudaError as error:
            failed = str(error)
        both()
        cuda.wait()
        facts = {"copied": copied, "by_graph": by_graph, "failed_recording": failed, "goes_on": True}
        return {**facts, "bytes": size, "copies": timed(cuda, both), "graph": timed(cuda, graph)}


def crops(image: bytes | None = None) -> Facts:
    """The kernel that cuts faces out: compiled, as OpenCV does it, and how long for 1, 3 and 8 faces of 200 px."""
    from rtface.engine.crop_kernel import NAME, SOURCE, GpuCrops
    from rtface.engine.cuda import open_cuda, view
    from rtface.engine.nvrtc import compile_kernel
    from rtface.geometry.crop import Crop, warp_crops

    cuda = open_cuda()
    began = time.perf_counter()
    image = image or compile_kernel(SOURCE, NAME, cuda.capability)
    facts: Facts = {"compiled_ms": round((time.perf_counter() - began) * 1e3, 1)}
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (480, 640, 3), np.uint8)
    faces = [Crop(rng.uniform(100, 540), rng.uniform(100, 380), 200.0 + 40 * at, 15.0 * at) for at in range(8)]
    with cuda.active():
        sampler, size = GpuCrops(cuda, 128, image), 8 * 128 * 128 * 3
        there, here = cuda.device(size), cuda.pinned(size)
        sampler.put(frame, faces, there.device_address)
        cuda.copy(here, there, size)
        cuda.wait()
        steps = np.abs(view(here, (8, 128, 128, 3), np.uint8).astype(int) - warp_crops(frame, faces))
        facts |= {"largest_step": int(steps.max()), "share_that_differs": float((steps > 0).mean())}
        for count in (1, 3, 8):
            facts[f"{count} faces"] = timed(cuda, partial(sampler.put, frame, faces[:count], there.device_address))
    began = time.perf_counter()
    for _ in range(TIMES):
        warp_crops(frame, faces)
    facts["8 faces on the CPU"] = {"wall_ms": round((time.perf_counter() - began) / TIMES * 1e3, 4)}
    return facts


def tensorrt() -> Facts:
    """Which TensorRT is there, and whether it finds the driver."""
    from rtface.engine.trt_api import find_api, logger_of, must_make

    api = find_api()
    facts: Facts = {"module": api.__name__, "version": api.__version__}
    must_make("tensorrt", "the runtime", lambda: api.Runtime(logger_of(api)))
    must_make("tensorrt", "the builder", lambda: api.Builder(logger_of(api)))
    return {**facts, "runtime": True, "builder": True}


def plans() -> Facts:
    """Each plan in the cache that is for this machine: loaded, run, and how long it takes."""
    from rtface.engine.plan_cache import PlanCache, PlanKey

    cache, found = PlanCache(), dict[str, Any]()
    for facts in cache.listed():
        key = PlanKey(**{name: facts.get(name, "") for name in PlanKey.__slots__})
        plan = cache.load(key)
        if plan is None:
            continue
        label = f"{key.name} {key.precision} {key.tensorrt} {key.capability}"
        try:
            found[label] = _plan(plan, key.name)
        except Exception as error:
            found[label] = {"error": _line(error)}
    return found


def _plan(plan: bytes, name: str) -> Facts:
    """A plan's network on nothing, for one, three and eight faces, or one picture."""
    from rtface.engine.cuda import open_cuda
    from rtface.engine.tensorrt import TrtEngine

    shapes = [(1, 256, 320, 3)] if name == "detector" else [(rows, 128, 128, 3) for rows in (1, 3, 8)]
    engine, found = TrtEngine(plan, name, warm=shapes, cuda=open_cuda()), dict[str, Any]()
    try:
        engine.prepare()
        for shape in shapes:
            batch = np.zeros(shape, np.uint8)
            found[f"{shape[0]} rows"] = walled(partial(engine.run, batch, engine.outputs))
    finally:
        engine.close()
    return found


STEPS: dict[str, tuple[Callable[[], Facts], float]] = {
    "packages": (packages, 30),
    "gpu": (gpu, 30),
    "memory": (memory, 60),
    "crops": (crops, 60),
    "tensorrt": (tensorrt, 60),
    "plans": (plans, 300),
}
"""What is looked at, in this order, and the seconds that it may take."""


def timed(cuda: Any, work: Callable[[], object]) -> Facts:
    """What work takes on the GPU by its events, and by the clock with the wait for it; medians."""
    on_gpu, walls = [], []
    for _ in range(TIMES):
        began, mark = time.perf_counter(), cuda.mark()
        work()
        on_gpu += cuda.gaps_ms(mark, cuda.mark())
        walls.append((time.perf_counter() - began) * 1e3)
    return {"gpu_ms": round(median(on_gpu), 4), "wall_ms": round(median(walls), 4)}


def walled(work: Callable[[], object]) -> Facts:
    """What work takes by the clock; the median."""
    walls = []
    for _ in range(TIMES):
        began = time.perf_counter()
        work()
        walls.append((time.perf_counter() - began) * 1e3)
    return {"wall_ms": round(median(walls), 4)}


def report(steps: Sequence[str] = tuple(STEPS)) -> Iterator[tuple[str, Facts]]:
    """Each step's facts as it ends; `error` in them says why there are none."""
    for step in steps:
        yield step, apart([sys.executable, "-m", __name__, step], STEPS[step][1])


def apart(command: Sequence[str], limit_s: float) -> Facts:
    """What a process prints as JSON in its last line; what it died of otherwise."""
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return {"error": f"took longer than {limit_s:g} s"}
    lines = done.stdout.strip().splitlines()
    try:
        facts: Facts = json.loads(lines[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        facts = {"error": f"ended with {done.returncode}: {last[:300]}"}
    if done.returncode and "error" not in facts:  # it did its work and crashed at the end
        facts["exit_code"] = done.returncode
    return {**facts, "took_s": round(time.monotonic() - began, 2)}


def main(step: str) -> int:
    """Run a step here and print its facts."""
    try:
        facts = STEPS[step][0]()
    except Exception as error:
        facts = {"error": _line(error)}
    print(json.dumps(facts), flush=True)
    return 0


def _text(path: str) -> str | None:
    try:
        return " ".join(Path(path).read_text("utf-8", "replace").split())[:200]
    except OSError:
        return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))

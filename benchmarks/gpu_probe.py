"""Everything that can be learned in ten minutes on a machine with an NVIDIA GPU, also one without TensorRT.

    python benchmarks/gpu_probe.py                                  # prints a line a step, then one JSON line
    python benchmarks/gpu_probe.py --json benchmarks/results/gpu_probe.jsonl
    python benchmarks/gpu_probe.py --steps gpu leak copies          # only these
    python benchmarks/gpu_probe.py --peak fp16=165 --peak-gbs 1008  # and, where TensorRT is, benchmarks/gpu.py

Each step is a process of its own with a time limit, so that a crash or a driver that hangs ends one step. Needs
cuda-bindings and NVRTC (`pip install cuda-bindings nvidia-cuda-nvrtc`); a step that needs more says what. Steps:

  packages gpu memory crops tensorrt plans   those of `rtface doctor --gpu`
  exit       a process that used the GPU ends with 0
  leak       a thousand calls through the adapter keep no memory
  threads    a recording while other threads allocate, copy, and wait for the whole device
  copies     H2D and D2H by size, six copies against one, in a graph and not; making buffers
  frames     the crops of 640x480 and 1080p frames against uploading the whole frame
  floor      the networks of rtface.train in torch, fp16, in a CUDA graph: what TensorRT has to beat
  tests      pytest -m gpu: the adapter with a real kernel as its network, the crop kernel; with TensorRT, everything
  sanitizer  compute-sanitizer over the crop kernel's tests, where it is installed
  network    benchmarks/gpu.py, where TensorRT is and the card's peaks are given
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.networks import gpu_check
from rtface.networks.gpu_check import Facts, apart, timed, walled
from rtface.system import machine

SCHEMA = "rtface.gpu_probe/1"
ROOT = Path(__file__).resolve().parents[1]


def leave() -> Facts:
    """Use memory, a stream and a graph, and end."""
    from rtface.engine.cuda import open_cuda

    cuda = open_cuda()
    with cuda.active():
        there, here = cuda.device(4096), cuda.pinned(4096)
        cuda.record(lambda: cuda.copy(there, here, 4096))()
        cuda.wait()
    return {"left_open": "a stream, two blocks and a graph"}


def leak(calls: int = 1000) -> Facts:
    """Free memory before and after buffers, graphs and streams came and went."""
    from rtface.engine.cuda import open_cuda

    def once() -> None:
        cuda = open_cuda()
        with cuda.active():
            there, here = cuda.device(1 << 20), cuda.pinned(1 << 20)
            graph = cuda.record(lambda: cuda.copy(there, here, 1 << 20))
            graph()
            cuda.wait()
            graph.close()
            there.close()
            here.close()
        cuda.close()

    for _ in range(20):
        once()
    watch = open_cuda()
    before, began = watch.free_mb(), time.perf_counter()
    for _ in range(calls):
        once()
    took = (time.perf_counter() - began) * 1e3 / calls
    return {"calls": calls, "lost_mb": before - watch.free_mb(), "ms_a_call": round(took, 3)}


def threads(rounds: int = 50) -> Facts:
    """How many recordings survive what other threads do meanwhile."""
    from rtface.engine.cuda import open_cuda

    recorder, other, facts = open_cuda(), open_cuda(), dict[str, Any]()
    driver = other._driver

    def copying() -> None:
        there, here = other.device(4096), other.pinned(4096)
        other.copy(there, here, 4096)
        other.wait()
        there.close()
        here.close()

    for name, disturb in (("allocates and copies", copying), ("waits for the device", driver.cuCtxSynchronize)):
        stop = threading.Event()
        thread = threading.Thread(target=_again, args=(other, disturb, stop))
        thread.start()
        survived, error = _recorded(recorder, rounds)
        stop.set()
        thread.join()
        facts[f"while another thread {name}"] = f"{survived} of {rounds} recordings; {error or 'no error'}"
    return facts


def _again(cuda: Any, work: Callable[[], object], stop: threading.Event) -> None:
    with cuda.active():
        while not stop.is_set():
            work()


def _recorded(cuda: Any, rounds: int) -> tuple[int, str]:
    """How many recordings of twenty copies succeed, and the last error; the stream has to work afterwards."""
    from rtface.engine.cuda import CudaError

    survived, last = 0, ""
    with cuda.active():
        there, here = cuda.device(4096), cuda.pinned(4096)

        def twenty() -> None:
            for _ in range(20):
                cuda.copy(there, here, 4096)

        for _ in range(rounds):
            try:
                cuda.record(twenty).close()
                survived += 1
            except CudaError as error:
                last = str(error)
        twenty()
        cuda.wait()
    return survived, last


def copies() -> Facts:
    """What copies, launches and buffers cost."""
    from rtface.engine.cuda import open_cuda

    cuda, facts = open_cuda(), dict[str, Any]()
    with cuda.active():
        for size in (4096, 49152, 393216):
            there, here = cuda.device(size), cuda.pinned(size)
            facts[f"H2D {size}"] = timed(cuda, partial(cuda.copy, there, here, size))
            facts[f"D2H {size}"] = timed(cuda, partial(cuda.copy, here, there, size))
        blocks = [(cuda.pinned(16384), cuda.device(16384)) for _ in range(6)]
        packed = cuda.pinned(6 * 16384), cuda.device(6 * 16384)

        def six() -> None:
            for here, there in blocks:
                cuda.copy(here, there, 16384)

        def one() -> None:
            cuda.copy(*packed, 6 * 16384)

        for name, work in (("six copies back", six), ("one copy back", one)):
            facts[name] = timed(cuda, work)
            facts[f"{name}, in a graph"] = timed(cuda, cuda.record(work))
        facts["nothing"] = timed(cuda, lambda: None)
        began = time.perf_counter()
        for _ in range(50):
            cuda.device(393216).close()
        facts["device buffer"] = {"wall_ms": round((time.perf_counter() - began) * 20, 4)}
        began = time.perf_counter()
        for _ in range(50):
            cuda.pinned(393216).close()
        facts["pinned buffer"] = {"wall_ms": round((time.perf_counter() - began) * 20, 4)}
    return facts


def frames() -> Facts:
    """Crops of 1, 3 and 8 faces by the kernel with the parts they need, against uploading the whole frame."""
    from rtface.engine.crop_kernel import GpuCrops
    from rtface.engine.cuda import open_cuda
    from rtface.geometry.crop import Crop, warp_crops

    cuda, facts, rng = open_cuda(), dict[str, Any](), np.random.default_rng(0)
    with cuda.active():
        sampler = GpuCrops(cuda, 128)
        there = cuda.device(8 * 128 * 128 * 3)
        for width, height, side in ((640, 480, 120.0), (1920, 1080, 300.0)):
            frame = rng.integers(0, 256, (height, width, 3), np.uint8)
            here, whole = cuda.pinned(frame.nbytes), cuda.device(frame.nbytes)
            label = f"{width}x{height}"
            facts[f"{label} whole"] = timed(cuda, partial(cuda.copy, whole, here, frame.nbytes))
            for count in (1, 3, 8):
                middles = zip(
                    rng.uniform(side, width - side, count), rng.uniform(side, height - side, count), strict=True
                )
                crops = [Crop(float(x), float(y), side) for x, y in middles]
                on_gpu = timed(cuda, partial(sampler.put, frame, crops, there.device_address))
                on_cpu = walled(partial(warp_crops, frame, crops))
                facts[f"{label} {count} faces"] = {**on_gpu, "cpu_ms": on_cpu["wall_ms"]}
    return facts


def floor() -> Facts:
    """The networks in torch, fp16, channels last, in a CUDA graph, by events."""
    import torch

    if not torch.cuda.is_available():
        return {"error": "torch finds no GPU"}
    cuda: Any = torch.cuda  # its types are half there
    facts: Facts = {"torch": torch.__version__}
    for label, network, shape in networks():
        given = torch.zeros(shape, dtype=torch.float16, device="cuda")
        network, stream, times = network.cuda(), cuda.Stream(), []
        with torch.inference_mode(), torch.autocast("cuda", torch.float16), cuda.stream(stream):
            for _ in range(3):
                network(given)
            stream.synchronize()
            graph = cuda.CUDAGraph()
            with cuda.graph(graph, stream=stream):
                network(given)
            for _ in range(100):
                began, ended = (cuda.Event(enable_timing=True) for _ in range(2))
                began.record(stream)
                graph.replay()
                ended.record(stream)
                ended.synchronize()
                times.append(began.elapsed_time(ended))
        facts[label] = {"gpu_ms": round(median(times), 4)}
    return facts


def networks() -> list[tuple[str, Any, tuple[int, ...]]]:
    """Label, network with weights in fp16 and the shape of its input; fresh weights cost what trained ones do.

    To be run under autocast, as some heads compute in float32.
    """
    import torch

    from rtface.train.nets.ifan import EngineExport, EngineNet
    from rtface.train.nets.mos import DetectorExport, DetectorNet

    engine, detector = EngineExport(EngineNet(), 0), DetectorExport(DetectorNet())
    for network in (engine, detector):
        network.eval().half()
        network._apply(lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t)  # type: ignore[no-untyped-call]
    made = [(f"{count} faces", engine, (count, 128, 128, 3)) for count in (1, 2, 4, 8)]
    return [*made, ("detector", detector, (1, 256, 320, 3))]


STEPS: dict[str, tuple[Callable[[], Facts], float]] = {
    **gpu_check.STEPS,
    "exit": (leave, 30),
    "leak": (leak, 90),
    "threads": (threads, 60),
    "copies": (copies, 60),
    "frames": (frames, 60),
    "floor": (floor, 120),
}
"""Those that are functions here, and the seconds that each may take."""


def commands(args: argparse.Namespace) -> dict[str, tuple[list[str], float]]:
    """Every step in its order: its command line and its limit."""
    me = [sys.executable, str(Path(__file__).resolve())]
    found = {step: ([*me, "--step", step], limit) for step, (_, limit) in STEPS.items()}
    pytest = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", str(ROOT / "tests/gpu")]
    found["tests"] = [*me, "--ran", *pytest], 240
    if sanitizer := shutil.which("compute-sanitizer"):
        test = str(ROOT / "tests/gpu/test_crop_kernel.py")
        found["sanitizer"] = [*me, "--ran", sanitizer, "--error-exitcode", "9", *pytest[:-1], test], 240
    if args.peak:
        peaks = [part for peak in args.peak for part in ("--peak", peak)]
        precisions = [peak.partition("=")[0] for peak in args.peak]
        gpu = [sys.executable, str(ROOT / "benchmarks/gpu.py"), *peaks, "--peak-gbs", args.peak_gbs]
        found["network"] = [*gpu, "--precision", *precisions], 600
    return found


def ran(command: Sequence[str]) -> Facts:
    """Whether a program ended well, and its last line."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    last = (done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or [""])[-1]
    facts = {"ended_with": done.returncode, "said": last[:300]}
    if done.returncode:
        facts["error"] = "\n".join((done.stdout + done.stderr).splitlines()[-30:])[-3000:]
    return facts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", nargs="+", metavar="STEP", help="only these")
    parser.add_argument("--peak", action="append", default=[], metavar="PRECISION=TFLOPS", help="see benchmarks/gpu.py")
    parser.add_argument("--peak-gbs", default="1000", metavar="GB/S", help="the card's memory peak")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    parser.add_argument("--step", help=argparse.SUPPRESS)
    parser.add_argument("--ran", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step or args.ran:
        try:
            facts = STEPS[args.step][0]() if args.step else ran(args.ran)
        except Exception as error:
            facts = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:500]}
        print(json.dumps(facts), flush=True)
        return 0
    known = commands(args)
    if unknown := [step for step in args.steps or () if step not in known]:
        parser.error(f"no step {unknown[0]!r}; there are {', '.join(known)}")
    found: dict[str, Facts] = {}
    for step in args.steps or known:
        found[step] = apart(*known[step])
        print(f"{step:<10} {json.dumps(found[step])[:400]}", file=sys.stderr, flush=True)
    line = json.dumps({"schema": SCHEMA, "steps": found, "machine": machine.facts()})
    print(line)
    if args.json:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    return 4 if all("error" in found[step] for step in found if step != "packages") else 0


if __name__ == "__main__":
    sys.exit(main())

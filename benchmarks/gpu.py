"""TensorRT on this machine's GPU: every number of faces, part by part, with CUDA graphs and without, beside a roofline.

    python benchmarks/gpu.py --peak fp32=83 --peak fp16=165 --peak int8=661 --peak-gbs 1008

The peaks are the card's, from its data sheet. Needs an NVIDIA GPU, TensorRT (or TensorRT-RTX) and cuda-bindings; says
what is missing and ends with its exit code. `wall` is one call of the network with all its copies, as a frame waits
for it; `two at a time` is what a call takes when the next begins before its answers are read, as with several
cameras; the parts are by the GPU's own events, so that a call bound by launches is told from one bound by arithmetic.
The roofline takes the network's multiply-adds and weight bytes from its graph and leaves activations out of the
traffic: the share is of the higher of two bounds that no card can beat. `paper` is what was estimated before anything
ran on a GPU. Prints a table, then one JSON line. Has not been run on a GPU yet; benchmarks/gpu_probe.py runs it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.engine.cuda import gpu as gpu_facts
from rtface.engine.plan_cache import PlanCache
from rtface.engine.tensorrt import TrtEngine
from rtface.engine.tickets import Ticket
from rtface.errors import RtfaceError
from rtface.geometry.crop import Crop, warp_crops
from rtface.models import find
from rtface.networks.profiles import read_profile
from rtface.networks.tensorrt import make_plan
from rtface.options import Options
from rtface.precision.convert import convert
from rtface.system import machine

SCHEMA = "rtface.gpu/2"
FACES = tuple(range(1, 9))
WARM_UP = 20

PAPER_MS = {
    "H200": {"1 faces": 0.17, "8 faces": 0.23, "detector": 0.17},
    "RTX 4060": {"1 faces": 0.20, "8 faces": 0.43, "detector": 0.25},
    "Orin": {"1 faces": 0.62, "8 faces": 1.72, "detector": 0.93},
}
"""Milliseconds of a call as estimated before there was a GPU: kernels in a graph, copies, launch and wait; fp16."""


def work_of(model: bytes) -> tuple[float, float]:
    """Multiply-adds of one face, and bytes of weights as stored, of the convolutions and matrices of a network."""
    import onnx

    graph = onnx.shape_inference.infer_shapes(onnx.load_from_string(model)).graph
    stored = {tensor.name: tensor for tensor in graph.initializer}
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in graph.value_info}
    for node in graph.node:  # a weight may lie behind a change of its type
        if node.op_type in ("Cast", "DequantizeLinear") and node.input[0] in stored:
            stored[node.output[0]] = stored[node.input[0]]
    adds, sizes = 0.0, {}
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul") and node.input[1] in stored:
            weight = stored[node.input[1]]
            count = float(np.prod(weight.dims))
            # of what is computed once for every weight: pixels out, or, where one is spread, pixels in
            at = node.input[0] if node.op_type == "ConvTranspose" else node.output[0]
            adds += count * float(np.prod(shapes[at][2:]))
            # a round of interaction uses weights again
            sizes[weight.name] = count * onnx.helper.tensor_dtype_to_np_dtype(weight.data_type).itemsize
    return adds, sum(sizes.values())


def measure(precision: str, args: argparse.Namespace) -> dict[str, Any]:
    """One precision's figures: the multi-task network for every number of faces, and the detector."""
    profile = read_profile(f"desktop-{'int8' if precision == 'int8' else 'fp16'}")
    rows: dict[str, Any] = {}
    for role in ("engine", "detector"):
        model = find(role, args.iterations if role == "engine" else None, "fp32")
        key, _ = make_plan(model, precision, profile, Options(precision=precision))
        plan = PlanCache().load(key)
        assert plan is not None
        adds, size = work_of(convert(model, precision))
        shapes = {f"{faces} faces": (faces, 128, 128, 3) for faces in FACES}
        if role == "detector":
            shapes = {"detector": (1, 256, 320, 3)}
        for graphs in (True, False):
            engine = TrtEngine(plan, model.name, warm=list(shapes.values()), graphs=graphs, crops=role == "engine")
            engine.prepare()
            rows["runs on"] = engine.describe()
            for label, shape in shapes.items():
                wall = walls(partial(engine.run, noise(shape), engine.outputs), args.calls)
                if not graphs:
                    rows[label]["wall_without_graph_ms"] = wall["p50_ms"]
                    continue
                bound_ms = max(2 * adds * shape[0] / (args.peaks[precision] * 1e9), size / (args.peak_gbs * 1e6))
                if role == "detector":  # its sides are open, so its graph does not say how much it computes
                    bound_ms = size / (args.peak_gbs * 1e6)
                rows[label] = {
                    **wall,
                    **{f"{part}_ms": round(took, 4) for part, took in engine.spans_ms(shape).items()},
                    "two_under_way_ms": overlapped(engine, noise(shape), args.calls),
                    "roofline_share": round(bound_ms / wall["p50_ms"], 4),
                }
                if engine.crops_itself(shape[0]):
                    rows[label]["from_frame_ms"] = from_frame(engine, shape[0], args.calls)
            engine.close()
    return rows


def from_frame(engine: TrtEngine, count: int, calls: int) -> dict[str, float]:
    """Faces of 200 px of a 640x480 frame, cut out on the GPU and on the CPU, network and all; medians, ms."""
    rng, out = np.random.default_rng(count), np.empty((count, 128, 128, 3), np.uint8)
    frame = noise((480, 640, 3))
    crops = [Crop(rng.uniform(100, 540), rng.uniform(100, 380), 200.0, rng.uniform(-20, 20)) for _ in range(count)]
    return {
        "gpu": walls(lambda: engine.run_crops(frame, crops, engine.outputs), calls)["p50_ms"],
        "cpu": walls(lambda: engine.run(warp_crops(frame, crops, out), engine.outputs), calls)["p50_ms"],
    }


def overlapped(engine: TrtEngine, batch: NDArray[np.uint8], calls: int) -> float:
    """What a call takes when the next begins before its answers are read; the mean, ms."""
    under_way: deque[Ticket] = deque()
    for call in range(calls + WARM_UP):
        if call == WARM_UP:
            began = time.perf_counter()
        under_way.append(engine.submit(batch, engine.outputs))
        if len(under_way) > 1:
            under_way.popleft().collect()
    under_way.popleft().collect()
    return round((time.perf_counter() - began) * 1e3 / calls, 4)


def noise(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """An input."""
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def walls(work: Callable[[], object], calls: int) -> dict[str, float]:
    """What a call takes by the clock."""
    times = []
    for call in range(calls + WARM_UP):
        began = time.perf_counter()
        work()
        if call >= WARM_UP:
            times.append((time.perf_counter() - began) * 1e3)
    return {f"p{share}_ms": round(float(np.percentile(times, share)), 4) for share in (50, 99)}


def paper(gpu: str, label: str) -> str:
    """The estimate for a card whose name holds one of those that were estimated."""
    found = (figures for name, figures in PAPER_MS.items() if name.lower() in gpu.lower())
    return str(next(found, {}).get(label, ""))


def shown(gpu: str, runs: dict[str, dict[str, Any]]) -> str:
    """The figures as a table, ms."""
    columns = ("p50_ms", "p99_ms", "wall_without_graph_ms", "two_under_way_ms")
    parts = ("copy_in_ms", "network_ms", "copy_out_ms", "graph_ms")
    head = ("wall", "p99", "no graph", "two at a time", "in", "network", "out", "graph", "roofline", "paper")
    rows = []
    for precision, run in runs.items():
        for label, figures in run.items():
            if "p50_ms" in figures:
                cells = [figures.get(key, "") for key in (*columns, *parts, "roofline_share")]
                estimate = paper(gpu, label) if precision == "fp16" else ""
                rows.append([precision, label, *map(str, cells), estimate])
    return table(("", "ms", *head), rows)


def peak(text: str) -> tuple[str, float]:
    """`fp16=165` as a pair; raises ValueError where it is none."""
    precision, _, value = text.partition("=")
    return precision, float(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--peak",
        action="append",
        default=[],
        type=peak,
        metavar="PRECISION=TFLOPS",
        help="the card's peak in 1e12 dense operations a second (a multiply-add is two), one a precision",
    )
    parser.add_argument("--peak-gbs", type=float, required=True, help="the card's memory peak, GB/s")
    parser.add_argument("--calls", type=int, default=500, help="calls a batch size (default: %(default)s)")
    parser.add_argument("--iterations", type=int, default=0, choices=(0, 1, 2), help="ITER (default: %(default)s)")
    parser.add_argument("--precision", nargs="+", default=["fp32", "fp16", "int8"], help="default: all three")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    args = parser.parse_args()
    args.peaks = dict(args.peak)
    if missing := [precision for precision in args.precision if precision not in args.peaks]:
        parser.error(f"the roofline needs the card's peak: --peak {missing[0]}=TFLOPS, of its data sheet")
    try:
        gpu = gpu_facts()
        runs = {precision: measure(precision, args) for precision in args.precision}
    except RtfaceError as error:
        print(f"benchmarks/gpu.py measured nothing: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    record = {"schema": SCHEMA, "gpu": gpu.name, "runs": runs, "machine": machine.facts()}
    print(gpu.name)
    print(shown(gpu.name, runs))
    line = json.dumps(record)
    print(line)
    if args.json:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()

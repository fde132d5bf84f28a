"""TensorRT on this machine's GPU: latency for 1, 4 and 8 faces, throughput, and the share of the roofline.

    python benchmarks/gpu.py --peak fp32=83 --peak fp16=165 --peak int8=661 --peak-gbs 1008

The peaks are the card's, from its data sheet. Needs an NVIDIA GPU, TensorRT (or TensorRT-RTX) and cuda-core; says what
is missing and ends with its exit code. Latency is one call of the multi-task network, copies in and out and CUDA graph
included. The roofline takes the network's multiply-adds and weight bytes from its graph, so it leaves activations out
of the traffic: the share is of the higher of two bounds that no card can beat. Prints a table, then one JSON line. Has
not been run on a GPU yet.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.engine.cuda import open_cuda
from rtface.engine.plan_cache import PlanCache
from rtface.engine.tensorrt import TrtEngine
from rtface.errors import RtfaceError
from rtface.models import find
from rtface.networks.profiles import read_profile
from rtface.networks.tensorrt import make_plan
from rtface.options import Options
from rtface.precision.convert import derive
from rtface.system import machine

SCHEMA = "rtface.gpu/1"
FACES = (1, 4, 8)


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
    """One precision's figures."""
    options, model = Options(precision=precision), find("engine", args.iterations, "fp32")
    key, _ = make_plan(model, precision, read_profile(f"desktop-{'int8' if precision == 'int8' else 'fp16'}"), options)
    plan = PlanCache().load(key)
    assert plan is not None
    adds, size = work_of(derive(model, precision))
    engine = TrtEngine(plan, model.name)
    rows: dict[str, Any] = {"engine": engine.describe(), "multiply_adds": adds, "weight_bytes": size}
    for faces in FACES:
        batch = np.random.default_rng(0).integers(0, 256, (faces, 128, 128, 3), np.uint8)
        times = []
        for call in range(args.calls + 20):
            began = time.perf_counter()
            engine.run(batch, engine.outputs)
            if call >= 20:
                times.append((time.perf_counter() - began) * 1e3)
        bound_ms = max(2 * adds * faces / (args.peaks[precision] * 1e9), size / (args.peak_gbs * 1e6))
        rows[f"{faces} faces"] = {
            "p50_ms": round(float(np.percentile(times, 50)), 4),
            "p99_ms": round(float(np.percentile(times, 99)), 4),
            "faces_per_s": round(faces / float(np.mean(times)) * 1e3, 1),
            "roofline_share": round(bound_ms / float(np.percentile(times, 50)), 4),
        }
    engine.close()
    return rows


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
        gpu = open_cuda()
        runs = {precision: measure(precision, args) for precision in args.precision}
    except RtfaceError as error:
        print(f"benchmarks/gpu.py measured nothing: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    record = {"schema": SCHEMA, "gpu": gpu.name, "runs": runs, "machine": machine.facts()}
    rows = [
        (precision, label, *(f"{run[label][key]:.4g}" for key in ("p50_ms", "p99_ms", "faces_per_s", "roofline_share")))
        for precision, run in runs.items()
        for label in (f"{faces} faces" for faces in FACES)
    ]
    print(gpu.name)
    print(table(("", "batch", "p50 ms", "p99 ms", "faces/s", "of the roofline"), rows))
    line = json.dumps(record)
    print(line)
    if args.json:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()

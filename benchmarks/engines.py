"""Every engine and precision that this machine runs, on 1, 3 and 8 faces, in turns within one run.

    python benchmarks/engines.py                      # prints a table, then one JSON line
    python benchmarks/engines.py --threads 1
    python benchmarks/engines.py --json benchmarks/results/engines.jsonl

What is timed is one call of the multi-task network with all faces in a batch, and one of the detector at its stream
size. Each runner is a process of its own that idles while the others work, so that no engine's threads slow another's;
they take turns block by block, and the first block of each is warm-up. CPU time is that of the process over the block,
all threads together. The accuracy delta of a runner is what its gate measured (`calibration/gates.json`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.engine import Preparable
from rtface.errors import RtfaceError
from rtface.models import find
from rtface.networks.selection import Catalogue
from rtface.networks.speeds import installed_backends
from rtface.options import Options
from rtface.system import machine

SCHEMA = "rtface.engines/1"
FACES = (1, 3, 8)
WORKLOADS = (*(f"{count} faces" for count in FACES), "detector")


def batch_of(workload: str) -> tuple[str, np.ndarray]:
    """The role of the network, and what it is fed."""
    rng = np.random.default_rng(0)
    if workload == "detector":
        return "detector", rng.integers(0, 256, (1, 256, 320, 3), np.uint8)
    return "engine", rng.integers(0, 256, (int(workload.split()[0]), 128, 128, 3), np.uint8)


def runners() -> list[tuple[str, str]]:
    """Engine and precision of everything to try; what does not start is said and left out."""
    import onnxruntime

    found = [("onnx", "fp32"), ("onnx", "int8")]
    if "openvino" in installed_backends():
        found += [("openvino", "fp32"), ("openvino", "fp16"), ("openvino", "int8")]
    if "trt" in installed_backends():
        found += [("trt", "fp32"), ("trt", "fp16"), ("trt", "int8")]
    providers = onnxruntime.get_available_providers()
    if "CUDAExecutionProvider" in providers:
        found.append(("onnx-cuda", "fp32"))
    if "TensorrtExecutionProvider" in providers:
        found.append(("onnx-trt", "fp32"))
    return found


def work(engine: str, precision: str, threads: int | None, iterations: int) -> None:
    """The child: opens both networks, then answers each line on stdin, [workload, calls], by its times."""
    from rtface.networks.open import open_network
    from rtface.networks.selection import select

    options = Options(engine=engine, precision=precision, threads=threads, iterations=iterations)
    try:
        chosen = select(options)
        networks = {one.role: open_network(one, options)[0] for one in (chosen.multitask, chosen.detector)}
        for network in networks.values():
            getattr(network, "wait", lambda: None)()  # a plan that is being built
            if isinstance(network, Preparable):
                network.prepare(network.outputs)
    except RtfaceError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"runs": networks["engine"].describe()}), flush=True)
    batches = {workload: batch_of(workload) for workload in WORKLOADS}
    for line in sys.stdin:
        workload, calls = json.loads(line)
        role, batch = batches[workload]
        times, cpu = [], time.process_time()
        for _ in range(calls):
            began = time.perf_counter()
            networks[role].run(batch, networks[role].outputs)
            times.append((time.perf_counter() - began) * 1e3)
        cpu = (time.process_time() - cpu) * 1e3 / calls
        memory = {"rss_mb": machine.resident_mb(), "peak_mb": machine.peak_resident_mb()}
        print(json.dumps({"ms": times, "cpu_ms": cpu, **memory}), flush=True)


class Runner:
    """A child process, and what it answered."""

    def __init__(self, engine: str, precision: str, args: argparse.Namespace) -> None:
        self.engine, self.precision = engine, precision
        self._command = [sys.executable, __file__, "--work", engine, precision, "--iterations", str(args.iterations)]
        self._command += [] if args.threads is None else ["--threads", str(args.threads)]
        self.blocks: dict[str, list[dict[str, Any]]] = {workload: [] for workload in WORKLOADS}

    def start(self) -> dict[str, Any]:
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        return self._answer()

    def block(self, workload: str, calls: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([workload, calls]) + "\n")
        self._process.stdin.flush()
        self.blocks[workload].append(self._answer())

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return dict(json.loads(line)) if line else {"error": "ended"}

    def record(self, workload: str) -> dict[str, Any]:
        blocks = self.blocks[workload][1:]
        times = np.concatenate([block["ms"] for block in blocks])
        return {
            "median_ms": round(float(np.median(times)), 3),
            "p95_ms": round(float(np.percentile(times, 95)), 3),
            "cpu_ms": round(float(np.median([block["cpu_ms"] for block in blocks])), 3),
            "calls": len(times),
        }


def accuracy(engine: str, precision: str, iterations: int) -> dict[str, Any] | None:
    """What the gate measured of both networks: figure → loss; None = fp32, or never measured."""
    losses: dict[str, Any] = {}
    options = Options(iterations=iterations)
    catalogue = Catalogue.read(options)
    for role in ("engine", "detector"):
        gate = catalogue.gate(role, engine, precision, options)
        losses.update({head["name"]: head["loss"] for head in gate.heads} if gate else {})
    return losses or None


def race(args: argparse.Namespace) -> dict[str, Any]:
    """Run everything in turns; the JSON record."""
    facts, runs, errors = machine.facts(), {}, {}
    with ExitStack() as stack:
        racing: list[Runner] = []
        for engine, precision in runners():
            runner = Runner(engine, precision, args)
            stack.callback(runner.stop)
            answer = runner.start()
            if "error" in answer:
                errors[f"{engine} {precision}"] = answer["error"]
                print(f"{engine} {precision}: left out: {answer['error']}", file=sys.stderr)
                continue
            runs[f"{engine} {precision}"] = {"runs": answer["runs"]}
            racing.append(runner)
        for block in range(args.blocks + 1):
            for workload in WORKLOADS:
                for runner in racing if block % 2 else reversed(racing):
                    runner.block(workload, args.calls)
        for runner in racing:
            run = runs[f"{runner.engine} {runner.precision}"]
            run.update({workload: runner.record(workload) for workload in WORKLOADS})
            run["rss_mb"] = runner.blocks[WORKLOADS[-1]][-1]["rss_mb"]
            run["peak_mb"] = round(runner.blocks[WORKLOADS[-1]][-1]["peak_mb"], 1)
            run["accuracy_loss"] = accuracy(runner.engine, runner.precision, args.iterations)
    models = [find("engine", args.iterations, "fp32"), find("detector", None, "fp32")]
    return {
        "schema": SCHEMA,
        "threads": args.threads,
        "iterations": args.iterations,
        "models": {model.name: model.sha256 for model in models},
        "runs": runs,
        "left_out": errors,
        "machine": facts,
    }


def text(record: dict[str, Any]) -> str:
    """The record for people."""
    rows = []
    for name, run in record["runs"].items():
        cells = [f"{run[w]['median_ms']:.2f} / {run[w]['p95_ms']:.2f} / {run[w]['cpu_ms']:.1f}" for w in WORKLOADS]
        loss = run["accuracy_loss"]
        told = "-" if loss is None else ", ".join(f"{key.split()[0]} {value:+.2f}" for key, value in loss.items())
        memory = "-" if run["rss_mb"] is None else f"{run['rss_mb']:.0f}"
        rows.append((name, *cells, memory, told))
    head = ("median / p95 / CPU ms", *WORKLOADS, "RSS MB", "loss against fp32")
    facts = record["machine"]
    where = f"{facts['cpu']}, {facts['cores']} cores, load {facts['load_1min']}; ITER {record['iterations']}"
    return f"{where}\n{table(head, rows)}"


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=8, help="blocks that count (default: %(default)s)")
    parser.add_argument("--calls", type=int, default=12, help="calls a block (default: %(default)s)")
    parser.add_argument("--threads", type=int, help="threads of each engine (default: the engine's)")
    parser.add_argument("--iterations", type=int, default=0, choices=(0, 1, 2), help="ITER (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="append the JSON line to this file too")
    parser.add_argument("--work", nargs=2, metavar=("ENGINE", "PRECISION"), help=argparse.SUPPRESS)
    return parser.parse_args(given)


def main() -> None:
    args = arguments()
    if args.work:
        engine, precision = args.work
        work(engine, precision, args.threads, args.iterations)
        return
    record = race(args)
    line = json.dumps(record)
    print(text(record))
    print(line)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        with args.json.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


if __name__ == "__main__":
    main()

"""How fast training feeds and learns: samples a second of the loader alone, of the step alone, and of both.

    python -m benchmarks.training --data corpus --seconds 20            # needs: pip install 'rtface[train]'
    python -m benchmarks.training --data corpus --workers 0 --workers 1 --json training.jsonl
    python -m benchmarks.training --data corpus --workers 15 --batch 512 --device cuda

The multi-task network at 128 px without interaction, with the losses and the batch of `rtface train engine`.

- loader: batches are drawn, cut, augmented and thrown away; ``--workers`` N processes, 0 = a thread of this one.
- step: one batch, learned again and again: forward, losses, backward, AdamW, average; with ``--compile`` also by a
  network that torch.compile made (`rtface train engine --compile`).
- both: as in training; "waiting" is the share of that time in which the step waited for its batch.

The arms take turns (``--rounds``), so that other work on the machine meets all of them; a figure is the median of its
rounds. "A CPU second" counts the processor time of this process alone, which other work on the machine changes little.
With the step's floating-point operations and the speed of large matrix products on the same threads it also prints how
many samples a second could be learned at best. Prints tables, then one JSON line.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

# Run as a script, Python looks for imports in this folder only.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rtface.bench.report import table
from rtface.geometry.crop import CROP_SIZE
from rtface.system import machine
from rtface.train.compiling import compile_network
from rtface.train.config import RunConfig
from rtface.train.data.mixed import grouped_samples
from rtface.train.data.samples import teaches
from rtface.train.losses import Targets, engine_losses
from rtface.train.nets.ifan import EngineNet, Rows
from rtface.train.run import Run, Schedule, autocast, load, optimizer, pick_device, prepare
from rtface.train.sampling import Sampler
from rtface.train.sources import of_folder

SCHEMA = "rtface.training-speed/1"
WARM = 2  # batches that are not timed
Batches = Generator[tuple[torch.Tensor, Targets], None, None]


class Speed(NamedTuple):
    """Samples a second and a second of the CPU, and the share of the time in which a step waited for its batch."""

    per_second: float
    per_cpu_second: float
    waiting: float = 0.0


class Step:
    """One step of the training: call it with a batch."""

    def __init__(self, folder: Path, device: torch.device, rows: Rows | None = None) -> None:
        net = EngineNet().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.net, self.device, self._rows = net, device, rows
        if rows is not None:
            compile_network(net, device)
        self._run = Run(folder, net, optimizer(net, 1e-4), Schedule(1e-4, steps=10**9))

    def __call__(self, images: torch.Tensor, targets: Targets) -> None:
        rows, targets = self._rows or targets.rows(), targets.to(self.device)
        self.net.train()
        with autocast(self.device):
            outputs = self.net(images.to(self.device, non_blocking=True), 0, rows=rows)
        self._run.update(engine_losses(outputs, targets), len(images))

    def finish(self) -> None:
        """Wait until the device has done it."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def timed(batches: Batches, use: Callable[[torch.Tensor, Targets], None], done: Callable[[], None], s: float) -> Speed:
    """Take and use batches for `s` seconds."""
    for _ in range(WARM):
        use(*next(batches))
    done()
    start, cpu, count, waited = time.perf_counter(), time.process_time(), 0, 0.0
    while (now := time.perf_counter()) - start < s:
        images, targets = next(batches)
        waited += time.perf_counter() - now
        use(images, targets)
        count += len(images)
    done()
    spent = time.perf_counter() - start
    return Speed(count / spent, count / (time.process_time() - cpu), waited / spent)


def roofline(step: Step, batch: tuple[torch.Tensor, Targets]) -> dict[str, float]:
    """GFLOP a sample, as torch counts them; GFLOP/s of products of large matrices; samples/s at that speed."""
    with FlopCounterMode(display=False) as counter:
        step(*batch)
    each = counter.get_total_flops() / len(batch[0]) / 1e9
    side, speeds = 2048, []
    left, right = (torch.randn(side, side, device=step.device) for _ in range(2))
    with autocast(step.device):
        for _ in range(8):
            step.finish()
            start = time.perf_counter()
            left @ right
            step.finish()
            speeds.append(2 * side**3 / 1e9 / (time.perf_counter() - start))
    return {"gflop_a_sample": each, "gflops": max(speeds), "samples_per_second_at_best": max(speeds) / each}


def measure(
    sampler: Sampler, steps: dict[str, Step], workers: Sequence[int], seconds: float, rounds: int
) -> dict[str, Speed]:
    """The median speed of each arm."""
    found: dict[str, list[Speed]] = {}
    step = steps["step"]

    def loaded(count: int) -> Batches:
        return load(sampler, 0, lambda: CROP_SIZE, count, pinned=step.device.type == "cuda")

    for _ in range(rounds):
        for count in workers:
            arms: tuple[tuple[str, Callable[[torch.Tensor, Targets], None]], ...] = (
                (f"loader, {count} workers", lambda images, targets: None),
                (f"both, {count} workers", step),
            )
            for name, use in arms:
                batches = loaded(count)
                found.setdefault(name, []).append(timed(batches, use, step.finish, seconds))
                batches.close()
        for name, one in steps.items():
            found.setdefault(name, []).append(timed(_same(sampler), one, one.finish, seconds))
    return {
        name: Speed(*(statistics.median(values) for values in zip(*some, strict=True))) for name, some in found.items()
    }


def _same(sampler: Sampler) -> Batches:
    batch = sampler(0, CROP_SIZE)
    while True:
        yield batch


def record(args: argparse.Namespace, speeds: dict[str, Speed], best: dict[str, float]) -> dict[str, Any]:
    """The JSON line."""
    device = pick_device(args.device)
    return {
        "schema": SCHEMA,
        "batch": args.batch,
        "threads": args.threads,
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "samples_per_second": {name: round(speed.per_second, 1) for name, speed in speeds.items()},
        "samples_per_cpu_second": {n: round(s.per_cpu_second, 1) for n, s in speeds.items() if alone(n)},
        "roofline": {name: round(value, 3) for name, value in best.items()},
        "waiting": {name: round(speed.waiting, 3) for name, speed in speeds.items() if name.startswith("both")},
        "peak_mb": machine.peak_resident_mb(),
        "device_peak_mb": round(torch.cuda.max_memory_allocated(device) / 1e6) if device.type == "cuda" else None,
        "machine": machine.facts(),
    }


def alone(arm: str) -> bool:
    """Whether this process does all of an arm's work."""
    return arm.endswith(" 0 workers") or arm.startswith("step")


def text(speeds: dict[str, Speed], line: dict[str, Any]) -> str:
    """The table for people."""
    rows = [
        (
            name,
            f"{speed.per_second:.0f}",
            f"{speed.per_cpu_second:.0f}" if alone(name) else "",
            f"{speed.waiting:.0%}" if name.startswith("both") else "",
        )
        for name, speed in speeds.items()
    ]
    best = line["roofline"]
    limit = (
        f"{best['gflop_a_sample']:.3f} GFLOP a sample, large matrix products at {best['gflops']:.0f} GFLOP/s: "
        f"{best['samples_per_second_at_best']:.0f} samples/s at best"
    )
    memory = f"memory at most {line['peak_mb']} MB; machine's load {line['machine']['load_1min']}"
    return "\n".join([table(("", "samples/s", "a CPU second", "waiting"), rows), limit, memory])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line's, by default the process's own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="FOLDER", help="corpus files")
    parser.add_argument("--cache", type=Path, default=Path.home() / ".cache/rtface/corpus", help="decoded pixels")
    parser.add_argument("--batch", type=int, default=64, help="samples a step (default: %(default)s)")
    parser.add_argument("--workers", type=int, action="append", metavar="N", help="processes; repeatable; default 0")
    parser.add_argument("--threads", type=int, default=machine.usable_cores(), help="of torch (default: all cores)")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--compile", action="store_true", help="measure a compiled network's step too")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each arm in each round (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="the JSON line to a file too")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> None:
    """Measure and print."""
    args = arguments(given)
    with tempfile.TemporaryDirectory() as folder:
        prepare(RunConfig(args.data, Path(folder), args.cache, threads=args.threads))
        sampler = Sampler(grouped_samples(of_folder(args.data, teaches), args.cache), args.batch, seed=0)
        device = pick_device(args.device)
        steps = {"step": Step(Path(folder), device)}
        if args.compile:
            steps["step, compiled"] = Step(Path(folder), device, sampler.rows())
        speeds = measure(sampler, steps, args.workers or [0], args.seconds, args.rounds)
        best = roofline(steps["step"], sampler(0, CROP_SIZE))
    line = record(args, speeds, best)
    print(text(speeds, line))
    print(json.dumps(line))
    if args.json is not None:
        with args.json.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()

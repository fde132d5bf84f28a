"""The short measurement behind `--engine auto`: what each installed engine takes for the work of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

import numpy as np

from rtface.engine import Engine, Preparable
from rtface.errors import RtfaceError
from rtface.models import find
from rtface.networks.open import open_network
from rtface.networks.selection import Choice, Speed, others, passes, precision_of, remember
from rtface.options import Options
from rtface.system.clock import Clock, SystemClock

WARMUP, RUNS, ROUNDS = 4, 12, 2
DETECTOR_SHARE = 1 / 9
"""A frame's share of the detector's cost: at 30 frames a second it looks every 300 ms."""


def candidates(options: Options) -> list[tuple[str, str]]:
    """Engine and precision of everything that `auto` may take here.

    TensorRT takes part where its plans are built; see `rtface build`.
    """
    found = [("onnx", "fp32"), ("onnx", "int8")]
    if "openvino" in others():
        found += [("openvino", "fp32"), ("openvino", "int8"), ("openvino", "fp16")]
    if "trt" in others():
        found += [("trt", precision) for precision in ("fp16", "int8") if _has_plans(precision, options)]
    return [(engine, precision) for engine, precision in found if passes("engine", engine, precision, options)]


def measure(
    options: Options, clock: Clock | None = None, say: Callable[[str], None] = lambda line: None
) -> list[Speed]:
    """Time every candidate and remember the result for `auto`.

    One engine is open at a time: the threads of one that spins would slow the others. Two rounds, the better median of
    each counts. What cannot run here is said and left out.

    Raises:
        OutputError: The cache cannot be written.
    """
    clock = clock or SystemClock()
    best: dict[tuple[str, str], float] = {}
    for _ in range(ROUNDS):
        for engine, precision in candidates(options):
            try:
                took = _frame_ms(Choice(engine, precision, "measured"), options, clock)
            except RtfaceError as error:
                say(str(error))
                continue
            best[engine, precision] = min(took, best.get((engine, precision), took))
    speeds = [Speed(engine, precision, round(took, 3)) for (engine, precision), took in best.items()]
    remember(options, speeds)
    return sorted(speeds, key=lambda speed: speed.frame_ms)


def _frame_ms(choice: Choice, options: Options, clock: Clock) -> float:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (1, 128, 128, 3), np.uint8)
    canvas = rng.integers(0, 256, (1, options.detect_width * 4 // 5 // 32 * 32, options.detect_width, 3), np.uint8)
    total = 0.0
    for role, batch, share in (("engine", crop, 1.0), ("detector", canvas, DETECTOR_SHARE)):
        precision = precision_of(role, choice, replace(options, precision="auto"))
        network, _ = open_network(role, replace(options, engine=choice.engine, precision=precision))
        try:
            if isinstance(network, Preparable):
                network.prepare(network.outputs)
            total += share * median(_times(network, batch, clock))
        finally:
            network.close()
    return total


def _times(network: Engine, batch: np.ndarray, clock: Clock) -> Iterator[float]:
    for run in range(WARMUP + RUNS):
        began = clock.now()
        network.run(batch, network.outputs)
        if run >= WARMUP:
            yield (clock.now() - began) * 1e3


def _has_plans(precision: str, options: Options) -> bool:
    from rtface.networks.tensorrt import plan_ready

    models = (
        find("detector", None, "fp32", options.models_dir),
        find("engine", options.iterations, "fp32", options.models_dir),
    )
    return all(plan_ready(model, precision, options) for model in models)

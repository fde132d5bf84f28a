"""The short measurement behind `--engine auto`: what each installed engine takes for the work of a frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from statistics import median

import numpy as np

from rtface.engine import Engine, Preparable
from rtface.errors import EngineError, RtfaceError
from rtface.networks.open import open_network
from rtface.networks.roles import DETECTOR, ENGINE
from rtface.networks.selection import Catalogue, select_network
from rtface.networks.speeds import Speed, installed_backends, remember
from rtface.options import Options
from rtface.system.clock import Clock, SystemClock

WARMUP, RUNS, ROUNDS = 4, 12, 2
DETECTOR_SHARE = 1 / 9
"""A frame's share of the detector's cost: at 30 frames a second it looks every 300 ms."""


def candidates(options: Options, catalogue: Catalogue) -> list[tuple[str, str]]:
    """Engine and precision of everything that `auto` may take here.

    TensorRT takes part where its plans are built; see `rtface build`.
    """
    found = [("onnx", "fp32"), ("onnx", "int8")]
    if "openvino" in installed_backends():
        found += [("openvino", "fp32"), ("openvino", "int8"), ("openvino", "fp16")]
    if "trt" in installed_backends():
        found += [("trt", precision) for precision in ("fp16", "int8") if _has_plans(precision, options, catalogue)]
    allows = catalogue.gate_allows
    return [(engine, precision) for engine, precision in found if allows(ENGINE, engine, precision, options)]


def measure(
    options: Options, clock: Clock | None = None, say: Callable[[str], None] = lambda line: None
) -> list[Speed]:
    """Time every candidate and remember the result for `auto`.

    One engine is open at a time: the threads of one that spins would slow the others. Two rounds, the better
    median of each counts. What cannot run here is said and left out.

    Raises:
        OutputError: The cache cannot be written.
    """
    clock, catalogue = clock or SystemClock(), Catalogue.read(options)
    best: dict[tuple[str, str], float] = {}
    for _ in range(ROUNDS):
        for engine, precision in candidates(options, catalogue):
            try:
                took = _frame_ms(engine, precision, options, catalogue, clock)
            except RtfaceError as error:
                say(str(error))
                continue
            best[engine, precision] = min(took, best.get((engine, precision), took))
    speeds = [Speed(engine, precision, round(took, 3)) for (engine, precision), took in best.items()]
    remember(options, catalogue.models, speeds)
    return sorted(speeds, key=lambda speed: speed.frame_ms)


def _frame_ms(engine: str, precision: str, options: Options, catalogue: Catalogue, clock: Clock) -> float:
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (1, 128, 128, 3), np.uint8)
    canvas = rng.integers(0, 256, (1, options.detect_width * 4 // 5 // 32 * 32, options.detect_width, 3), np.uint8)
    total = 0.0
    for role, batch, share in ((ENGINE, crop, 1.0), (DETECTOR, canvas, DETECTOR_SHARE)):
        fitting = catalogue.gated_precision(role, engine, precision, options)
        asked = replace(options, engine=engine, precision=fitting)
        network, _ = open_network(select_network(role, asked, catalogue), asked)
        try:
            began_on = network.describe()
            if isinstance(network, Preparable):
                network.prepare(network.outputs)
            total += share * median(_times(network, batch, clock))
            if (now := network.describe()) != began_on:  # a GPU that failed: what was timed is its spare
                why = f"{began_on['engine']} failed and {now['engine']} went on"
                raise EngineError(f"{engine} {precision}", why, "`rtface doctor --gpu` shows what works")
        finally:
            network.close()
    return total


def _times(network: Engine, batch: np.ndarray, clock: Clock) -> Iterator[float]:
    for run in range(WARMUP + RUNS):
        began = clock.now()
        network.run(batch, network.outputs)
        if run >= WARMUP:
            yield (clock.now() - began) * 1e3


def _has_plans(precision: str, options: Options, catalogue: Catalogue) -> bool:
    from rtface.networks.tensorrt import plan_ready

    models = (
        catalogue.model(DETECTOR, None, "fp32"),
        catalogue.model(ENGINE, options.iterations, "fp32"),
    )
    return all(plan_ready(model, precision, options) for model in models)

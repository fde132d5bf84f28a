"""Which engine and precision `auto` means on this machine: what was measured here before, and how long that holds.

Nothing is measured when a run starts: it would cost the first result seconds. `rtface doctor` measures where nothing is
remembered, `rtface build` always (`rtface.networks.speed_test`); the answer is kept in the user's cache with the
facts it depends on: CPU, cores, threads, versions, models. Where nothing is remembered, ONNX Runtime runs.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rtface.models import ModelEntry, entries
from rtface.networks.gates import Gate, gate_of
from rtface.options import Options
from rtface.system import machine
from rtface.system.files import cache_dir, write_whole
from rtface.system.machine import runs_int8_fast

PACKAGES = (
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-rtx",
    "tensorrt-rtx-cu13",
)
"""Those whose version decides how fast an engine is."""


ORT_ON_GPUS = ("onnx-cuda", "onnx-trt")
"""ONNX Runtime's GPU providers run the float32 files: those in INT8 are made for x86 CPUs."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one engine took for the work of a frame: the engine network on one face, and a share of the detector."""

    engine: str
    precision: str
    frame_ms: float


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs. `why` is for the doctor."""

    engine: str
    precision: str
    why: str


def choose(options: Options) -> Choice:
    """The engine and precision that the options mean here."""
    if options.engine not in ("auto", "openvino"):
        return Choice(options.engine, _precision(options), "as asked for")
    if options.engine == "auto" and not others():
        return Choice("onnx", _precision(options), "no other engine is installed")
    speeds = recall(options)
    fitting = [
        speed
        for speed in speeds
        if options.engine in ("auto", speed.engine) and options.precision in ("auto", speed.precision)
    ]
    if not fitting:
        if options.precision == "fp16" and options.engine == "auto" and "openvino" in others():
            return Choice("openvino", "fp16", "ONNX Runtime has no fp16 on a CPU")
        why = "nothing was measured on this machine yet; rtface doctor does it"
        return Choice("onnx" if options.engine == "auto" else options.engine, _precision(options), why)
    best = min(fitting, key=lambda speed: speed.frame_ms)
    listed = ", ".join(f"{one.engine} {one.precision} {one.frame_ms:.2f} ms" for one in fitting)
    return Choice(best.engine, best.precision, f"fastest here of {listed}")


def others() -> tuple[str, ...]:
    """Engines that are installed beside ONNX Runtime."""
    names = {"openvino": ("openvino",), "trt": ("tensorrt", "tensorrt_rtx")}
    return tuple(name for name, modules in names.items() if any(map(_installed, modules)))


def passes(role: str, engine: str, precision: str, options: Options) -> bool:
    """Whether `auto` may run a network so: any float32, what passed its gate, and ONNX Runtime's INT8 while no gate
    says otherwise. The engine for smaller crops has the weights of ITER 0, and, without one of its own, its gate."""
    if precision == "fp32":
        return True
    gate = gate_for(role, engine, precision, options)
    return gate.passed if gate is not None else engine == "onnx"


def gate_for(role: str, engine: str, precision: str, options: Options) -> Gate | None:
    """What was measured of the network with this role in this precision on this engine; None = nothing."""
    iterations = {"engine": options.iterations, "small-engine": 0}.get(role)
    for one in dict.fromkeys((role, role.removeprefix("small-"))):
        models = _models(options, one, iterations)
        full = [model for model in models if model.precision == "fp32"]
        files = [model.sha256 for model in models]
        gate = gate_of(full[0].sha256, engine, precision, options.calibration_dir, files) if full else None
        if gate is not None:
            return gate
    return None


def precision_of(role: str, choice: Choice, options: Options) -> str:
    """The precision of one network: what was asked for, or what `auto` chose where its gate lets it, else fp32.

    The two networks may differ: the detector runs on one frame in nine, so float32 there costs next to nothing.
    """
    if options.precision != "auto" or passes(role, choice.engine, choice.precision, options):
        return choice.precision
    return "fp16" if choice.engine == "trt" else "fp32"


def recall(options: Options) -> tuple[Speed, ...]:
    """What was measured on this machine with these versions and models; nothing where it was not, or is unreadable."""
    facts = facts_of(options)
    return next((_speeds(entry) for entry in _entries() if entry.get("facts") == facts), ())


def remember(options: Options, speeds: Sequence[Speed]) -> Path:
    """Keep a measurement; older ones of this machine with other versions stay, at most 16.

    Raises:
        OutputError: The cache cannot be written.
    """
    facts = facts_of(options)
    kept = [entry for entry in _entries() if entry.get("facts") != facts][-15:]
    entry = {"facts": facts, "speeds": [asdict(speed) for speed in speeds]}
    text = json.dumps({"measured": [*kept, entry]}, indent=1)
    write_whole(path := cache_path(), text.encode())
    return path


def cache_path() -> Path:
    """Where measurements are kept."""
    return cache_dir() / "engines.json"


def facts_of(options: Options) -> dict[str, Any]:
    """What a measurement depends on."""
    models = [*_models(options, "detector", None), *_models(options, "engine", options.iterations)]
    return {
        "cpu": machine.cpu_name(),
        "cores": machine.usable_cores(),
        "threads": options.threads,
        "versions": {name: version for name in PACKAGES if (version := _version(name)) is not None},
        "models": [model.sha256[:16] for model in models],
    }


def _models(options: Options, role: str, iterations: int | None) -> list[ModelEntry]:
    known = entries(options.models_dir)
    return [model for model in known if model.role == role and iterations in (None, model.iterations)]


def _precision(options: Options) -> str:
    if options.precision != "auto":
        return options.precision
    if options.engine == "trt":
        return "fp16"
    if options.engine in ORT_ON_GPUS:
        return "fp32"
    return "int8" if runs_int8_fast() and passes("engine", "onnx", "int8", options) else "fp32"


def _entries() -> list[Mapping[str, Any]]:
    try:
        found = json.loads(cache_path().read_text("utf-8"))["measured"]
        return [entry for entry in found if isinstance(entry, dict)]
    except (OSError, ValueError, KeyError, TypeError):  # a cache: what cannot be read was never there
        return []


def _speeds(entry: Mapping[str, Any]) -> tuple[Speed, ...]:
    try:
        return tuple(Speed(str(s["engine"]), str(s["precision"]), float(s["frame_ms"])) for s in entry["speeds"])
    except (KeyError, TypeError, ValueError):
        return ()


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


@functools.cache
def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

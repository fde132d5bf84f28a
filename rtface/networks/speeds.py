"""What engines took on this machine, remembered in the user's cache for `--engine auto`.

Nothing is measured when a run starts: it would cost the first result seconds. `rtface doctor` measures where nothing is
remembered, `rtface build` always (`rtface.networks.speed_test`). An answer holds as long as the facts that it depends
on: CPU, cores, threads, GPU, versions, models.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rtface.errors import EngineError
from rtface.models import ModelEntry
from rtface.networks.roles import DETECTOR, ENGINE
from rtface.options import Options
from rtface.system import machine
from rtface.system.files import cache_dir, write_private
from rtface.system.json_text import parse_json
from rtface.system.machine import package_version
from rtface.system.trusted import read_trusted

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


MOST_BYTES = 4_000_000
"""The cache holds 16 measurements of a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """What one engine took for the work of a frame: the engine network on one face, and a share of the detector."""

    engine: str
    precision: str
    frame_ms: float


def installed_backends() -> tuple[str, ...]:
    """What can run networks here beside ONNX Runtime, which always can: `openvino`, `trt`."""
    names = {"openvino": ("openvino",), "trt": ("tensorrt", "tensorrt_rtx")}
    return tuple(name for name, modules in names.items() if any(map(_installed, modules)))


def recall(options: Options, models: Iterable[ModelEntry]) -> tuple[Speed, ...]:
    """What was measured on this machine with these versions and models; nothing where it was not, or is unreadable."""
    facts = facts_of(options, models)
    return next((_speeds(entry) for entry in _entries() if entry.get("facts") == facts), ())


def remember(options: Options, models: Iterable[ModelEntry], speeds: Sequence[Speed]) -> Path:
    """Keep a measurement; older ones of this machine with other versions stay, at most 16.

    Raises:
        OutputError: The cache cannot be written.
    """
    facts = facts_of(options, models)
    kept = [entry for entry in _entries() if entry.get("facts") != facts][-15:]
    entry = {"facts": facts, "speeds": [asdict(speed) for speed in speeds]}
    text = json.dumps({"measured": [*kept, entry]}, indent=1)
    write_private(path := cache_path(), text.encode())
    return path


def cache_path() -> Path:
    """Where measurements are kept."""
    return cache_dir() / "engines.json"


def facts_of(options: Options, models: Iterable[ModelEntry]) -> dict[str, Any]:
    """What a measurement depends on; `models` is the registry."""
    iterations = {DETECTOR: None, ENGINE: options.iterations}
    concerned = [
        one for role in iterations for one in models if one.role == role and iterations[role] in (None, one.iterations)
    ]
    return {
        "cpu": machine.cpu_name(),
        "cores": machine.usable_cores(),
        "threads": options.threads,
        "gpu": _gpu() if "trt" in installed_backends() else None,
        "versions": {name: version for name in PACKAGES if (version := package_version(name)) is not None},
        "models": [model.sha256[:16] for model in concerned],
    }


@functools.cache
def _gpu() -> str | None:
    from rtface.engine.cuda import gpu

    try:
        facts = gpu()
    except EngineError:
        return None
    return f"{facts.name}, {facts.processors} processors, CUDA {facts.driver}"


def _entries() -> list[Mapping[str, Any]]:
    try:
        found = parse_json(read_trusted(cache_path(), MOST_BYTES))["measured"]
        return [entry for entry in found if isinstance(entry, dict)]
    except (OSError, ValueError, KeyError, TypeError):  # a cache: what cannot be read was never there
        return []


def _speeds(entry: Mapping[str, Any]) -> tuple[Speed, ...]:
    try:
        speeds = tuple(Speed(str(s["engine"]), str(s["precision"]), float(s["frame_ms"])) for s in entry["speeds"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return ()
    return speeds if all(0.0 < speed.frame_ms < math.inf for speed in speeds) else ()


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False

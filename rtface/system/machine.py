"""The machine: what a figure was measured on, and what the processor is good at."""

from __future__ import annotations

import functools
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = ("numpy", "opencv-python", "onnxruntime")
CPUINFO = Path("/proc/cpuinfo")
_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})  # x86 dot products of bytes; Arm's
_ARM = frozenset({"arm64", "aarch64"})


def facts() -> dict[str, Any]:
    """Processor, cores, load, memory, system and versions, ready for JSON; None = not known here."""
    return {
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "load_1min": load(),
        "memory_gb": memory_gb(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := package_version(name)) is not None},
    }


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    named = _entry("/proc/cpuinfo", "model name")
    return named or platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores that this process may use; containers often have fewer than the machine."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def runs_int8_fast() -> bool:
    """Whether the processor has dot products of bytes; without them int8 is slower than float32.

    Only Linux tells without a helper; Apple's and recent Windows' Arm processors have them all. In doubt: False.
    """
    try:
        words = frozenset(CPUINFO.read_text("ascii", errors="replace").split())
    except OSError:
        return sys.platform in ("darwin", "win32") and platform.machine().lower() in _ARM
    return bool(words & _FLAGS)


def load() -> float | None:
    """Processes that wanted a core in the last minute, on average: well above 0 = the machine was not quiet."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def memory_gb() -> float | None:
    """Main memory in GB."""
    total = _entry("/proc/meminfo", "MemTotal")
    return round(float(total.split()[0]) / 1e6, 1) if total else None


def resident_mb() -> float | None:
    """Memory in MB that this process occupies now."""
    now = _entry("/proc/self/status", "VmRSS")
    return round(float(now.split()[0]) / 1024.0, 1) if now else None


def peak_resident_mb() -> float | None:
    """The most memory in MB that this process ever occupied."""
    most = _entry("/proc/self/status", "VmHWM")  # getrusage's counts what the parent held when it started us
    if most is not None:
        return round(float(most.split()[0]) / 1024.0, 1)
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024.0**2 if sys.platform == "darwin" else 1024.0), 1)  # macOS counts bytes, Linux KiB


def _entry(path: str, name: str) -> str | None:
    """The value behind ``name:`` in one of Linux' tables; None elsewhere."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)


@functools.cache
def package_version(name: str) -> str | None:
    """The version of an installed distribution; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

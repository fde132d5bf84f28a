"""What the processor is good at, as far as the choice of a model goes."""

from __future__ import annotations

import functools
import platform
import sys
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})  # x86 dot products of bytes; Arm's
_ARM = frozenset({"arm64", "aarch64"})


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

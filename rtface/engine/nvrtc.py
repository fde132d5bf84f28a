"""CUDA C compiled for a GPU while running (NVRTC); needs no GPU."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from rtface.errors import EngineError

OPTIONS = ("--std=c++17", "--fmad=false")
"""Without fused multiply-adds a kernel rounds as the CPU does."""


def compile_kernel(source: str, name: str, capability: str) -> bytes:
    """The machine code of a source for one compute capability.

    Args:
        source: CUDA C.
        name: What messages call it.
        capability: "8.9".

    Raises:
        EngineError: NVRTC is not installed, does not know the capability any more, or refuses the source.
    """
    try:
        nvrtc = import_module("cuda.bindings.nvrtc")
        program = _do(nvrtc.nvrtcCreateProgram(source.encode(), f"{name}.cu".encode(), 0, [], []))
    except Exception as error:  # no such package, or its library is not there
        mend = "pip install nvidia-cuda-nvrtc (on a Jetson: apt install cuda-nvrtc-12-6)"
        raise EngineError("nvrtc", f"cannot be used ({' '.join(str(error).split())})", mend) from error
    try:
        options = [*OPTIONS, f"--gpu-architecture=sm_{capability.replace('.', '')}"]
        (code,) = nvrtc.nvrtcCompileProgram(program, len(options), [option.encode() for option in options])
        if int(code) != 0:
            log = bytes(_do(nvrtc.nvrtcGetProgramLogSize(program)))
            nvrtc.nvrtcGetProgramLog(program, log)
            says = " ".join(log.decode("utf-8", "replace").replace("\0", " ").split()) or str(code)
            raise EngineError(name, f"NVRTC does not compile it for {capability}: {says[:500]}", "The CPU does it")
        image = bytes(_do(nvrtc.nvrtcGetCUBINSize(program)))
        _do(nvrtc.nvrtcGetCUBIN(program, image))
        return image
    finally:
        nvrtc.nvrtcDestroyProgram(program)


def _do(answer: tuple[Any, ...]) -> Any:
    code, *rest = answer
    if int(code) != 0:
        raise RuntimeError(getattr(code, "name", str(code)))
    return rest[0] if rest else None

"""A CUDA driver and CUDA kernels on the CPU, for tests without a GPU: compiled here, where there is a compiler."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PRELUDE = """
#include <cmath>
#include <cstdint>
#define __global__
#define __device__
#define __forceinline__ inline
#define __restrict__
struct Three { int x, y, z; };
static Three blockIdx, threadIdx, gridDim, blockDim;
"""

SIZES = {"int": 4, "unsigned": 4, "float": 4}


def driver(folder: Path) -> Path:
    """The simulated driver as `libcuda.so.1` in `folder`, to be found there by LD_LIBRARY_PATH."""
    return library(HERE / "cuda.c", folder / "libcuda.so.1")


def library(source: Path, made: Path) -> Path:
    """A shared library of C, which goes by its file's name."""
    _compile("cc", [str(source), f"-Wl,-soname,{made.name}"], made)
    return made


def kernel(source: str, name: str, folder: Path) -> bytes:
    """A kernel's source compiled for the simulated driver: what a real one would load as machine code."""
    found = re.search(rf"__global__\s+void\s+{name}\s*\(([^)]*)\)", source)
    assert found, f"no kernel {name}"
    types = [re.sub(r"\w+$", "", argument.strip()).strip() for argument in " ".join(found[1].split()).split(",")]
    sizes = [8 if "*" in kind else SIZES[kind] for kind in types]
    given = ", ".join(f"*({kind} *)given[{at}]" for at, kind in enumerate(types))
    text = f"""{PRELUDE}
#define {name} {name}_source
{source}
#undef {name}
extern "C" int {name}_sizes[] = {{{", ".join(map(str, [*sizes, 0]))}}};
extern "C" void {name}(const int *at, void **given) {{
    blockIdx = {{at[0], at[1], at[2]}};
    threadIdx = {{at[3], at[4], at[5]}};
    gridDim = {{at[6], at[7], at[8]}};
    blockDim = {{at[9], at[10], at[11]}};
    {name}_source({given});
}}
"""
    file, made = folder / f"{name}.cpp", folder / f"{name}.so"
    file.write_text(text)
    _compile("c++", ["-std=c++17", "-ffp-contract=off", str(file)], made)
    return str(made).encode() + b"\0"


def _compile(compiler: str, given: list[str], made: Path) -> None:
    if not sys.platform.startswith("linux") or shutil.which(compiler) is None:
        pytest.skip(f"the simulated driver needs Linux and a C compiler ({compiler})")
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", str(made), *given, "-ldl"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

"""The adapter's calls against NVIDIA's own modules: names, arguments, and factories that have nothing to give."""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import simulated

ROOT = Path(__file__).parents[2]

EXPORTS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
"""All that TensorRT's bindings take from its libraries when they are imported."""

DRIVER = {
    "cuInit": ["Flags"],
    "cuDriverGetVersion": [],
    "cuDeviceGet": ["ordinal"],
    "cuDeviceGetName": ["length", "dev"],
    "cuDeviceGetAttribute": ["attrib", "dev"],
    "cuDeviceTotalMem": ["dev"],
    "cuDevicePrimaryCtxRetain": ["dev"],
    "cuCtxPushCurrent": ["ctx"],
    "cuCtxPopCurrent": [],
    "cuCtxGetStreamPriorityRange": [],
    "cuStreamCreateWithPriority": ["flags", "priority"],
    "cuStreamDestroy": ["hStream"],
    "cuStreamSynchronize": ["hStream"],
    "cuStreamBeginCapture": ["hStream", "mode"],
    "cuStreamEndCapture": ["hStream"],
    "cuGraphInstantiate": ["hGraph", "flags"],
    "cuGraphLaunch": ["hGraphExec", "hStream"],
    "cuGraphDestroy": ["hGraph"],
    "cuGraphExecDestroy": ["hGraphExec"],
    "cuMemcpyAsync": ["dst", "src", "ByteCount", "hStream"],
    "cuMemAlloc": ["bytesize"],
    "cuMemFree": ["dptr"],
    "cuMemHostAlloc": ["bytesize", "Flags"],
    "cuMemFreeHost": ["p"],
    "cuMemHostGetDevicePointer": ["p", "Flags"],
    "cuMemGetInfo": [],
    "cuEventCreate": ["Flags"],
    "cuEventRecord": ["hEvent", "hStream"],
    "cuEventElapsedTime": ["hStart", "hEnd"],
    "cuEventSynchronize": ["hEvent"],
    "cuEventDestroy": ["hEvent"],
    "cuModuleLoadData": ["image"],
    "cuModuleGetFunction": ["hmod", "name"],
    "cuGetErrorString": ["error"],
}


def test_the_drivers_bindings_have_what_we_call() -> None:
    driver = pytest.importorskip(
        "cuda.bindings.driver", reason="cuda-bindings is not installed (pip install cuda-bindings)"
    )
    real = {name: list(inspect.signature(getattr(driver, name)).parameters) for name in DRIVER}
    assert real == DRIVER
    source = (ROOT / "rtface" / "engine" / "cuda.py").read_text("utf-8")
    used = set(re.findall(r"driver\.(cu[A-Z]\w+)\(", source)) - {"cuLaunchKernel"}
    assert used == set(DRIVER), "this table names all that is called"
    assert driver.CU_MEMHOSTALLOC_DEVICEMAP == 2 and int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING) == 1
    assert int(driver.CUevent_flags.CU_EVENT_DISABLE_TIMING) == 2


def compared(module: str, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.engine.signatures", module]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_tensorrt_rtx_is_as_the_fake() -> None:
    pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (pip install 'rtface[rtx]')")
    compared("tensorrt_rtx", {})


def test_tensorrts_bindings_are_as_the_fake(tmp_path: Path) -> None:
    """Its own wheel has no libraries in it, so they can be had anywhere; libraries of nothing let them be imported."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or found.origin is None:
        pytest.skip("TensorRT's bindings are not installed (pip install --no-deps tensorrt-cu13-bindings)")
    binary = (Path(found.origin).parent / "tensorrt.so").read_bytes()
    version = re.search(rb"libnvinfer\.so\.(\d+)", binary)
    assert version is not None
    (tmp_path / "empty.c").write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in EXPORTS))
    for library in ("nvinfer", "nvonnxparser", "nvinfer_plugin"):
        simulated.library(tmp_path / "empty.c", tmp_path / f"lib{library}.so.{version[1].decode()}")
    compared("tensorrt_bindings", {"LD_LIBRARY_PATH": str(tmp_path)})

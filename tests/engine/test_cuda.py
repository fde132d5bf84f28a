"""The way to the GPU without one: NVIDIA's real bindings on a simulated driver, and what is said where they are not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtface.engine import cuda
from rtface.engine.nvrtc import compile_kernel
from rtface.errors import EngineError
from tests.engine.simulated import driver

ROOT = Path(__file__).parents[2]
FILES = ("tests/gpu/test_driver.py", "tests/gpu/test_crop_kernel.py", "tests/gpu/test_pipeline.py")


@pytest.mark.parametrize("kind", ["a card", "Jetson"])
def test_the_real_bindings_on_a_simulated_driver(tmp_path: Path, kind: str) -> None:
    """Those of tests/gpu that need no TensorRT, as they run on a GPU."""
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    if shutil.which("c++") is None:
        pytest.skip("the kernels on the simulated driver need a C++ compiler (c++)")
    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(tmp_path),
        "RTFACE_SIMULATED_DRIVER": str(driver(tmp_path)),
        "PYTHONPATH": str(ROOT),
        **({"SIM_INTEGRATED": "1"} if kind == "Jetson" else {}),
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *FILES]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "skipped" not in done.stdout, done.stdout[-2000:]


def test_without_the_bindings_the_error_says_why_and_what_brings_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(name: str) -> object:
        raise ImportError("cannot import name 'bindings' from 'cuda'")

    monkeypatch.setattr(cuda, "import_module", without)
    with pytest.raises(EngineError, match=r"imported \(cannot import name 'bindings'.*rtface\[rtx\]") as caught:
        cuda.open_cuda()
    assert caught.value.exit_code == 4
    with pytest.raises(EngineError, match="cuda-bindings"):
        cuda.gpu()


def test_a_jetson_is_told_to_use_jetpacks_tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = tmp_path / "nv_tegra_release", tmp_path / "compatible"
    monkeypatch.setattr(cuda, "TEGRA_FILES", tuple(map(str, files)))
    assert not cuda.on_jetson() and "rtface[tensorrt]" in cuda.how_to_install()
    files[1].write_bytes(b"nvidia,p3768-0000+p3767-0005-super\0nvidia,tegra234\0")  # all that a container shows
    assert cuda.on_jetson()
    files[1].unlink()
    files[0].write_text("# R36 (release), REVISION: 4.3")
    assert cuda.on_jetson() and "--system-site-packages" in cuda.how_to_install()
    assert "rtface[jetson]" in cuda.how_to_install()


def test_what_nvrtc_refuses_is_named() -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    try:
        assert compile_kernel('extern "C" __global__ void f() {}', "f", "8.9").startswith(b"\x7fELF")
    except EngineError as error:
        pytest.skip(str(error))
    with pytest.raises(EngineError, match=r"half: NVRTC does not compile it for 8.9: .*identifier \"nothing\""):
        compile_kernel('extern "C" __global__ void f() { nothing(); }', "half", "8.9")
    with pytest.raises(EngineError, match=r"NVRTC does not compile it for 3\.5"):
        compile_kernel('extern "C" __global__ void f() {}', "f", "3.5")

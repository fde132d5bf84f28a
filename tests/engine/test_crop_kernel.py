"""The crop kernel compiled for every GPU that we run on; tests/gpu/test_crop_kernel.py tests what it computes."""

from __future__ import annotations

import pytest

from rtface.engine.crop_kernel import NAME, SOURCE
from rtface.engine.nvrtc import compile_kernel
from rtface.errors import EngineError

CAPABILITIES = {
    "7.2": "Jetson Xavier",
    "7.5": "RTX 20, T4",
    "8.0": "A100",
    "8.6": "RTX 30",
    "8.7": "Jetson Orin",
    "8.9": "RTX 40, L4",
    "9.0": "H100, H200",
    "10.0": "B200",
    "11.0": "Jetson Thor",
    "12.0": "RTX 50",
    "12.1": "GB10",
}


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_it_compiles(capability: str) -> None:
    pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    from cuda.bindings import nvrtc

    try:
        _, *known = nvrtc.nvrtcGetSupportedArchs()
    except Exception as error:
        pytest.skip(f"NVRTC is not installed (pip install nvidia-cuda-nvrtc): {error}")
    if int(capability.replace(".", "")) not in [int(one) for one in known[-1]]:
        with pytest.raises(EngineError, match=f"does not compile it for {capability}"):
            compile_kernel(SOURCE, NAME, capability)
        pytest.skip(f"this NVRTC does not know {CAPABILITIES[capability]} ({capability})")
    image = compile_kernel(SOURCE, NAME, capability)
    assert image.startswith(b"\x7fELF") and NAME.encode() in image

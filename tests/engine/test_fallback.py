"""An engine with a spare: a GPU that fails costs one slow frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from rtface.engine import DeviceFailed, Engine
from rtface.engine.fallback import FallbackEngine
from rtface.errors import EngineError
from rtface.geometry.crop import Crop

BATCH = np.zeros((1, 1), np.uint8)


class Device:
    """Answers with its name, until it fails."""

    outputs = ("who",)

    def __init__(self, name: str) -> None:
        self.name, self.error, self.closed = name, None, 0
        self.prepared: list[tuple[Sequence[str], ...]] = []

    def prepare(self, *names: Sequence[str]) -> None:
        if self.error is not None:
            raise self.error
        self.prepared.append(names)

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        assert not self.closed
        if self.error is not None:
            raise self.error
        return {"who": np.array([self.name])}

    def describe(self) -> dict[str, str | int]:
        return {"engine": self.name}

    def close(self) -> None:
        self.closed += 1
        if self.error is not None:
            raise self.error


def who(engine: Engine) -> str:
    return str(engine.run(BATCH, ("who",))["who"][0])


def test_a_failing_device_is_replaced_within_the_call(caplog: pytest.LogCaptureFixture) -> None:
    gpu, cpu = Device("gpu"), Device("cpu")
    engine = FallbackEngine("net", gpu, lambda: cpu)
    engine.prepare(("who",))
    assert who(engine) == "gpu" and engine.describe() == {"engine": "gpu"} and not cpu.prepared
    gpu.error = DeviceFailed("net", "CUDA_ERROR_ILLEGAL_ADDRESS", "--engine onnx")
    assert [who(engine), who(engine)] == ["cpu", "cpu"] and engine.describe() == {"engine": "cpu"}
    assert gpu.closed == 1 and cpu.prepared == [(("who",),)]
    assert caplog.text.count("net runs on cpu from here on") == 1 and "ILLEGAL_ADDRESS" in caplog.text
    engine.close()
    assert cpu.closed


def test_a_device_that_fails_while_it_gets_ready_is_replaced_too() -> None:
    gpu, cpu = Device("gpu"), Device("cpu")
    gpu.error = DeviceFailed("net", "CUDA_ERROR_OUT_OF_MEMORY", "--engine onnx")
    engine = FallbackEngine("net", gpu, lambda: cpu)
    engine.prepare(("who",))
    assert who(engine) == "cpu" and cpu.prepared == [(("who",),)]


def test_a_wrong_batch_is_the_callers_and_changes_nothing() -> None:
    gpu = Device("gpu")
    engine = FallbackEngine("net", gpu, lambda: pytest.fail("no spare is needed"))
    gpu.error = EngineError("net", "expected uint8, got float32", "Pass pictures")
    with pytest.raises(EngineError, match="expected uint8"):
        who(engine)
    gpu.error = None
    assert who(engine) == "gpu"


def test_when_the_spare_fails_too_there_is_no_third() -> None:
    gpu, cpu = Device("gpu"), Device("cpu")
    engine = FallbackEngine("net", gpu, lambda: cpu)
    gpu.error = cpu.error = DeviceFailed("net", "no power", "Plug it in")
    for _ in range(2):
        with pytest.raises(DeviceFailed, match="no power"):
            who(engine)


class Cropper(Device):
    """Cuts the faces out by itself."""

    def crops_itself(self, count: int) -> bool:
        return count > 1

    def run_crops(self, image: np.ndarray, crops: Sequence[Crop], names: Sequence[str]) -> dict[str, np.ndarray]:
        return self.run(image, names)


def test_when_the_gpu_fails_that_cuts_the_faces_the_cpu_does_both() -> None:
    gpu, cpu, seen = Cropper("gpu"), Device("cpu"), []
    engine = FallbackEngine("net", gpu, lambda: cpu, crop_px=96)
    assert engine.crops_itself(2) and not engine.crops_itself(1)
    frame, crops = np.full((50, 50, 3), 9, np.uint8), [Crop(25, 25, 20)] * 2
    assert engine.run_crops(frame, crops, ("who",))["who"].tolist() == ["gpu"]
    gpu.error = DeviceFailed("net", "CUDA_ERROR_LAUNCH_FAILED", "--engine onnx")
    run, cpu.run = cpu.run, lambda batch, names: (seen.append(batch), run(batch, names))[1]  # type: ignore[method-assign]
    for _ in range(2):
        assert engine.run_crops(frame, crops, ("who",))["who"].tolist() == ["cpu"] and not engine.crops_itself(2)
    assert [batch.shape for batch in seen] == [(2, 96, 96, 3)] * 2 and (seen[0] == 9).all()

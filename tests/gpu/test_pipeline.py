"""A frame with faces through the whole pipeline, cut out by the crop kernel and by the CPU: the same faces.

The network runs in ONNX Runtime in place of TensorRT, on what lies at the addresses that TensorRT would be given. On
the simulated driver only (tests/engine/test_cuda.py), whose device memory the CPU can read.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rtface import models
from rtface.analyzer import Analyzer
from rtface.engine import OrtEngine, crop_kernel
from rtface.engine.cuda import DriverCuda, open_cuda
from rtface.engine.fallback import FallbackEngine
from rtface.engine.tensorrt import TrtEngine
from rtface.networks.open import detector_on
from rtface.options import Options
from tests.engine.fake_trt import PLAN, Context, FakeTrt, Mode, NetworkEngine
from tests.engine.simulated import kernel

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("RTFACE_SIMULATED_DRIVER" not in os.environ, reason="reads the simulated driver's memory"),
]

SHAPES = {"landmarks": (68, 2), "parsing": (128, 128), "emotion": (8,), "pose": (3,), "face": (), "quality": ()}


class OrtContext(Context):
    """Runs the network in ONNX Runtime on what is at the input's address."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shape = tuple(shape)
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self.shape is not None
        return self.shape if name == "crops" else (self.shape[0], *SHAPES[name])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self.addresses[name] = memory
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        self.scratch = memory

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine: Any = self.engine
        engine.cuda.wait()  # the crops and copies before it
        out = engine.network.run(self._at("crops"), tuple(SHAPES))
        for name in SHAPES:
            self._at(name)[...] = out[name]
        return True

    def _at(self, name: str) -> np.ndarray:
        engine: Any = self.engine
        shape, dtype = self.get_tensor_shape(name), engine.get_tensor_dtype(name)
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        block = (ctypes.c_uint8 * count).from_address(self.addresses[name])
        return np.ctypeslib.as_array(block).view(dtype).reshape(shape)


class OrtNetwork(NetworkEngine):
    num_io_tensors = 1 + len(SHAPES)
    network: Any = None

    def get_tensor_name(self, index: int) -> str:
        return ["crops", *SHAPES][index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "crops" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return np.uint8 if name in ("crops", "parsing") else np.float32

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [(count, 128, 128, 3) for count in (1, 1, 8)]

    def create_execution_context(self, strategy: Any) -> OrtContext:
        self.contexts += 1
        return OrtContext(self)


def gpu_engine(cuda: DriverCuda, folder: Path) -> TrtEngine:
    """The adapter around ONNX Runtime, with the crop kernel on the simulated driver."""
    api = FakeTrt(cuda)  # type: ignore[arg-type]
    api.Engine = OrtNetwork
    warm = [(count, 128, 128, 3) for count in range(1, 9)]
    engine = TrtEngine(PLAN, "engine", warm=warm, graphs=False, api=api, cuda=cuda)
    model = models.find("engine", 0, "fp32")
    assert isinstance(api.engine, OrtNetwork)
    api.engine.network = OrtEngine(models.load(model), model.name, 1)
    with cuda.active():
        image = kernel(crop_kernel.SOURCE, crop_kernel.NAME, folder)
        engine._crops = crop_kernel.GpuCrops(cuda, 128, image)
    return engine


class DetectorContext(OrtContext):
    """The detector's network."""

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self.shape is not None
        cells = sum(self.shape[1] // stride * (self.shape[2] // stride) for stride in (8, 16, 32))
        return self.shape if name == "image" else (self.shape[0], cells, 18)

    def execute_async_v3(self, stream_handle: int) -> bool:
        engine: Any = self.engine
        assert stream_handle == engine.cuda.stream
        engine.cuda.wait()
        self._at("detections")[...] = engine.network.run(self._at("image"), ("detections",))["detections"]
        return True


class DetectorNetwork(OrtNetwork):
    num_io_tensors = 2

    def get_tensor_name(self, index: int) -> str:
        return ("image", "detections")[index]

    def get_tensor_mode(self, name: str) -> Mode:
        return Mode.INPUT if name == "image" else Mode.OUTPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return np.uint8 if name == "image" else np.float32

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        return [(1, 256, 320, 3)] * 3

    def create_execution_context(self, strategy: Any) -> DetectorContext:
        self.contexts += 1
        return DetectorContext(self)


def test_a_detector_that_looks_beside_the_network_follows_the_same_faces() -> None:
    """On a stream of its own, of low priority; its answers met at the next frame."""
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (pip install 'rtface[test]')")
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)[:300, :400]
    wide = np.zeros((480, 640, 3), np.uint8)
    frames = []
    for at in range(24):
        frame = wide.copy()
        frame[60 : 60 + 300, 4 * at : 4 * at + 400] = astronaut
        frames.append(frame)
    model, options = models.find("detector", None, "fp32"), Options(engine="onnx", precision="fp32", smooth=False)
    network = OrtEngine(models.load(model), model.name, 1)
    faces = models.find("engine", 0, "fp32")
    api = FakeTrt(cuda := open_cuda(urgent=False))  # type: ignore[arg-type]
    api.Engine = DetectorNetwork
    trt = TrtEngine(PLAN, "detector", warm=[(1, 256, 320, 3)], graphs=False, api=api, cuda=cuda)
    assert isinstance(api.engine, DetectorNetwork)
    api.engine.network = network
    on_gpu, begun = FallbackEngine("detector", trt, lambda: pytest.fail("it does not fail")), list[int]()
    submit = trt.submit
    trt.submit = lambda *given: (begun.append(len(given[0])), submit(*given))[1]  # type: ignore[method-assign]
    seen = {}
    for name, engine in (("gpu", on_gpu), ("cpu", network)):
        with Analyzer(
            options, detector=detector_on(engine, options), engine=OrtEngine(models.load(faces), faces.name, 1)
        ) as analyzer:
            seen[name] = [analyzer.video(frame, at=at / 30).faces for at, frame in enumerate(frames)]
    assert len(begun) >= 2 + 2, "two in prepare at least, the others beside the network"
    for ours, theirs in zip(seen["gpu"], seen["cpu"], strict=True):
        assert [face.track_id for face in ours] == [face.track_id for face in theirs] == [1]
        assert np.abs(ours[0].landmarks.points - theirs[0].landmarks.points).max() < 0.6
        side = float(np.ptp(theirs[0].box_xyxy[1::2]))  # a look makes the box breathe; here one frame later
        assert np.abs(ours[0].box_xyxy - theirs[0].box_xyxy).max() < 0.1 * side


def test_the_same_faces_are_seen_as_on_the_cpu(tmp_path: Path) -> None:
    data = pytest.importorskip("skimage.data", reason="scikit-image is not installed (pip install 'rtface[test]')")
    astronaut = cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR)
    turned = cv2.warpAffine(astronaut, cv2.getRotationMatrix2D((224, 120), 15, 0.8), (512, 512))
    picture = np.block([[[astronaut], [turned]], [[turned], [astronaut]]])
    options = Options(max_faces=8, engine="onnx", precision="fp32", smooth=False)
    on_gpu, cropped = gpu_engine(open_cuda(), tmp_path), []
    run_crops = on_gpu.run_crops
    on_gpu.run_crops = lambda *given: (cropped.append(len(given[1])), run_crops(*given))[1]  # type: ignore[method-assign]
    seen = {}
    model = models.find("engine", 0, "fp32")
    for name, engine in (("gpu", on_gpu), ("cpu", OrtEngine(models.load(model), model.name, 1))):
        with Analyzer(options, engine=engine) as analyzer:
            for frame in range(3):
                seen[name] = analyzer.video(picture, at=frame / 30).faces
    assert len(seen["gpu"]) == len(seen["cpu"]) == 4 and cropped == [len(seen["gpu"])] * 3, "the GPU cut them out"
    for ours, theirs in zip(seen["gpu"], seen["cpu"], strict=True):
        shift = np.abs(ours.landmarks.points - theirs.landmarks.points).max()
        assert shift < 0.02 and ours.emotion.label == theirs.emotion.label
        assert (ours.parsing.labels != theirs.parsing.labels).mean() < 0.0005
        assert abs(ours.pose.yaw - theirs.pose.yaw) < 0.02

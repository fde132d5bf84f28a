"""TensorRT for a network of the registry: found, missing, broken; built by a child while ONNX Runtime runs."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtface import models
from rtface.detect import MosDetector
from rtface.engine.cuda import Gpu
from rtface.engine.fallback import FallbackEngine
from rtface.engine.hotswap import HotSwapEngine
from rtface.engine.plan_cache import PlanCache, PlanKey
from rtface.errors import EngineError
from rtface.networks import tensorrt
from rtface.networks.gates import FILE
from rtface.networks.profiles import default_profile, read_profile
from rtface.networks.shapes import stream_shapes
from rtface.networks.tensorrt import key_for, make_plan, open_trt, profiles_for, warm_shapes
from rtface.options import Options
from tests.engine.fake_trt import PLAN, SIDE, FakeCuda, FakeRtx, FakeTrt

MODEL = models.find("engine", 0, "fp32")
GPU = Gpu("Fake GPU", "8.9", 24, 8192, False, "13.0")


class Slow:
    """Stands for ONNX Runtime."""

    outputs = ("mean", "flip")
    closed = False

    def run(self, batch: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
        return {name: np.zeros(1) for name in names}

    def describe(self) -> dict[str, str | int]:
        return {"engine": "onnxruntime"}

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeTrt:
    """A machine with a GPU, and an empty cache of the user's."""
    monkeypatch.setattr("rtface.engine.plan_cache.cache_dir", lambda: tmp_path / "cache")
    fake = FakeTrt(FakeCuda())

    def open_cuda(*, urgent: bool) -> FakeCuda:
        fake.cuda = FakeCuda()
        return fake.cuda

    monkeypatch.setattr(tensorrt, "open_cuda", open_cuda)
    monkeypatch.setattr(tensorrt, "gpu", lambda: GPU)
    monkeypatch.setattr(tensorrt, "find_api", lambda: fake)
    return fake


def key(api: FakeTrt) -> PlanKey:
    return key_for(MODEL, "fp16", read_profile(default_profile("fp16")), Options(), api, GPU)


def crops() -> np.ndarray:
    return np.ones((1, SIDE, SIDE, 3), np.uint8)


def test_a_plan_that_is_there_runs_at_once(api: FakeTrt) -> None:
    PlanCache().save(key(api), PLAN)
    engine = open_trt(MODEL, "fp16", Options(), lambda: pytest.fail("ONNX Runtime is not needed"))
    assert isinstance(engine, FallbackEngine) and engine.run(crops(), ("mean",))["mean"].tolist() == [[1, 1, 1]]
    assert engine.describe()["engine"] == "tensorrt"
    engine.close()


def test_a_gpu_that_fails_gives_way_to_onnx_runtime(api: FakeTrt, caplog: pytest.LogCaptureFixture) -> None:
    PlanCache().save(key(api), PLAN)
    first_one = Slow()
    engine = open_trt(MODEL, "fp16", Options(), lambda: first_one)
    first = engine.run(crops(), ("mean",))["mean"]
    api.cuda.dead = True
    assert first.shape == (1, 3) and engine.run(crops(), ("mean",))["mean"].shape == (1,)
    assert engine.describe()["engine"] == "onnxruntime" and caplog.text.count("from here on") == 1
    engine.close()
    assert first_one.closed


def test_a_driver_that_is_too_old_says_so_and_leaves_the_plan(api: FakeTrt) -> None:
    path = PlanCache().save(key(api), PLAN)
    api.driver_too_old = True
    with pytest.raises(EngineError, match="nullptr"):
        open_trt(MODEL, "fp16", Options(), Slow)
    assert path.exists() and api.cuda.closed


def test_a_missing_plan_is_built_while_the_first_runs(api: FakeTrt, monkeypatch: pytest.MonkeyPatch) -> None:
    go, first = threading.Event(), Slow()

    def build(model: models.ModelEntry, options: Options, *_: object) -> None:
        assert go.wait(10) and options.precision == "fp16"
        PlanCache().save(key(api), PLAN)

    monkeypatch.setattr(tensorrt, "_build_apart", build)
    engine = open_trt(MODEL, "fp16", Options(), lambda: first)
    assert isinstance(engine, HotSwapEngine)
    engine.run(crops(), ("mean",))
    assert engine.describe()["engine"] == "onnxruntime"
    go.set()
    assert engine.wait(10)
    assert engine.run(crops(), ("mean",))["mean"].shape == (1, 3)
    assert engine.describe()["engine"] == "tensorrt" and first.closed
    engine.close()


def test_a_broken_plan_is_set_aside_and_built_once(
    api: FakeTrt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache, builds = PlanCache(), []
    cache.save(key(api), b"of another driver")

    def build(*_: object) -> None:
        builds.append(1)
        cache.save(key(api), b"no better")

    monkeypatch.setattr(tensorrt, "_build_apart", build)
    engine = open_trt(MODEL, "fp16", Options(), Slow)
    assert isinstance(engine, HotSwapEngine) and engine.wait(10)
    engine.run(crops(), ("mean",))
    assert engine.describe()["engine"] == "onnxruntime" and builds == [1]
    assert caplog.text.count("set aside") == 1 and caplog.text.count("stays on onnxruntime") == 1
    assert cache.path(key(api)).with_suffix(".broken").read_bytes() == b"of another driver"
    engine.close()


def test_a_plan_of_others_is_refused_and_left_alone(api: FakeTrt) -> None:
    path = PlanCache().save(key(api), PLAN)
    path.chmod(0o666)
    with pytest.raises(EngineError, match="can be written by others"):
        open_trt(MODEL, "fp16", Options(), Slow)
    assert path.exists()


def test_closing_ends_the_child(api: FakeTrt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    began = tmp_path / "began"
    sleeper = tmp_path / "python"
    sleeper.write_text(f"#!/bin/sh\ntouch {began}\nexec sleep 60\n")
    sleeper.chmod(0o700)
    monkeypatch.setattr(tensorrt.sys, "executable", str(sleeper))
    engine = open_trt(MODEL, "fp16", Options(), Slow)
    assert isinstance(engine, HotSwapEngine)
    engine.close()
    assert engine.wait(10)


@pytest.mark.parametrize(("code", "why"), [("exit 4", r"failed \(4\)"), ("exit 0", "is not there")])
def test_a_child_that_fails_is_said(
    api: FakeTrt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, code: str, why: str
) -> None:
    child = tmp_path / "python"
    child.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/said\necho "$RTFACE_MODELS_DIR" >> {tmp_path}/said\n{code}\n')
    child.chmod(0o700)
    monkeypatch.setattr(tensorrt.sys, "executable", str(child))
    with caplog.at_level(logging.WARNING):
        engine = open_trt(MODEL, "fp16", Options(models_dir=str(models.PACKAGE_DIR)), Slow)
        assert isinstance(engine, HotSwapEngine) and engine.wait(20)
    said = (tmp_path / "said").read_text()
    assert "build --profile" in said and f"--network {MODEL.name}" in said and "--precision fp16" in said
    assert str(models.PACKAGE_DIR) in said
    assert [part for part in caplog.messages if "stays on onnxruntime" in part]
    assert why.replace("\\", "") in caplog.text.replace("\\", "")
    engine.close()


def test_plans_are_made_once(api: FakeTrt) -> None:
    profile = read_profile("desktop-fp16")
    made = make_plan(MODEL, "fp16", profile, Options(), api=api)
    assert made[1] and make_plan(MODEL, "fp16", profile, Options(), api=api) == (made[0], False)
    assert made[0].capability == "8.9" and made[0].tensorrt == "tensorrt 10.13.0"
    assert api.built is not None and api.built.shapes[2] == (8, 128, 128, 3)


def test_a_failed_gate_makes_int8_fp16(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    heads = [{"name": "parsing components_f", "passed": False}, {"name": "emotion accuracy_pct", "passed": True}]
    gate = {"model": MODEL.name, "sha256": MODEL.sha256, "engine": "trt", "precision": "int8", "file_sha256": ""}
    gate |= {"float_layers": [], "heads": heads, "passed": False, "measured_by": "test"}
    (tmp_path / FILE).write_text(json.dumps({"gates": [gate]}))
    options = Options(calibration_dir=str(tmp_path))
    assert tensorrt.precision_for(MODEL, "int8", options) == "fp16" and "parsing components_f" in caplog.text
    assert "emotion" not in caplog.text and tensorrt.precision_for(MODEL, "fp32", options) == "fp32"
    (tmp_path / FILE).unlink()
    assert tensorrt.precision_for(MODEL, "int8", options) == "int8"


def test_sizes_of_a_profile() -> None:
    profile = read_profile("orin-fp16")
    engine, detector = (profiles_for(models.find(role, None, "fp32"), profile) for role in ("engine", "detector"))
    assert [(one.least, one.most) for one in engine] == [((count, 128, 128, 3),) * 2 for count in (1, 2, 4, 8)]
    *fixed, stills = detector
    assert [one.usual for one in fixed] == stream_shapes(320) == [one.most for one in fixed]
    assert str(stills) == "1x64x64x3 1x256x320x3 1x1280x1280x3"
    few = profiles_for(models.find("engine", None, "fp32"), replace(profile, faces=(2, 3, 6)))
    assert [one.usual[0] for one in few] == [2, 3, 4, 6]


def test_what_a_stream_brings_is_ready_before_it_comes() -> None:
    assert warm_shapes(MODEL, Options(max_faces=3)) == [(faces, 128, 128, 3) for faces in (1, 2, 3)]
    shapes = warm_shapes(models.find("detector", None, "fp32"), Options())
    for width, height in ((640, 480), (1920, 1080)):
        seen = []
        detector = MosDetector(lambda canvas, seen=seen: seen.append(canvas.shape) or np.zeros((1, 0, 18), np.float32))
        detector.detect(np.zeros((height, width, 3), np.uint8))
        assert seen[0] in shapes


def test_the_key_names_what_the_plan_is_for(api: FakeTrt) -> None:
    profile, turing = read_profile("desktop-fp16"), Gpu("RTX 2080", "7.5", 46, 8192, False, "13.0")

    def named(api: FakeTrt, gpu: Gpu | None) -> tuple[str, str]:
        key = key_for(MODEL, "fp16", profile, Options(), api, gpu)
        return key.capability, key.gpu

    assert named(api, GPU) == ("8.9", "Fake GPU, 24 processors")
    assert named(FakeRtx(api.cuda), GPU) == named(FakeRtx(api.cuda), None) == ("any", "any")
    assert named(FakeRtx(api.cuda), turing) == ("7.5", "any")


def test_int8_that_cannot_be_built_is_built_in_fp16(
    api: FakeTrt, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    def convert(model: models.ModelEntry, precision: str, folder: object) -> bytes:
        asked.append(precision)
        api.buildable = precision != "int8"
        return b"onnx"

    monkeypatch.setattr(tensorrt, "convert", convert)
    monkeypatch.setattr(tensorrt, "fingerprint", lambda *_: "a fingerprint")
    key, built = make_plan(MODEL, "int8", read_profile("orin-int8"), Options(), api=api)
    assert built and key.precision == "int8" and asked == ["int8", "fp16"] and "in fp16 instead" in caplog.text
    assert PlanCache().listed()[0]["built_as"] == "fp16"
    api.buildable = False
    monkeypatch.setattr(tensorrt, "convert", lambda *_: b"onnx")
    with pytest.raises(EngineError, match="cannot build it"):
        make_plan(MODEL, "fp16", read_profile("orin-fp16"), Options(), api=api)


def test_a_child_that_crashed_after_its_work_has_done_its_work(
    api: FakeTrt, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    child = tmp_path / "python"
    child.write_text(f"#!/bin/sh\ncp {tmp_path}/made/* {PlanCache().folder}/\nkill -SEGV $$\n")
    child.chmod(0o700)
    path = PlanCache().save(key(api), PLAN)
    (tmp_path / "made").mkdir()
    for file in (path, path.with_suffix(".json")):
        file.replace(tmp_path / "made" / file.name)
    monkeypatch.setattr(tensorrt.sys, "executable", str(child))
    engine = open_trt(MODEL, "fp16", Options(), Slow)
    assert isinstance(engine, HotSwapEngine) and engine.wait(20)
    engine.run(crops(), ("mean",))
    assert engine.describe()["engine"] == "tensorrt"
    engine.close()

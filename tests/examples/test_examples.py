"""Each example is run, by the commands that it names."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from rtface.capture.open import demo_clip

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
FRAMES = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's first frames, so that an example takes seconds."""
    path = tmp_path_factory.mktemp("clip") / "clip.avi"
    video = cv2.VideoCapture(str(demo_clip()))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    for _ in range(FRAMES):
        writer.write(video.read()[1])
    writer.release()
    return path


def run(name: str, *args: object, display: str | None = None, **environment: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, args)]
    if display is not None:
        command = [display, "-a", *command]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    env = {**os.environ, "PYTHONPATH": path, "RTFACE_THREADS": "1", **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_short_and_tested() -> None:
    tests = Path(__file__).read_text("utf-8")
    for path in EXAMPLES.glob("*.py"):
        assert len(path.read_text("utf-8").splitlines()) <= 60, path.name
        assert path.stem in tests


def test_cameras(clip: Path) -> None:
    said = run("cameras.py", f"door={clip}", clip)
    assert "clip: 1" in said and "door: 1" in said
    assert "door: " in said.splitlines()[-2] and "clip: " in said.splitlines()[-1]


def test_still(tmp_path: Path, clip: Path) -> None:
    picture, drawn = tmp_path / "face.png", tmp_path / "drawn.png"
    cv2.imwrite(str(picture), cv2.VideoCapture(str(clip)).read()[1])
    assert "1 faces" in run("still.py", picture, drawn)
    assert np.any(cv2.imread(str(picture)) != cv2.imread(str(drawn)))


def test_webcam(clip: Path) -> None:
    said = run("webcam.py", clip, "--no-window", "--frames", 2)
    assert "ms after the grab: #1" in said
    assert "2 frames" in said


def test_kiosk_loop_tkinter(clip: Path) -> None:
    pytest.importorskip("tkinter", reason="this Python is without tkinter")
    display = None if os.environ.get("DISPLAY") or sys.platform != "linux" else shutil.which("xvfb-run")
    if display is None and sys.platform == "linux" and not os.environ.get("DISPLAY"):
        pytest.skip("no display, and xvfb-run is not installed")
    run("kiosk_loop_tkinter.py", clip, display=display)


def test_kiosk_loop_pyside6(clip: Path) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="pip install PySide6-Essentials", exc_type=ImportError)
    run("kiosk_loop_pyside6.py", clip, QT_QPA_PLATFORM="offscreen")


@pytest.fixture
def service() -> Iterator[ModuleType]:
    pytest.importorskip("fastapi", reason="pip install fastapi")
    spec = importlib.util.spec_from_file_location("fastapi_app", EXAMPLES / "fastapi_app.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def test_fastapi_app(service: ModuleType, clip: Path) -> None:
    client: Any = pytest.importorskip("fastapi.testclient", reason="pip install httpx").TestClient(service.app)
    data = cv2.imencode(".png", cv2.VideoCapture(str(clip)).read()[1])[1].tobytes()
    kind = {"Content-Type": "application/octet-stream"}
    answer = client.post("/faces?tasks=pose", content=data, headers=kind)
    assert answer.status_code == 200
    (face,) = answer.json()["faces"]
    assert "yaw_deg" in face and "emotion" not in face
    assert client.post("/faces", content=b"no picture", headers=kind).status_code == 415
    assert client.post("/faces?tasks=smile", content=data, headers=kind).status_code == 422


def test_custom_source(clip: Path) -> None:
    lines = [line.split() for line in run("custom_source.py", clip).splitlines()]
    assert lines[-1][0] == str(FRAMES - 1)  # the newest frame is always seen
    assert sum(1 + int(dropped) for _, _, dropped in lines) == FRAMES


def test_custom_sink(tmp_path: Path, clip: Path) -> None:
    run("custom_sink.py", clip, tmp_path / "faces.db")
    with sqlite3.connect(tmp_path / "faces.db") as database:
        rows = database.execute("SELECT track_id, emotion FROM faces").fetchall()
    database.close()
    assert len(rows) == FRAMES
    assert all(track_id == 1 and emotion for track_id, emotion in rows)


def test_blur_video(tmp_path: Path, clip: Path) -> None:
    run("blur_video.py", clip, tmp_path / "blurred.mp4")
    before, after = (cv2.VideoCapture(str(path)).read()[1] for path in (clip, tmp_path / "blurred.mp4"))
    changed = np.abs(before.astype(float) - after).mean(axis=2)
    assert (
        changed[130:260, 270:370].mean() > 4 * changed[:40, :60].mean()
    )  # her face, and a corner that is only encoded
    assert changed[130:260, 270:370].mean() > 6


def test_model_server_writes_a_repository_that_triton_understands(tmp_path: Path) -> None:
    import json

    import onnxruntime

    assert "engine-iter0" in run("model_server.py", tmp_path)
    served = json.loads((tmp_path / "config.json").read_text())["model_config_list"]
    assert [one["config"]["name"] for one in served] == ["detector", "engine-iter0"]
    pytest.importorskip("tritonclient.grpc", reason="needs pip install 'tritonclient[grpc]'")
    from google.protobuf import text_format
    from tritonclient.grpc import model_config_pb2

    for name in ("detector", "engine-iter0"):
        text = (tmp_path / name / "config.pbtxt").read_text()
        config = text_format.Parse(text, model_config_pb2.ModelConfig())
        session = onnxruntime.InferenceSession(tmp_path / name / "1/model.onnx")
        for said, is_so in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
            assert [one.name for one in said] == [one.name for one in is_so]
            for one, value in zip(said, is_so, strict=True):
                assert (
                    model_config_pb2.DataType.Name(one.data_type).removeprefix("TYPE_")
                    in {
                        "tensor(uint8)": "UINT8",
                        "tensor(float)": "FP32",
                    }[value.type]
                )
                sides = [side if isinstance(side, int) else -1 for side in value.shape[1:]]
                assert name == "detector" or list(one.dims) == (sides or [1])
        assert config.max_batch_size == 32 and config.dynamic_batching.max_queue_delay_microseconds == 2000

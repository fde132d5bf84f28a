"""The verbs cameras, doctor and models."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from pathlib import Path
from types import MappingProxyType

import pytest

from rtface import models
from rtface.capture.camera import CameraInfo
from tests.conftest import Cli

REGISTRY = """
[[model]]
name = "little"
role = "detector"
file = "little.onnx"
precision = "fp32"
sha256 = "{sha256}"
bytes = {bytes}
code_licence = "Apache-2.0"
weights_licence = "research only: made for this test"
inputs = ["image uint8 (1, H, W, 3)"]
outputs = ["detections float32 (1, N, 18)"]
card = "little.md"

[[model.metrics]]
name = "AP"
value = 75.5
data = "made-up faces"
command = "rtface eval detection"
"""


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    content = b"not really a network"
    (tmp_path / "little.onnx").write_bytes(content)
    (tmp_path / "little.md").write_text("# The card of little\n")
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / "registry.toml").write_text(REGISTRY.format(sha256=digest, bytes=len(content)))
    return tmp_path


def test_models_are_listed(cli: Cli, models_dir: Path) -> None:
    done = cli("models", "list", "--models-dir", models_dir)
    assert done.code == 0
    assert done.out.split()[:2] == ["little", "detector"]
    assert done.out.rstrip().endswith("research only")
    (line,) = cli("models", "list", "--models-dir", models_dir, "--json").out.splitlines()
    assert json.loads(line)["metrics"] == {"AP (made-up faces)": 75.5}


def test_a_model_is_shown_with_its_card(cli: Cli, models_dir: Path) -> None:
    done = cli("models", "show", "little", "--models-dir", models_dir)
    assert done.code == 0
    for part in ("detections float32", "AP = 75.5 on made-up faces: rtface eval detection", "# The card of little"):
        assert part in done.out
    unknown = cli("models", "show", "big", "--models-dir", models_dir)
    assert (unknown.code, unknown.err.count("\n")) == (4, 1)
    assert "little" in unknown.err


def test_models_are_verified(cli: Cli, models_dir: Path) -> None:
    assert cli("models", "verify", "--models-dir", models_dir).out.startswith("ok   little")
    (models_dir / "little.onnx").write_bytes(b"another network here")
    done = cli("models", "verify", "--models-dir", models_dir)
    assert done.code == 4
    assert done.out.startswith("BAD  little")
    assert "SHA-256" in done.err and done.err.count("\n") == 1


def test_cameras(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.capture.camera.list_cameras", list)
    none = cli("cameras")
    assert (none.code, none.out) == (0, "")
    assert "rtface live demo" in none.err
    links = ("/dev/v4l/by-id/usb-Webcam-index0",)
    one = CameraInfo(index=2, name="Webcam", width_px=640, height_px=480, fps=30.0, links=links)
    monkeypatch.setattr("rtface.capture.camera.list_cameras", lambda: [one])
    assert cli("cameras").out == "2  640x480 at 30 fps  Webcam\n   /dev/v4l/by-id/usb-Webcam-index0\n"
    assert json.loads(cli("cameras", "--json").out)["name"] == "Webcam"


def test_doctor_says_what_is_there(cli: Cli, models_dir: Path) -> None:
    done = cli("doctor", "--models-dir", models_dir)
    assert done.code == 0
    for part in ("rtface ", "python ", "numpy ", "onnxruntime ", "little  0.00 MB", "cv2_owners", "cameras", "display"):
        assert part in done.out
    facts = json.loads(cli("doctor", "--models-dir", models_dir, "--json").out)
    assert facts["models"][0]["error"] is None
    assert facts["threads"]["cores"] >= 1


def test_doctor_says_what_is_wrong(cli: Cli, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (models_dir / "little.onnx").write_bytes(b"cut")
    owners = {"cv2": ["opencv-python", "opencv-python-headless"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: owners)
    done = cli("doctor", "--models-dir", models_dir)
    assert done.code == 4
    assert "BAD" in done.out
    assert "is cut short: 3 of 20 bytes" in done.err
    version = importlib.metadata.version("opencv-python")
    mend = (
        f"pip uninstall -y opencv-python-headless && pip install --force-reinstall --no-deps opencv-python=={version}"
    )
    assert mend in done.err  # nothing else is changed, and `pip check` stays clean
    (models_dir / "registry.toml").unlink()
    without = cli("doctor", "--models-dir", models_dir)
    assert without.code == 4
    assert "registry.toml" in without.err and "display" in without.out


def test_a_package_that_asks_for_another_opencv_gets_an_environment_of_its_own(
    cli: Cli, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owners = {"cv2": ["opencv-python", "opencv-contrib-python"]}
    monkeypatch.setattr("importlib.metadata.packages_distributions", lambda: owners)

    class Mediapipe:
        metadata = MappingProxyType({"Name": "mediapipe"})
        requires = ("numpy<2", "opencv-contrib-python", "opencv-python; extra == 'x'")

    monkeypatch.setattr("importlib.metadata.distributions", lambda: [Mediapipe()])
    said = cli("doctor", "--models-dir", models_dir).err
    assert "mediapipe asks for opencv-contrib-python: give rtface a virtual environment of its own" in said
    assert "uninstall" not in said


def test_licenses_names_code_weights_packages_and_copies_their_texts(cli: Cli, tmp_path: Path) -> None:
    said = cli("licenses")
    assert said.code == 0 and "Apache-2.0" in said.out and "non-commercial research only" in said.out
    assert "trained on nothing" not in said.out
    for name in ("numpy", "onnxruntime", "opencv-python"):
        assert f"\n  {name} {importlib.metadata.version(name)}" in said.out
    record = json.loads(cli("licenses", "--json").out)
    assert {name for one in record["weights"] for name in one["names"]} == {model.name for model in models.entries()}
    texts = tmp_path / "texts"
    assert cli("licenses", "--out", texts).code == 0
    assert any((texts / "numpy").iterdir()) and (texts / "rtface" / "LICENSE").exists()
    again = cli("licenses", "--out", texts)
    assert again.code == 1 and again.err.count("\n") == 1 and str(texts) in again.err

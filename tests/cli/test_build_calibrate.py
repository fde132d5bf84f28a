"""`rtface build`, `rtface calibrate`, and what `--engine`, `--detector` and `doctor` say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtface import models
from rtface.calibrate import collect
from tests.conftest import Cli
from tests.media import write_video


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("rtface.networks.speeds.cache_dir", lambda: tmp_path / "cache" / "rtface")


def test_calibrate_writes_text_that_build_can_use(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collect, "FRAMES", 4)
    monkeypatch.setattr(collect, "FEWEST", 2)
    out = tmp_path / "mine"
    done = cli("calibrate", "demo", "--out", out, "--network", "engine-iter0")
    assert done.code == 0 and done.out.split() == [str(out / "engine-iter0-ranges.json")]
    facts = json.loads((out / "engine-iter0-ranges.json").read_text())
    assert facts["sha256"] == models.entry("engine-iter0").sha256 and len(facts["pictures"]) == 4
    assert all(low <= high for low, high in facts["ranges"].values())
    assert [path.name for path in out.iterdir()] == ["engine-iter0-ranges.json"], "text only, and no picture"


def test_calibrate_wants_faces(cli: Cli, tmp_path: Path) -> None:
    done = cli("calibrate", "demo", "--network", "engine-iter0-int8")
    assert (done.code, done.err.count("\n")) == (2, 1) and "is an int8 file already" in done.err
    done = cli("calibrate", write_video(tmp_path / "grey.mp4", frames=3), "--out", tmp_path / "mine")
    assert done.code == 3 and "shows 0 faces in 3 pictures" in done.err
    assert not (tmp_path / "mine").exists()


def test_calibrate_says_at_once_what_cannot_be_measured(cli: Cli, tmp_path: Path) -> None:
    refused = cli("calibrate", "demo", "--network", "engine-96", "--out", tmp_path)
    assert refused.code == 2 and "engine-96: has no ranges" in refused.err and "--data" in refused.err
    missing = cli("calibrate", "demo", "--data", tmp_path / "nowhere", "--out", tmp_path)
    assert missing.code == 2 and "is not there" in missing.err
    assert not list(tmp_path.iterdir())


def test_build_without_tensorrt_measures(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.networks.selection.installed_backends", lambda: ())
    monkeypatch.setattr("rtface.networks.speed_test.installed_backends", lambda: ())
    monkeypatch.setattr("rtface.networks.speed_test.RUNS", 1)
    monkeypatch.setattr("rtface.networks.speed_test.ROUNDS", 1)
    done = cli("build")
    assert done.code == 0 and "no TensorRT here" in done.err
    lines = done.out.splitlines()
    assert {line.split()[0] for line in lines[:-1]} == {"onnx"} and lines[-1].startswith("--engine auto runs onnx")


def test_build_says_what_is_missing_or_wrong(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.engine.trt_api.MODULES", ("no_such_tensorrt",))
    done = cli("build", "--profile", "desktop-fp16")
    assert (done.code, done.err.count("\n")) == (4, 1) and "pip install 'rtface[tensorrt]'" in done.err
    done = cli("build", "--profile", "laptop")
    assert done.code == 2 and "Known are cpu" in done.err
    done = cli("build", "--profile", "desktop-fp16", "--network", "detector-int8")
    assert done.code == 2 and "plans are built from fp32 ones" in done.err


def test_build_makes_the_plans_that_the_tasks_need(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    monkeypatch.setattr("rtface.cli.build._plan", lambda model, *_: built.append(model.name))
    for given, names in (
        ((), ["detector", "engine-iter0"]),
        (("--tasks", "all"), ["detector", "engine-full"]),
        (("--network", "engine-full"), ["engine-full"]),  # what a stream's child process asks for
    ):
        built.clear()
        done = cli("build", "--profile", "desktop-fp16", "--no-measure", *given)
        assert (done.code, built) == (0, names), done.err
    done = cli("build", "--profile", "desktop-fp16", "--network", "engine-96")
    assert done.code == 2 and "engine-96: runs on the CPU only" in done.err


def test_mediapipe_is_refused_with_what_to_do(cli: Cli) -> None:
    done = cli("run", "demo", "--detector", "mediapipe")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "second cv2" in done.err and "boxes=" in done.err


def test_results_say_which_engine_made_them(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "demo", "--engine", "onnx", "--max-frames", "2")
    header, *frames, _ = (json.loads(line) for line in done.out.splitlines())
    assert header["runtime"]["engine"] == "onnxruntime"
    assert [frame["engine"] for frame in frames] == ["onnxruntime"] * 2


def test_doctor_says_which_engine_and_why(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.networks.selection.installed_backends", lambda: ())
    facts = json.loads(cli("doctor", "--json").out)
    assert facts["engine"].startswith("onnx ") and "no other engine is installed" in facts["engine"]
    assert facts["gpu"].startswith("none: ") or "compute capability" in facts["gpu"]

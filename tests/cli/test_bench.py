"""`rtface bench` on the demo clip with an analyzer whose every frame takes the same time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtface.analyzer import Analyzer
from rtface.bench.scene import Scene
from rtface.cli.app import main
from rtface.system.clock import SystemClock
from rtface.testing import FakeDetector, FakeEngine, Painted, paint
from rtface.types import Frame, FrameResult, Timing


class SlowAnalyzer:
    """Takes 10 ms of the fake time for a frame."""

    now = 0.0

    def __init__(self, options: Any) -> None:
        self.options = options

    def __enter__(self) -> SlowAnalyzer:
        return self

    def __exit__(self, *_: object) -> None: ...

    def video(self, image: np.ndarray, at: float) -> FrameResult:
        SlowAnalyzer.now += 0.010
        return FrameResult(Frame(image), timing=Timing(engine_ms=7.0))

    def describe(self) -> dict[str, Any]:
        return {"engine": "slow"}


@pytest.fixture(autouse=True)
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.analyzer.Analyzer", SlowAnalyzer)
    monkeypatch.setattr(SystemClock, "now", lambda self: SlowAnalyzer.now)


def bench(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["bench", *args])
    return int(ended.value.code or 0)


def test_prints_a_table_and_then_one_json_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "bench.json"
    assert bench("demo", "--frames", "6", "--warmup", "2", "--json", str(file)) == 0
    *text, line = capsys.readouterr().out.splitlines()
    record = json.loads(line)
    assert record["schema"] == "rtface.bench/1"
    assert (record["frames"], record["warmup_frames"], record["size_wh_px"]) == (6, 2, [640, 480])
    assert record["stages"]["total"]["p95_ms"] == pytest.approx(10.0)
    assert record["stages"]["engine"]["p50_ms"] == pytest.approx(7.0)
    assert record["fps"] == pytest.approx(100.0)
    assert record["analyzer"] == {"engine": "slow"}
    assert json.loads(file.read_text()) == record
    assert text[0].split() == ["ms", "a", "frame", "p50", "p95", "p99"]
    assert any(row.startswith("engine") and "7.00" in row for row in text)


@pytest.mark.parametrize(("limit", "code"), [("33ms", 0), ("9ms", 5), ("0.009s", 5)])
def test_the_assertion_decides_the_exit_code(capsys: pytest.CaptureFixture[str], limit: str, code: int) -> None:
    assert bench("--frames", "3", "--warmup", "0", "--assert-p95", limit) == code
    captured = capsys.readouterr()
    assert captured.out.strip().endswith("}")  # the figures come in either case
    assert ("p95 of a frame's analysis is 10.0 ms, not within 9 ms" in captured.err) == (code == 5)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["--assert-p95", "soon"], 2, "expected a positive time"),
        (["--frames", "0"], 2, "greater than or equal to 1"),
        (["no-such-file.mp4"], 3, "does not exist"),
        (["--json", "."], 1, "is a folder"),
        (["--set", "no_such=1"], 2, "is unknown"),
        (["--timeline", "age.png"], 2, "--timeline: is for a simulated camera"),
        (["--budget", "33ms"], 2, "--budget: is for a simulated camera"),
        (["--load", "junk"], 2, "--load: is for a simulated camera"),
        (["--live", "--frames", "9"], 2, "--frames: is for a run without --live"),
        (["--live", "--timeline", "age.jpg"], 2, "expected a .png file and --live"),
        (["--live", "--faces", "many"], 2, "expected numbers from 0 to 9"),
        (["--live", "--load", "heavy"], 2, "expected a positive time"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], args: list[str], code: int, says: str
) -> None:
    assert bench(*args) == code
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(("limit", "code"), [("60s", 0), ("0.0001ms", 5)])
def test_a_live_run_prints_draws_and_asserts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, limit: str, code: int
) -> None:
    monkeypatch.undo()  # real time, but a tenth of a second of it
    painted = Painted(320, 240, 40)

    def analyzer(options: Any, clock: Any = None) -> Analyzer:
        return Analyzer(options, detector=FakeDetector([painted]), engine=FakeEngine(), clock=clock)

    monkeypatch.setattr("rtface.bench.live.Analyzer", analyzer)
    monkeypatch.setattr("rtface.bench.scene.scene_of", lambda clip: Scene([paint([painted])]))
    monkeypatch.setattr("rtface.bench.live.WARMUP_S", 0.0)
    png, file = tmp_path / "age.png", tmp_path / "live.json"
    args = ["--live", "--seconds", "0.1", "--fps", "100", "--budget", "33ms", "--faces", "1"]
    assert bench(*args, "--timeline", str(png), "--json", str(file), "--assert-p95", limit) == code
    captured = capsys.readouterr()
    *text, line = captured.out.splitlines()
    record = json.loads(line)
    assert record["schema"] == "rtface.bench-live/1" and record["budget_ms"] == 33.0
    assert json.loads(file.read_text()) == record
    assert any("levels:" in row for row in text)
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert ("p95 of a result's age is" in captured.err) == (code == 5)

"""`benchmarks/latency.py`: its targets, and a short run on painted faces."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import latency
from rtface.analyzer import Analyzer
from rtface.bench import live
from rtface.bench.scene import Scene
from rtface.testing import FakeDetector, FakeEngine, Painted, paint

FACE = Painted(320, 240, 40)
GOOD: dict[str, Any] = {
    "levels_s": {"0 full": 60.0},
    "age_ms": {"p95": 9.0},
    "late": 0,
    "late_pct": 0.5,
    "moves_per_min": 3.0,
    "largest_face": {"landmarks_pct": 100.0, "landmarks_age_p95_ms": 40.0},
    "spread_mb": 0.4,
}
BAD: dict[str, Any] = {
    "levels_s": {"0 full": 50.0, "1 parsing every 3rd frame": 10.0},
    "age_ms": {"p95": 21.0},
    "late": 1,
    "late_pct": 2.5,
    "moves_per_min": 7.0,
    "largest_face": {"landmarks_pct": 90.0, "landmarks_age_p95_ms": None},
    "spread_mb": None,
}


@pytest.mark.parametrize("name", [*latency.CASES, latency.MEMORY])
def test_every_target_tells_good_from_bad(name: str) -> None:
    good = [latency.holds(*target[1:]) for target in latency.targets(name, GOOD)]
    bad = [latency.holds(*target[1:]) for target in latency.targets(name, BAD)]
    assert all(good) and not any(bad)
    assert bool(good) == (name != "bursts")


def test_a_run_prints_and_draws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def analyzer(options: Any, clock: Any) -> Analyzer:
        return Analyzer(options, detector=FakeDetector([FACE]), engine=FakeEngine(), clock=clock)

    monkeypatch.setattr(live, "Analyzer", analyzer)
    monkeypatch.setattr(latency, "LiveSetup", lambda **given: live.LiveSetup(fps=200.0, warmup_s=0.0, **given))
    args = latency.arguments(["--seconds", "0.2", "--timelines", str(tmp_path)])
    one = latency.run_case("one-face", args, Scene([paint([FACE])]))
    assert json.loads(json.dumps(one))["case"] == "one-face"
    out = capsys.readouterr().out
    assert out.startswith("== one-face") and "asked <= 20" in out
    assert (tmp_path / "one-face.png").stat().st_size > 1000

"""benchmarks/scale.py on next to nothing: what it prints, and what follows from its costs."""

from __future__ import annotations

import argparse
import json

import pytest

pytest.importorskip("prometheus_client", reason="needs pip install 'rtface[serve]'")

from benchmarks import scale


def test_costs_and_what_follows_from_them(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "PARTS", 1)
    assert scale.main(["--seconds", "0.2", "--frames", "3", "--gpu", "16:4"]) == 0
    out = capsys.readouterr().out
    record = json.loads(out.splitlines()[-1])
    assert record["costs"]["decode_ms"]["1920x1080"] > record["costs"]["decode_ms"]["640x480"] > 0
    assert record["costs"]["result"]["with parsing"]["bytes"] > record["costs"]["result"]["without parsing"]["bytes"]
    assert record["gpu"]["faces_a_second"] == 2800


def test_cores_are_those_of_decoding_and_analysing() -> None:
    costs = {
        "decode_ms": {"640x480": 1.0, "1920x1080": 6.0},
        "analyse_ms": {"1 faces": {"5 fps": 12.0, "10 fps": 10.0}},
        "result": {"with parsing": {"cpu_ms": 0.2, "bytes": 18000}},
    }
    small, _, large = scale.needs(costs, argparse.Namespace(cameras=1000, load=0.5))
    assert small["cores_a_camera"] == pytest.approx(5 * 13.0 / 1e3) and small["cores"] == 130
    assert small["head_cores"] == {"with parsing": 1.0} and small["to_head_mb_s"] == {"with parsing": 90.0}
    assert large["cores_a_camera"] == pytest.approx((25 * 6.0 + 5 * 12.0) / 1e3)

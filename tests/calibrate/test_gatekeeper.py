"""The accuracy gate: losses, verdicts, what a failed head keeps in float, and the table on disk."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtface.calibrate import gatekeeper
from rtface.calibrate.gatekeeper import Gatekeeper, table, write_gates
from rtface.calibrate.measure import HEADS, compare_to_fp32
from rtface.errors import ModelError
from rtface.networks.gates import FILE, AccuracyGate, gate_of, gates
from rtface.options import Options
from rtface.precision import int8
from rtface.precision.ranges import Record
from tests.precision.made import crops, entry

FULL = {("landmarks", "nme_pct"): 5.0, ("parsing", "components_f"): 80.0}


def test_a_loss_is_a_loss_whichever_way_the_figure_goes() -> None:
    worse = {("landmarks", "nme_pct"): 5.08, ("parsing", "components_f"): 79.0}
    points, parsing = compare_to_fp32("engine", FULL, worse)
    assert points["loss"] == pytest.approx(0.08) and points["passed"]
    assert parsing["loss"] == pytest.approx(1.0) and not parsing["passed"]
    better = {("landmarks", "nme_pct"): 4.0, ("parsing", "components_f"): 90.0}
    assert all(row["passed"] and row["loss"] < 0 for row in compare_to_fp32("engine", FULL, better))


def test_a_figure_that_is_no_number_fails() -> None:
    (row, _) = compare_to_fp32("engine", FULL, {**FULL, ("landmarks", "nme_pct"): math.nan})
    assert not row["passed"] and row["loss"] is None and row["value"] is None


def test_every_head_is_measured_by_rtface_eval() -> None:
    from rtface.evaluate.registry import MEASURES

    for heads in HEADS.values():
        for head in heads:
            assert head.metric in {metric.name for metric in MEASURES[head.task]().metrics()} or head.task == "parsing"


def record(folder: Path) -> tuple[Any, Record]:
    model = entry(folder)
    ranges = int8.measure(model.path.read_bytes(), [crops(8)], "made")
    return model, Record("made", model.sha256, "t", "m", "s", (), (), ranges)


@pytest.mark.parametrize("mends", [True, False])
def test_a_head_that_loses_too_much_stays_float(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mends: bool) -> None:
    model, before = record(tmp_path)
    monkeypatch.setattr(gatekeeper, "installed_backends", lambda: ())
    quantised: list[tuple[str, ...]] = []
    make = int8.quantised

    def noted(data: bytes, ranges: Any, keep: Any, name: str) -> bytes:
        quantised.append(tuple(keep))
        return make(data, ranges, keep, name)

    def figures(*_: object, **__: object) -> dict[tuple[str, str], float]:
        bad = quantised and (len(quantised) == 1 or not mends)
        return {**FULL, ("parsing", "components_f"): 70.0} if bad else FULL

    monkeypatch.setattr(gatekeeper.int8, "quantised", noted)
    monkeypatch.setattr(gatekeeper, "figures", figures)
    heads = [
        {**head, "output": "labels"}
        for head in compare_to_fp32("engine", FULL, {**FULL, ("parsing", "components_f"): 70.0})
    ]
    monkeypatch.setattr(
        gatekeeper,
        "compare_to_fp32",
        lambda role, full, other: tuple(heads) if other != full else compare_to_fp32(role, full, other),
    )
    options = Options(models_dir=str(tmp_path))
    (tmp_path / "registry.toml").write_text("")
    after, found = Gatekeeper(model, tmp_path, options, None, lambda line: None).measure(before)
    assert after.float_layers == ("labels/Conv",) and quantised == [(), ("labels/Conv",)]
    verdict = {(gate.engine, gate.precision): gate.passed for gate in found}
    assert verdict == {("trt", "fp16"): True, ("trt", "int8"): mends}
    assert found[-1].float_layers == ("labels/Conv",)


def test_a_network_that_finds_nothing_has_a_gate_that_can_be_read(tmp_path: Path) -> None:
    nothing = {**FULL, ("landmarks", "nme_pct"): math.nan}
    for full, other in ((FULL, nothing), (nothing, nothing)):
        heads = compare_to_fp32("engine", full, other)
        write_gates([made(heads=heads, passed=False)], tmp_path, "rtface calibrate clip")
        (found,) = gates(tmp_path)
        assert [head["name"] for head in found.failed] == ["landmarks nme_pct"]
        assert next(row[3:] for row in table([found])) == ("-", "-", "NO")
    text = (tmp_path / FILE).read_text()
    (tmp_path / FILE).write_text(text.replace('"passed": false', '"passed": true'))
    with pytest.raises(ModelError, match="no number"):
        gates(tmp_path)


def made(**changes: Any) -> AccuracyGate:
    heads = compare_to_fp32("engine", FULL, FULL)
    return replace(AccuracyGate("made", "aa", "trt", "int8", "", (), heads, True, "test"), **changes)


def test_gates_are_text_that_is_added_to(tmp_path: Path) -> None:
    assert gates(tmp_path) == ()
    write_gates([made(), made(engine="onnx")], tmp_path, "rtface calibrate clip")
    write_gates([made(passed=False, sha256="bb")], tmp_path, "rtface calibrate clip")
    assert len(gates(tmp_path)) == 2
    found = gate_of("bb", "trt", "int8", tmp_path)
    assert found is not None and not found.passed and gate_of("aa", "trt", "int8", tmp_path) is None
    assert [row[1] for row in table([found])] == ["landmarks nme_pct", "parsing components_f"]
    (tmp_path / FILE).write_text('{"gates": [{"model": 1}]}')
    with pytest.raises(ModelError, match="not a readable gate table"):
        gates(tmp_path)

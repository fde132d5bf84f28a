"""The registry: reading it, choosing from it, and files that are not what it says."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from rtface import models
from rtface.errors import ModelError
from rtface.system import machine

ENTRY = """
[[model]]
name = "{name}"
role = "{role}"
file = "{name}.onnx"
sha256 = "{sha256}"
bytes = {bytes}
code_licence = "Apache-2.0"
weights_licence = "research"
precision = "{precision}"
inputs = ["crops uint8 (N, 128, 128, 3)"]
outputs = ["pose float32 (N, 3)"]
card = "{name}.md"
{more}
[[model.metrics]]
name = "NME"
value = 5
data = "AFW"
command = "rtface eval landmarks"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = ""
    for name, role, precision, more in (
        ("mos", "detector", "fp32", ""),
        ("ifan0", "engine", "fp32", "iterations = 0"),
        ("ifan1", "engine", "fp32", "iterations = 1"),
        ("ifan1-int8", "engine", "int8", "iterations = 1"),
    ):
        data = name.encode() * 100
        (tmp_path / f"{name}.onnx").write_bytes(data)
        text += ENTRY.format(
            name=name,
            role=role,
            precision=precision,
            more=more,
            bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
    (tmp_path / "registry.toml").write_text(text, "utf-8")
    (tmp_path / "mos.md").write_text("# MOS", "utf-8")
    return tmp_path


def test_entries_hold_what_the_file_says(folder: Path) -> None:
    first, *_, last = models.entries(folder)
    assert (first.name, first.role, first.iterations) == ("mos", "detector", None)
    assert last.precision == "int8" and last.iterations == 1 and last.path == folder / "ifan1-int8.onnx"
    assert first.metrics == (models.Metric("NME", 5.0, "AFW", "rtface eval landmarks"),)
    assert models.card("mos", folder) == "# MOS"
    assert models.load("mos", folder) == b"mos" * 100
    assert all(error is None for _, error in models.verify(folder))


@pytest.mark.parametrize(("fast", "expected"), [(True, "ifan1-int8"), (False, "ifan1")])
def test_auto_precision_follows_the_processor(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fast: bool, expected: str
) -> None:
    monkeypatch.setattr("rtface.models.registry.runs_int8_fast", lambda: fast)
    assert models.find("engine", 1, models_dir=folder).name == expected
    assert models.find("engine", 0, models_dir=folder).name == "ifan0"  # no int8 of it: the other
    assert models.find("detector", models_dir=folder).name == "mos"
    assert models.find("engine", 1, "fp32", folder).name == "ifan1"
    with pytest.raises(ModelError, match=r"precision int8.*Choose among: mos, ifan0"):
        models.find("engine", 0, "int8", folder)


@pytest.mark.parametrize(("flags", "expected"), [("fpu avx2 avx512_vnni", True), ("fpu avx2", False), (None, False)])
def test_processor_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str | None, expected: bool) -> None:
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : {flags}\n", "ascii")
    monkeypatch.setattr(machine, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    machine.runs_int8_fast.cache_clear()
    assert machine.runs_int8_fast() is expected
    machine.runs_int8_fast.cache_clear()


def damage(path: Path, how: str) -> None:
    data = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(data[:-1])
    elif how == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(data[:-1] + b"?")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ("missing", "is missing"),
        ("short", "is cut short: 299 of 300 bytes"),
        ("other", "SHA-256"),
        ("folder", "irectory"),
    ],
)
def test_damaged_files_are_named_and_mended(folder: Path, how: str, why: str) -> None:
    damage(folder / "mos.onnx", how)
    with pytest.raises(ModelError, match=why) as caught:
        models.load("mos", folder)
    assert caught.value.exit_code == 4
    assert "rtface models verify" in str(caught.value) and str(folder / "mos.onnx") in str(caught.value)
    report = {entry.name: error for entry, error in models.verify(folder)}
    assert isinstance(report["mos"], ModelError) and report["ifan0"] is None


def test_unknown_names(folder: Path) -> None:
    with pytest.raises(ModelError, match="Expected one of: mos, ifan0"):
        models.load("mso", folder)
    with pytest.raises(ModelError, match="has no card"):
        models.card("ifan0", folder)


@pytest.mark.parametrize(
    ("text", "why"),
    [(None, "No such file"), ("[[model", "not a readable registry"), ('[[model]]\nname = "a"', "no key 'role'")],
)
def test_broken_registries(tmp_path: Path, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / "registry.toml").write_text(text, "utf-8")
    with pytest.raises(ModelError, match=why):
        models.entries(tmp_path)


def test_the_gates_that_ship_are_of_the_files_that_ship() -> None:
    """Whoever exports anew measures anew: rtface calibrate CORPUS --data CORPUS."""
    from rtface.networks.gates import gates

    shas = {one.name: one.sha256 for one in models.entries()}
    measured = gates()
    assert {(gate.model, gate.engine, gate.precision) for gate in measured} >= {
        (model, engine, "int8") for model in ("detector", "engine-iter0") for engine in ("onnx", "openvino", "trt")
    }
    for gate in measured:
        assert gate.sha256 == shas[gate.model], gate
        assert gate.file_sha256 in ("", gate.sha256, shas[f"{gate.model}-int8"]), gate


def test_what_was_calibrated_are_the_files_that_ship() -> None:
    """Ranges for TensorRT's INT8, and what the x86 files were quantised from."""
    shas = {one.name: one.sha256 for one in models.entries()}
    folder = Path(__file__).parents[2] / "calibration"
    ranges = {path.name.removesuffix("-ranges.json"): path for path in folder.glob("*-ranges.json")}
    assert ranges.keys() >= {one.name for one in models.entries() if one.role in ("engine", "detector")} & {
        name for name in shas if not name.endswith("-int8")
    }
    for name, path in ranges.items():
        assert json.loads(path.read_text("utf-8"))["sha256"] == shas[name], name
    for path in folder.glob("*-int8.json"):
        assert json.loads(path.read_text("utf-8"))["from_sha256"] == shas[path.stem.removesuffix("-int8")], path.name


def test_a_networks_file_is_read_with_the_weights_that_another_lends_it(tmp_path: Path) -> None:
    more = models.entry("engine-iter1")
    assert more.weights == "engine-iter0" and more.bytes < 0.1 * models.entry("engine-iter0").bytes
    whole = models.read_network(more.path)
    assert whole == models.load(more) and len(whole) > models.entry("engine-iter0").bytes
    alone = tmp_path / more.path.name
    alone.write_bytes(more.path.read_bytes())
    assert models.read_network(alone) == more.path.read_bytes()  # no registry is there to say whose they are


def test_all_networks_that_ship_take_less_than_16_mb() -> None:
    files = list(models.PACKAGE_DIR.glob("*.onnx"))
    assert {one.path for one in models.entries()} == set(files)
    assert sum(path.stat().st_size for path in files) <= 16e6

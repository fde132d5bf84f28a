"""`--engine auto`: what is remembered, for how long, and what the gates let through."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from rtface import models
from rtface.analyzer import Analyzer
from rtface.engine.cuda import Gpu
from rtface.errors import EngineError, OptionError
from rtface.networks import open as networks
from rtface.networks import selection, speed_test, speeds
from rtface.networks.gates import FILE, AccuracyGate
from rtface.networks.selection import Backend, Catalogue, SelectedNetwork, choose_backend, select, select_network
from rtface.networks.speeds import Speed
from rtface.options import Options
from rtface.testing import FakeClock, FakeEngine

SPEEDS = [Speed("onnx", "int8", 4.0), Speed("openvino", "int8", 2.0), Speed("onnx", "fp32", 6.0)]


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with OpenVINO and fast int8, and an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(speeds, "cache_dir", lambda: tmp_path / "cache" / "rtface")
    monkeypatch.setattr(selection, "installed_backends", lambda: ("openvino",))
    monkeypatch.setattr(speed_test, "installed_backends", lambda: ("openvino",))
    monkeypatch.setattr(selection, "runs_int8_fast", lambda: True)


def gate_file(folder: Path, *rows: tuple[str, str, str, bool]) -> str:
    """Gates of (role, engine, precision, passed) for the networks that ship."""
    found = []
    for role, engine, precision, passed in rows:
        full = models.find(role, None if role == "detector" else 0, "fp32")
        found.append(asdict(AccuracyGate(full.name, full.sha256, engine, precision, "", (), (), passed, "test")))
    (folder / FILE).write_text(json.dumps({"gates": found}))
    return str(folder)


def backend(options: Options) -> Backend:
    return choose_backend(options, Catalogue.read(options))


def remember(options: Options, found: list[Speed]) -> Path:
    return speeds.remember(options, models.entries(), found)


def recall(options: Options) -> tuple[Speed, ...]:
    return speeds.recall(options, models.entries())


def opened(role: str, options: Options) -> models.ModelEntry:
    network, model = networks.open_network(select_network(role, options), options)
    network.close()
    return model


def test_nothing_remembered_is_onnx_runtime(tmp_path: Path) -> None:
    made = backend(Options(calibration_dir=gate_file(tmp_path)))
    assert (made.name, made.precision) == ("onnx", "int8") and "rtface doctor" in made.why


def test_the_fastest_is_remembered_until_something_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    remember(Options(), SPEEDS)
    assert backend(Options()).name == "openvino"
    assert "onnx int8 4.00 ms" in backend(Options()).why
    assert backend(Options(precision="fp32")) == Backend("onnx", "fp32", "fastest here of onnx fp32 6.00 ms")
    assert backend(Options(threads=1)).name == "onnx"  # was not measured with one thread
    monkeypatch.setattr(speeds, "package_version", lambda name: "99")
    assert recall(Options()) == ()
    remember(Options(), SPEEDS[:1])
    monkeypatch.undo()


@pytest.mark.parametrize("junk", ["", "[", "{}", '{"measured": [1, {"facts": 3}]}'])
def test_an_unreadable_cache_was_never_there(junk: str) -> None:
    path = remember(Options(), SPEEDS)
    path.write_text(junk)
    assert recall(Options()) == ()
    remember(Options(), SPEEDS)
    assert recall(Options()) == tuple(SPEEDS)


def test_what_is_asked_for_is_not_second_guessed() -> None:
    remember(Options(), SPEEDS)
    assert backend(Options(engine="onnx")).name == "onnx"
    assert backend(Options(engine="trt")) == Backend("trt", "fp16", "as asked for")
    assert backend(Options(engine="openvino")).precision == "int8"


def test_gates_decide_for_each_network(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    failed = ("detector", "onnx", "int8", False), ("engine", "onnx", "int8", True)
    options = Options(calibration_dir=gate_file(tmp_path, *failed), engine="onnx")
    made = backend(options)
    assert made.precision == "int8"
    chosen = select(options)
    assert (chosen.detector.precision, chosen.multitask.precision) == ("fp32", "int8")
    assert (opened("detector", options).precision, opened("engine", options).precision) == ("fp32", "int8")
    asked = Options(calibration_dir=options.calibration_dir, engine="onnx", precision="int8")
    with caplog.at_level(logging.WARNING):
        assert opened("engine", asked).precision == "int8"
        assert not caplog.text
        assert opened("detector", asked).precision == "int8"
    assert "detector in int8 on onnx loses more than its gate allows" in caplog.text


def test_openvino_takes_part_where_its_gate_was_passed(tmp_path: Path) -> None:
    none = Options(calibration_dir=gate_file(tmp_path))
    assert speed_test.candidates(none, Catalogue.read(none)) == [
        ("onnx", "fp32"),
        ("onnx", "int8"),
        ("openvino", "fp32"),
    ]
    rows = [(role, "openvino", "int8", True) for role in ("detector", "engine")]
    some = Options(calibration_dir=gate_file(tmp_path, *rows))
    candidates = speed_test.candidates(some, Catalogue.read(some))
    assert ("openvino", "int8") in candidates and ("openvino", "fp16") not in candidates


def test_measuring_times_what_would_run_and_leaves_out_what_cannot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, timed = FakeClock(), []

    class Timed(FakeEngine):
        def __init__(self, ms: float) -> None:
            super().__init__()
            self.ms = ms

        def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:  # type: ignore[override]
            clock.time += self.ms / 1e3
            return {}

    def open_network(chosen: SelectedNetwork, options: Options) -> tuple[Timed, None]:
        if chosen.backend == "openvino":
            raise EngineError(chosen.role, "does not load", "Mend it")
        timed.append((chosen.role, chosen.backend, chosen.precision))
        return Timed({"fp32": 9.0, "int8": 4.5}[chosen.precision]), None

    monkeypatch.setattr(speed_test, "open_network", open_network)
    options, said = Options(calibration_dir=gate_file(tmp_path, ("detector", "onnx", "int8", False))), []
    speeds = speed_test.measure(options, clock=clock, say=said.append)
    assert speeds == [Speed("onnx", "int8", 5.5), Speed("onnx", "fp32", 10.0)]  # the detector in fp32 both times
    assert ("detector", "onnx", "fp32") in timed and ("detector", "onnx", "int8") not in timed
    assert len(said) == 2 and "does not load" in said[0]
    assert recall(options) == (Speed("onnx", "fp32", 10.0), Speed("onnx", "int8", 5.5))


def test_a_gpu_that_fails_while_it_is_timed_is_not_remembered_with_its_spares_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Failing(FakeEngine):
        def describe(self) -> dict[str, str | int]:
            return {"engine": "onnxruntime" if self.batches else "tensorrt"}

        def run(self, batch: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:  # type: ignore[override]
            self.batches.append(1)
            return {}

    monkeypatch.setattr(speed_test, "candidates", lambda *_: [("trt", "fp16")])
    monkeypatch.setattr(speed_test, "open_network", lambda chosen, options: (Failing(), None))
    said: list[str] = []
    assert speed_test.measure(Options(), clock=FakeClock(), say=said.append) == []
    assert "trt fp16: tensorrt failed and onnxruntime went on" in said[0]


def test_what_was_measured_with_another_gpu_is_not_recalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "installed_backends", lambda: ("trt",))
    for name in ("RTX 4060", "RTX 4090"):
        monkeypatch.setattr("rtface.engine.cuda.gpu", lambda name=name: Gpu(name, "8.9", 24, 8192, False, "13.0"))
        speeds._gpu.cache_clear()
        assert recall(Options()) == ()
        remember(Options(), SPEEDS)
        assert recall(Options()) == tuple(SPEEDS)
    speeds._gpu.cache_clear()


def test_a_chosen_engine_that_fails_gives_way_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    remember(Options(), [Speed("trt", "fp16", 1.0), *SPEEDS])
    monkeypatch.setattr("rtface.engine.trt_api.MODULES", ("no_such_tensorrt",))
    with caplog.at_level(logging.WARNING):
        network, _ = networks.open_network(select(Options()).multitask, Options())
    assert network.describe()["engine"] == "onnxruntime" and "ONNX Runtime runs instead" in caplog.text
    with pytest.raises(EngineError, match="is not installed, nor is tensorrt_rtx"):
        opened("engine", Options(engine="trt"))
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"pip install 'rtface\[openvino\]'"):
        opened("engine", Options(engine="openvino"))


def test_half_precision_has_no_place_on_onnx_runtime() -> None:
    with pytest.raises(OptionError, match="expected fp32 or int8 for --engine onnx"):
        opened("engine", Options(engine="onnx", precision="fp16"))


@pytest.mark.parametrize(("engine", "device"), [("onnx-cuda", "cuda"), ("onnx-trt", "tensorrt")])
def test_onnx_runtime_on_a_gpu_takes_float32(engine: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The INT8 files are made for x86 CPUs."""
    made = []

    class Ort(FakeEngine):
        def __init__(
            self, data: bytes, name: str, threads: int | None, *, device: str, decoders: object, shapes: list[object]
        ) -> None:
            super().__init__()
            made.append((name, device, len(shapes)))

    monkeypatch.setattr(networks, "OrtEngine", Ort)
    for role, name, shapes in (("engine", "engine-iter0", 8), ("detector", "detector", 2)):
        assert opened(role, Options(engine=engine)).precision == "fp32"
        assert made[-1] == (name, device, shapes), "every number of faces is run before the stream, or two cameras"
        for precision in ("int8", "fp16"):
            with pytest.raises(OptionError, match=f"expected fp32 for --engine {engine}, got '{precision}'"):
                select_network(role, Options(engine=engine, precision=precision))


def test_the_smaller_engine_has_a_gate_of_its_own_or_that_of_the_whole(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()

    def allows(role: str, options: Options) -> bool:
        return Catalogue.read(options).gate_allows(role, "openvino", "int8", options)

    assert allows("small-engine", Options(calibration_dir=gate_file(tmp_path, ("engine", "openvino", "int8", True))))
    rows = ("engine", "openvino", "int8", True), ("small-engine", "openvino", "int8", False)
    own = Options(calibration_dir=gate_file(tmp_path / "own", *rows))
    assert allows("engine", own) and not allows("small-engine", own)


def test_more_tasks_take_the_network_that_has_them_if_its_own_gate_and_that_of_the_whole_allow(tmp_path: Path) -> None:
    four, seven = select(Options(precision="int8")), select(Options(precision="int8", tasks="all"))
    assert (four.multitask.role, seven.multitask.role) == ("engine", "full-engine")
    assert [one.role for one in seven.fallbacks] == ["small-full-engine"]
    assert select(Options(tasks="gaze")).multitask.name == "engine-full"
    for passed, allowed in (((True, True), True), ((True, False), False), ((False, True), False)):
        rows = [(role, "onnx", "int8", yes) for role, yes in zip(("engine", "full-engine"), passed, strict=True)]
        options = Options(calibration_dir=gate_file(tmp_path, *rows))
        catalogue = Catalogue.read(options)
        assert catalogue.gate_allows("full-engine", "onnx", "int8", options) is allowed
        assert catalogue.gate_allows("small-full-engine", "onnx", "int8", options) is allowed
    with pytest.raises(OptionError, match="expected 0 with the tasks mesh"):
        select(Options(tasks="mesh", iterations=1))


def test_one_analyzer_reads_the_registry_and_the_gates_once(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    read_text = Path.read_text

    def counted(path: Path, *args: object, **more: object) -> str:
        reads.append(path.name)
        return read_text(path, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", counted)
    with Analyzer(Options(iterations=1, enhance=True, budget_ms=33)) as analyzer:
        assert len(analyzer.describe()["models"]) == 5  # the ladder's, too
    assert (reads.count("registry.toml"), reads.count(FILE)) == (1, 1)


def test_the_decision_says_what_runs_and_why() -> None:
    chosen = select(Options(iterations=2, enhance=True, engine="onnx", precision="fp32"))
    assert [one.name for one in chosen.fallbacks] == ["engine-iter1", "engine-iter0", "engine-96"]
    assert chosen.describe() == {
        "backend": "onnx",
        "precisions": {"detector": "fp32", "engine-iter2": "fp32", "enhancer": "fp32"},
        "why": "as asked for",
    }

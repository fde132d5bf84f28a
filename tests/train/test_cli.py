"""`rtface train` and `rtface export` on the made-up corpus: two steps, then files that agree with torch."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from rtface import models
from rtface.cli.app import main
from rtface.engine import OrtEngine
from rtface.errors import ModelError
from rtface.train import detector
from rtface.train import export as exporter
from rtface.train.nets.ifan import OUTPUT_NAMES, EngineExport
from rtface.train.nets.mos import DetectorExport

SMALL = ("--batch", "8", "--threads", "1", "--device", "cpu")


def run(*args: object) -> int:
    with pytest.raises(SystemExit) as leaving:
        main([str(a) for a in args])
    return int(leaving.value.code or 0)


@pytest.fixture(scope="module")
def engine_run(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    assert run("train", "engine", "--data", corpus, "--cache", cache, "--run", folder, "--steps", 2, *SMALL) == 0
    return folder


@pytest.fixture(scope="module")
def detector_run(corpus: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector")
    assert run("train", "detector", "--data", corpus, "--cache", cache, "--run", folder, "--steps", 2, *SMALL) == 0
    return folder


@pytest.mark.parametrize("net", ["engine", "detector"])
def test_a_mix_from_toml_trains_and_flags_go_before_it(
    corpus: Path, cache: Path, tmp_path: Path, net: str, capfd: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "train.toml"
    config.write_text(
        f"""
        run = "{tmp_path / "by-toml"}"
        cache = "{cache}"
        steps = 1
        batch = 6
        threads = 1
        device = "cpu"

        [[source]]
        path = "{corpus / "landmarks.parquet"}"
        share = 2
        tasks = ["landmarks", "points5", "pose"]

        [[source]]
        path = "{corpus / "negatives.parquet"}"
        boxed = true
        """,
        encoding="utf-8",
    )
    assert run("train", net, "--config", config) == 0
    said = capfd.readouterr()
    assert said.out.strip() == str(tmp_path / "by-toml" / "last.pt")
    if net == "engine":
        assert "landmarks: 67 % of a batch, 3 samples: landmarks 3, pose 3" in said.err
    assert torch.load(tmp_path / "by-toml" / "last.pt", weights_only=True)["step"] == 1

    flags = ("--run", tmp_path / "by-flags", "--steps", 2, "--source", f"{corpus / 'landmarks.parquet'}=1:landmarks")
    assert run("train", net, "--config", config, *flags) == 0
    assert torch.load(tmp_path / "by-flags" / "last.pt", weights_only=True)["step"] == 2
    if net == "engine":
        assert "landmarks: 100 % of a batch, 3 samples: landmarks 3" in capfd.readouterr().err


@pytest.fixture(scope="module")
def engine_models(engine_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("engine-models") / "new"  # made by the export
    assert run("export", "engine", "--run", engine_run, "--out", out) == 0
    return out


def log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_engine_training_leaves_a_checkpoint_and_a_log(engine_run: Path) -> None:
    saved = torch.load(engine_run / "last.pt", weights_only=True)
    assert saved["step"] == 2 and all(torch.isfinite(v).all() for v in saved["ema"].values())
    (last,) = log(engine_run)
    assert last["step"] == "2"
    assert all(
        float(last[name]) > 0 for name in ("points", "heat", "landmark_std", "parsing", "emotion", "pose", "face")
    )
    for name in ("landmarks", "parsing", "emotion", "five"):
        # at its end a training validates the averaged weights, with and without interaction
        assert float(last[f"{name}0"]) >= 0
        assert float(last[f"{name}1"]) == pytest.approx(float(last[f"{name}0"]), abs=1e-3)
    assert 5 < float(last["landmarks0"]) < 100  # per cent of the eyes' distance, by an untrained net
    assert (engine_run / "log.png").stat().st_size > 1000


def test_detector_training_leaves_a_checkpoint_and_a_log(detector_run: Path) -> None:
    saved = torch.load(detector_run / "last.pt", weights_only=True)
    assert saved["step"] == 2 and all(torch.isfinite(v).all() for v in saved["ema"].values())
    (last,) = log(detector_run)
    assert {"face", "box", "points", "pose", "raw_face", "raw_small", "hard"} <= last.keys()
    assert float(last["raw_face"]) > 0 and 0 <= float(last["raw_small"]) <= 1


def test_the_same_command_goes_on(
    corpus: Path, cache: Path, detector_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "last.pt").write_bytes((detector_run / "last.pt").read_bytes())
    args = ("train", "detector", "--data", corpus, "--cache", cache, "--run", tmp_path, *SMALL)
    assert run(*args, "--steps", 3) == 0
    said = capsys.readouterr()
    assert "going on from step 2" in said.err and said.out.strip() == str(tmp_path / "last.pt")
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 3
    assert run(*args, "--steps", 3, "--no-cross-stitch") == 4  # another network's memory
    assert "of another network" in capsys.readouterr().err


def test_an_interrupted_run_saves_what_it_has(
    corpus: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    honest, calls = detector.detection_losses, iter((True, False))

    def interrupted(*args: Any) -> Any:
        if not next(calls):
            raise KeyboardInterrupt
        return honest(*args)

    monkeypatch.setattr(detector, "detection_losses", interrupted)
    args = ("--data", corpus, "--cache", cache, "--run", tmp_path, "--steps", 5)
    assert run("train", "detector", *args, *SMALL) == 130
    assert "run the same command to go on" in capsys.readouterr().err
    assert torch.load(tmp_path / "last.pt", weights_only=True)["step"] == 1


@pytest.mark.parametrize("iterations", [0, 1, 2])
@torch.no_grad()
def test_the_exported_engine_is_the_averaged_net(engine_run: Path, engine_models: Path, iterations: int) -> None:
    entry = models.entry(f"engine-iter{iterations}", engine_models)
    assert (entry.role, entry.precision, entry.iterations) == ("engine", "fp32", iterations)
    crops = np.random.default_rng(1).integers(0, 256, (2, 128, 128, 3), dtype=np.uint8)
    got = OrtEngine(models.load(entry), entry.name, 1).run(crops, OUTPUT_NAMES)
    expected = EngineExport(exporter.load_engine(engine_run / "last.pt"), iterations)(torch.from_numpy(crops))
    for name, truth in zip(OUTPUT_NAMES, expected, strict=True):
        if name == "parsing":
            assert got[name].dtype == np.uint8
            assert (got[name] == truth.numpy()).mean() > 0.97
        else:  # unlike the export's own comparison, this one is with weights before they are rounded to float16
            assert got[name] == pytest.approx(truth.numpy(), rel=1e-2, abs=2e-2), name


@torch.no_grad()
def test_smaller_crops_and_more_rounds_borrow_their_weights(engine_run: Path, engine_models: Path) -> None:
    small, whole = (models.entry(name, engine_models) for name in ("engine-96", "engine-iter0"))
    more, lender = (models.entry(name, engine_models) for name in ("engine-iter2", "engine-iter1"))
    assert (more.role, more.weights, more.iterations) == ("engine", "engine-iter1", 2)
    assert (lender.weights, lender.weights_sha256, more.weights_sha256) == ("engine-iter0", whole.sha256, lender.sha256)
    assert more.bytes < lender.bytes < 0.1 * whole.bytes
    assert (small.role, small.size, small.weights, small.iterations) == ("small-engine", 96, "engine-iter0", 0)
    assert small.bytes < 0.05 * whole.bytes
    assert models.find("engine", 0, models_dir=engine_models) == whole
    crops = np.random.default_rng(1).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    got = OrtEngine(models.load(small), small.name, 1).run(crops, OUTPUT_NAMES)
    expected = EngineExport(exporter.load_engine(engine_run / "last.pt"), 0)(torch.from_numpy(crops))
    for name, truth in zip(OUTPUT_NAMES, expected, strict=True):
        assert got[name].shape == tuple(truth.shape)
        if name != "parsing":
            assert got[name] == pytest.approx(truth.numpy(), rel=1e-2, abs=2e-2), name
    registry = engine_models / "registry.toml"
    plain = registry.read_text("utf-8")
    registry.write_text(plain.replace(f'weights_sha256 = "{whole.sha256}"', f'weights_sha256 = "{"ab" * 32}"'), "utf-8")
    with pytest.raises(ModelError, match="was exported with other weights than engine-iter0 has now"):
        models.load("engine-96", engine_models)
    registry.write_text(plain, "utf-8")
    whole.path.rename(whole.path.with_suffix(".away"))
    with pytest.raises(ModelError, match=r"engine-iter0.onnx: is missing"):
        models.load(small)
    whole.path.with_suffix(".away").rename(whole.path)


@torch.no_grad()
def test_the_exported_detector_takes_any_size_and_several_pictures(
    detector_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("export", "detector", "--run", detector_run, "--out", tmp_path) == 0
    assert "largest difference from torch" in capsys.readouterr().out
    entry = models.entry("detector", tmp_path)
    assert (entry.role, entry.precision, entry.iterations) == ("detector", "fp32", None)
    assert models.verify(tmp_path) == [(entry, None)]
    net = DetectorExport(exporter.load_detector(detector_run / "last.pt"))
    engine = OrtEngine(models.load(entry), entry.name, 1)
    for batch, height, width in ((1, 64, 64), (1, 96, 160), (3, 64, 32)):
        image = np.random.default_rng(height).integers(0, 256, (batch, height, width, 3), dtype=np.uint8)
        got = engine.run(image, ("detections",))["detections"]
        assert got == pytest.approx(net(torch.from_numpy(image)).numpy(), rel=1e-2, abs=0.1)


def test_terms_and_card_come_from_what_the_run_learned_from(
    engine_run: Path, engine_models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = models.entry("engine-iter0", engine_models)
    assert entry.weights_licence.startswith("non-commercial research only")
    assert "mtfl" in entry.weights_licence and "wider" not in entry.weights_licence
    card = models.card("engine-iter0", engine_models)
    assert f"`{entry.sha256}`" in card and "| helen | non-commercial research | 2 | `landmarks.parquet` |" in card
    (engine_models / "cards" / "engine.md").write_text("# By hand\n", "utf-8")
    assert run("export", "engine", "--run", engine_run, "--out", engine_models, "--iterations", 0) == 0
    assert models.card("engine-iter0", engine_models) == "# By hand\n"
    assert "stays as it is" in capsys.readouterr().err

    (tmp_path / "last.pt").write_bytes((engine_run / "last.pt").read_bytes())  # a run without a manifest
    args = ("export", "engine", "--run", tmp_path, "--out", tmp_path / "models", "--iterations", 0)
    assert run(*args) == 4 and "--license TEXT" in capsys.readouterr().err
    assert run(*args, "--license", "CC-BY-4.0") == 0
    assert models.entry("engine-iter0", tmp_path / "models").weights_licence == "CC-BY-4.0"


def test_export_asks_before_it_replaces_installed_networks(
    engine_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    before = {entry.name: entry.sha256 for entry in models.entries()}
    assert run("export", "engine", "--run", engine_run) == 2  # nobody is there to ask
    assert "own networks" in capsys.readouterr().err and list(tmp_path.iterdir()) == []
    assert {entry.name: entry.sha256 for entry in models.entries()} == before
    assert run("export", "engine", "--run", engine_run, "--out", tmp_path / "engine.onnx") == 2
    assert "is a file's name" in capsys.readouterr().err


def test_registering_again_keeps_what_was_measured(engine_run: Path, engine_models: Path) -> None:
    registry = engine_models / "registry.toml"
    plain = registry.read_text("utf-8")
    names = [entry.name for entry in models.entries(engine_models)]
    assert names == ["engine-iter0", "engine-iter1", "engine-iter2", "engine-96"]
    measured = 'metrics = [{name = "nme", value = 4.5, data = "AFW", command = "rtface eval"}]\n'
    registry.write_text(plain.replace("iterations = 0\n", "iterations = 0\n" + measured), "utf-8")
    from rtface.train.register import register

    other = exporter.Exported(engine_models / "engine-iter0.onnx", 12, "ab" * 32, {})
    register(engine_models, "engine-iter0", "engine", other, "fp32", 0, terms="CC0")
    first, second, *_ = models.entries(engine_models)
    assert (first.bytes, first.sha256, first.metrics[0].value) == (12, "ab" * 32, 4.5)
    assert second.metrics == ()
    registry.write_text(plain, "utf-8")


def spoil(value: float) -> Any:
    """`halve_weights` with one weight of the file changed on the way."""
    honest = exporter.halve_weights

    def spoiled(model: onnx.ModelProto) -> onnx.ModelProto:
        tensor = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 4)
        weights = onnx.numpy_helper.to_array(tensor).copy()
        weights.flat[0] += value
        tensor.CopyFrom(onnx.numpy_helper.from_array(weights, tensor.name))
        return honest(model)

    return spoiled


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_export_refuses_a_file_that_differs(
    detector_run: Path,
    tmp_path: Path,
    value: float,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(exporter, "halve_weights", spoil(value))
    (tmp_path / "detector.onnx").write_bytes(b"the earlier one")
    assert run("export", "detector", "--run", detector_run, "--out", tmp_path) == 4
    assert "ONNX Runtime and torch differ by" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["detector.onnx"]
    assert (tmp_path / "detector.onnx").read_bytes() == b"the earlier one"


def convolutions_in_int8(path: Path) -> set[str]:
    """Names of the convolutions whose weights are dequantised."""
    nodes = onnx.load(path).graph.node
    maker_of = {output: n.op_type for n in nodes for output in n.output}
    return {n.name for n in nodes if n.op_type == "Conv" and maker_of.get(n.input[1]) == "DequantizeLinear"}


@pytest.mark.parametrize(("net", "float_part"), [("detector", "head/Conv"), ("engine", None)])
def test_int8_writes_a_quantised_file_and_how_it_was_made(
    net: str,
    float_part: str | None,
    request: pytest.FixtureRequest,
    corpus: Path,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    trained, data = request.getfixturevalue(f"{net}_run"), ("--int8", "--data", corpus, "--cache", cache)
    assert run("export", net, "--run", trained, "--out", tmp_path, *data) == 0
    by_name = {e.name: e for e in models.entries(tmp_path)}
    floats = [n for n, e in by_name.items() if e.precision == "fp32"]
    assert ("engine-96" in floats) == (net == "engine")
    assert {e.name for e in by_name.values() if e.precision == "int8"} == {f"{n}-int8" for n in floats}
    assert all(error is None for _, error in models.verify(tmp_path))
    for name in floats:
        plain, entry = by_name[name], by_name[f"{name}-int8"]
        assert entry.bytes < 0.8 * plain.bytes or entry.weights == f"{plain.weights}-int8"
        assert entry.iterations == plain.iterations
        facts = json.loads((tmp_path / "calibration" / f"{name}-int8.json").read_text("utf-8"))
        assert (facts["model"], facts["from"]) == (entry.path.name, plain.path.name)
        assert plain.weights or facts["from_sha256"] == plain.sha256  # of the whole network, before it lent its weights
        assert facts["pictures"] == sorted(facts["pictures"]) and len(facts["pictures"]) >= 8
        assert any(float_part in layer for layer in facts["float_layers"]) if float_part else not facts["float_layers"]
        assert not convolutions_in_int8(entry.path) & set(facts["float_layers"])
        assert len(convolutions_in_int8(entry.path)) > 10
        assert set(facts["mean_absolute_difference_from_float"]) == {
            o.name for o in onnxruntime.InferenceSession(models.load(plain)).get_outputs()
        }


def test_the_seeds_ideas_are_switched_by_flags(corpus: Path, cache: Path, tmp_path: Path) -> None:
    args = ("--data", corpus, "--cache", cache, "--run", tmp_path / "run", "--steps", 1, *SMALL)
    assert run("train", "engine", *args, "--residual", "--association", "--task-norm", "--iterations", 2) == 0
    names = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["net"]
    assert {"residual.points.weight", "association.mean.weight", "encoder.s2.bn.task_mean"} <= set(names)
    assert run("export", "engine", "--run", tmp_path / "run", "--out", tmp_path, "--iterations", 2) == 0
    assert [e.iterations for e in models.entries(tmp_path)] == [0, 1, 2, 0]


ENGINE = ("train", "engine", "--data", "d", "--run", "r", "--steps", "1")


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("train", "engine", "--data", "d", "--run", "r"), 2, "Pass --minutes N or --steps N"),
        (("train", "engine", "--run", "r", "--steps", "1"), 2, "rtface train: data: is missing. Pass --data"),
        (("train", "detector", "--data", "d", "--steps", "1"), 2, "rtface train: run: is missing. Pass --run"),
        (("train", "engine", "--run", "r", "--steps", "1", "--source", "no.parquet"), 2, "there is no parquet file"),
        (("train", "engine", "--config", "no.toml"), 2, "no.toml: No such file"),
        (
            ("train", "engine", "--data", "d", "--run", "r", "--steps", "0"),
            2,
            "steps: expected a whole number of at least 1, got 0",
        ),
        ((*ENGINE, "--network", "resnet"), 2, "network: expected one of fast, ifan-paper, got 'resnet'"),
        ((*ENGINE, "--network", "ifan-paper", "--residual"), 2, "ifan-paper has no residual"),
        ((*ENGINE, "--iterations", "4"), 2, "iterations: expected a whole number from 0 to 3, got 4"),
        (("train", "engine", "--data", "d", "--run", "r", "--steps", "1"), 3, "d: does not exist"),
        (
            ("train", "detector", "--data", "d", "--run", "r", "--steps", "1", "--device", "tpu"),
            2,
            "one of auto, cpu, cuda",
        ),
        (("export", "engine", "--run", "r"), 4, "last.pt: there is no such checkpoint"),
        (("export", "detector", "--run", "r", "--int8"), 2, "Pass --data FOLDER too"),
    ],
)
def test_wrong_use_says_what_to_do(
    args: tuple[str, ...],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    assert run(*args, *(("--cache", "c") if args[0] == "train" else ("--out", "o"))) == code
    torch.set_num_threads(threads)
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1


def test_another_nets_run_is_refused(detector_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("export", "engine", "--run", detector_run, "--out", tmp_path) == 4
    assert "holds no EngineNet" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


HELP = """
import sys
from rtface.cli.app import main
for verb in ("train", "train engine", "train detector", "export", "export engine", "export detector"):
    try:
        main([*verb.split(), "--help"])
    except SystemExit as leaving:
        assert not leaving.code, verb
    print("=" * 9)
print(sorted({"torch", "onnx", "onnxruntime", "pyarrow", "cv2"} & set(sys.modules)))
"""


def test_help_loads_no_torch_and_shows_examples() -> None:
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True, timeout=120)
    *pages, loaded = done.stdout.split("=" * 9)
    assert loaded.strip() == "[]"
    verbs = ("train detector", "train engine", "train detector", "export detector", "export engine", "export detector")
    for page, verb in zip(pages, verbs, strict=True):
        assert f"Example: rtface {verb} --" in " ".join(page.split())

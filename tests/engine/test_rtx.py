"""Every network in every precision through TensorRT-RTX's parser and builder, which need no GPU.

pip install 'rtface[rtx,test]' && pytest -m rtx
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface import models
from rtface.cli import app
from rtface.engine.plan_cache import PlanCache
from rtface.engine.trt_build import build_plan
from rtface.errors import EngineError
from rtface.networks.profiles import names, read_profile
from rtface.networks.tensorrt import profiles_for
from rtface.precision import fp16, graph, int8

api = pytest.importorskip("tensorrt_rtx", reason="tensorrt_rtx is not installed (pip install 'rtface[rtx]')")
pytestmark = pytest.mark.rtx

# The enhancer, and what stands in for smaller crops, run on ONNX Runtime whatever runs the others.
ROLES = ("engine", "full-engine", "detector")
FULL = [one for one in models.entries() if one.precision == "fp32" and one.role in ROLES]

SHARE_OF_FILE = 0.9
"""A plan holds at least the weights, which are nearly all of the file."""


def made(model: models.ModelEntry, precision: str) -> bytes:
    """The file in a precision; INT8 with ranges of noise, which are as good as any for a builder."""
    data = models.load(model)
    if precision == "fp16":
        return fp16.to_fp16_bytes(data, model.name)
    if precision == "fp32":
        return bytes(graph.normalize_graph(graph.read(data, model.name)).SerializeToString())
    shape = (2, 128, 128, 3) if model.role != "detector" else (1, 128, 160, 3)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    keep = graph.last_layers(int8.folded(data, model.name))
    return int8.quantised(data, int8.measure(data, [noise], model.name), keep, model.name)


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
@pytest.mark.parametrize("model", FULL, ids=lambda model: model.name)
def test_every_file_is_parsed_and_built(model: models.ModelEntry, precision: str) -> None:
    steps = []
    shapes = profiles_for(model, read_profile("desktop-fp16"))
    data = made(model, precision)
    plan = build_plan(data, model.name, shapes, progress=lambda *s: steps.append(s), api=api)
    assert steps and len(plan) > SHARE_OF_FILE * len(data), "the weights are in the plan"


def test_a_plan_for_turing_is_another_one() -> None:
    model = next(model for model in FULL if model.role == "detector")
    data, shapes = made(model, "fp16"), profiles_for(model, read_profile("desktop-fp16"))
    for_all = build_plan(data, model.name, shapes, api=api)
    for_turing = build_plan(data, model.name, shapes, capability="7.5", api=api)
    assert len(for_turing) > SHARE_OF_FILE * len(data) and for_turing != for_all


@pytest.mark.parametrize("name", [name for name in names() if name != "cpu"])
def test_every_profile_fits(name: str) -> None:
    profile = read_profile(name)
    detector = next(model for model in FULL if model.role == "detector")
    data = made(detector, "fp16")
    assert build_plan(data, "detector", profiles_for(detector, profile), workspace_mb=profile.workspace_mb, api=api)


def test_a_file_that_tensorrt_cannot_read_is_named() -> None:
    model = FULL[0]
    with pytest.raises(EngineError, match=f"{model.name}: tensorrt_rtx .* cannot read it: .*UInt8"):
        build_plan(models.load(model), model.name, profiles_for(model, read_profile("desktop-fp16")), api=api)


def test_rtface_build_makes_plans_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("rtface.engine.trt_api.MODULES", ("tensorrt_rtx",))
    for tasks, said in (("landmarks,parsing", "built in"), ("landmarks,parsing", "was there already"), ("all", "full")):
        with pytest.raises(SystemExit) as caught:
            app.main(["build", "--profile", "orin-fp16", "--no-measure", "--tasks", tasks])
        assert caught.value.code == 0
        assert capfd.readouterr().out.count(said) == 2
    assert {facts["capability"] for facts in PlanCache().listed()} == {"any"}
    assert {facts["name"] for facts in PlanCache().listed()} == {"detector", "engine-iter0", "engine-full"}

"""The plan cache: what is read back, what is refused, and who waits for whom."""

from __future__ import annotations

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from rtface.engine.plan_cache import PlanCache, PlanKey
from rtface.errors import EngineError

KEY = PlanKey("net", "abc", "fp16", "1x4 2x4 8x4", "tensorrt 10.3", "8.7", "Orin, 8 processors", "Linux aarch64")


@pytest.fixture
def cache(tmp_path: Path) -> PlanCache:
    return PlanCache(tmp_path / "rtface" / "plans")


def test_a_plan_comes_back_with_its_sidecar(cache: PlanCache) -> None:
    assert cache.load(KEY) is None
    path = cache.save(KEY, b"plan", profile="orin-fp16")
    assert cache.load(KEY) == b"plan"
    facts = json.loads(path.with_suffix(".json").read_text())
    assert facts["capability"] == "8.7" and facts["profile"] == "orin-fp16" and facts["bytes"] == 4
    assert cache.listed() == [facts]
    assert not list(cache.folder.glob(".*")), "no parts are left"


@pytest.mark.parametrize("field", ["fingerprint", "precision", "shapes", "tensorrt", "capability", "gpu", "system"])
def test_another_of_anything_is_another_plan(cache: PlanCache, field: str) -> None:
    cache.save(KEY, b"plan")
    assert cache.load(replace(KEY, **{field: "other"})) is None


def test_what_was_measured_of_a_gpu_serves_all_its_plans(cache: PlanCache) -> None:
    same, other = replace(KEY, name="another", precision="int8"), replace(KEY, gpu="Orin, 16 processors")
    assert cache.timings(same) == cache.timings(KEY) != cache.timings(other)
    assert cache.kernels(KEY, "a card") != cache.kernels(KEY, "another card") != cache.kernels(same, "another card")


@pytest.mark.parametrize("how", ["cut", "no sidecar", "junk sidecar"])
def test_a_plan_that_is_not_whole_was_never_there(cache: PlanCache, how: str) -> None:
    path = cache.save(KEY, b"plan")
    if how == "cut":
        path.write_bytes(b"pla")
    elif how == "no sidecar":
        path.with_suffix(".json").unlink()
    else:
        path.with_suffix(".json").write_text("[")
    assert cache.load(KEY) is None
    cache.save(KEY, b"again")
    assert cache.load(KEY) == b"again"


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a profile private by itself")
@pytest.mark.parametrize(("what", "mode"), [("folder", 0o777), ("folder", 0o770), ("plan", 0o666)])
def test_a_plan_that_others_can_write_is_not_loaded(cache: PlanCache, what: str, mode: int) -> None:
    path = cache.save(KEY, b"plan")
    (cache.folder if what == "folder" else path).chmod(mode)
    with pytest.raises(EngineError, match=r"native code, and .* can be written by others"):
        cache.load(KEY)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a profile private by itself")
def test_a_plan_of_another_user_is_not_loaded(cache: PlanCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.save(KEY, b"plan")
    monkeypatch.setattr(os, "getuid", lambda: 4711)
    if (cache.folder / ".").stat().st_uid == 0:
        pytest.skip("root's files are everybody's to trust")
    with pytest.raises(EngineError, match="belongs to another user"):
        cache.load(KEY)


def test_a_broken_plan_is_set_aside(cache: PlanCache) -> None:
    assert cache.set_aside(KEY) is None
    cache.save(KEY, b"plan")
    broken = cache.set_aside(KEY)
    assert broken is not None and broken.read_bytes() == b"plan"
    assert cache.load(KEY) is None and cache.listed() == []


def _hold(folder: Path, held: object, go: object) -> None:
    with PlanCache(folder).locked(KEY):
        held.set()  # type: ignore[attr-defined]
        go.wait(20)  # type: ignore[attr-defined]
        PlanCache(folder).save(KEY, b"built by the first")


def test_one_process_builds_and_the_others_wait(cache: PlanCache) -> None:
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    first = context.Process(target=_hold, args=(cache.folder, held, go))
    first.start()
    assert held.wait(30)
    go.set()
    with cache.locked(KEY):  # only once the first has let go, which is after it saved
        assert cache.load(KEY) == b"built by the first"
    first.join(20)
    assert first.exitcode == 0


def _hold_all(folder: Path, held: object, go: object) -> None:
    with PlanCache(folder).alone():
        held.set()  # type: ignore[attr-defined]
        go.wait(20)  # type: ignore[attr-defined]
        PlanCache(folder).save(KEY, b"the first's")


def test_one_process_at_a_time_measures_kernels(cache: PlanCache) -> None:
    context = multiprocessing.get_context("spawn")
    held, go = context.Event(), context.Event()
    first = context.Process(target=_hold_all, args=(cache.folder, held, go))
    first.start()
    assert held.wait(30)
    go.set()
    with cache.locked(KEY), cache.alone():
        assert cache.load(KEY) == b"the first's"
    first.join(20)
    assert first.exitcode == 0

"""The report of a GPU: without one, on the simulated one, and when a step dies."""

from __future__ import annotations

import getpass
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from rtface.networks.gpu_check import STEPS, apart, report
from tests.engine import simulated

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("print('a warning'); print('{\"name\": \"a GPU\"}')", {"name": "a GPU"}),
        (
            "import os; print('{\"done\": true}', flush=True); os.kill(os.getpid(), 11)",
            {"done": True, "exit_code": -11},
        ),
        ("import os; os.abort()", {"error": "ended with -6: it said nothing"}),
        ("raise ValueError('no such GPU')", {"error": "ended with 1: ValueError: no such GPU"}),
        ("import time; time.sleep(60)", {"error": "took longer than 2 s"}),
    ],
)
def test_a_step_that_dies_is_a_line_of_the_report(code: str, expected: dict[str, object]) -> None:
    facts = apart([sys.executable, "-c", code], 2 if "sleep" in code else 60)
    facts.pop("took_s", None)
    assert facts == expected


def doctored(environment: dict[str, str]) -> tuple[int, dict[str, dict[str, object]]]:
    """What `rtface doctor --gpu` says, and its exit code."""
    command = [sys.executable, "-m", "rtface", "doctor", "--gpu", "--json"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    return done.returncode, json.loads(done.stdout)


def test_without_a_gpu_every_step_says_why(tmp_path: Path) -> None:
    code, facts = doctored({"XDG_CACHE_HOME": str(tmp_path)})
    if "name" in facts["gpu"]:
        pytest.skip("there is a GPU here")
    assert code == 4 and set(STEPS) < set(facts)
    assert "numpy" in facts["packages"] and "error" in facts["gpu"] and "error" in facts["memory"]


def test_on_the_simulated_driver_the_steps_work(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    simulated.driver(tmp_path)
    found = {}
    for step in ("gpu", "memory"):
        command = [sys.executable, "-m", "rtface.networks.gpu_check", step]
        environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        found[step] = json.loads(done.stdout)
    assert found["gpu"]["name"] == "Simulated GPU" and found["gpu"]["free_mb"] == 6144
    memory = found["memory"]
    assert memory["copied"] and memory["by_graph"] and memory["goes_on"] and "CAPTURE" in memory["failed_recording"]
    assert memory["graph"]["gpu_ms"] == 0.25


def test_the_crops_are_checked_against_opencv(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    simulated.driver(tmp_path)
    code = """
import json, pathlib, sys
from rtface.engine.crop_kernel import NAME, SOURCE
from rtface.networks.gpu_check import crops
from tests.engine.simulated import kernel
print(json.dumps(crops(kernel(SOURCE, NAME, pathlib.Path(sys.argv[1])))))
"""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    facts = json.loads(done.stdout)
    assert facts["largest_step"] <= 1 and set(facts["8 faces"]) == {"gpu_ms", "wall_ms"}


def test_nothing_of_the_user_is_in_it() -> None:
    text = json.dumps(dict(report()))
    for secret in (platform.node(), str(Path.home()), getpass.getuser() if getpass.getuser() != "root" else "/root"):
        assert not secret or secret not in text

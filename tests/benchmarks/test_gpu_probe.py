"""The GPU probe as far as a CPU goes: its steps, on the simulated driver those that need no more, and its report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine import simulated

ROOT = Path(__file__).parents[2]


def probed(*steps: str, **environment: str) -> tuple[int, dict[str, dict[str, object]], str]:
    command = [sys.executable, "benchmarks/gpu_probe.py", "--steps", *steps]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    record = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {}
    return done.returncode, record.get("steps", {}), done.stderr


def test_on_the_simulated_driver_its_steps_work(tmp_path: Path) -> None:
    pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed (pip install cuda-bindings)")
    simulated.driver(tmp_path)
    code, steps, _ = probed("exit", "threads", "copies", LD_LIBRARY_PATH=str(tmp_path))
    assert code == 0 and not [step for step, facts in steps.items() if "error" in facts or "exit_code" in facts]
    assert set(steps["copies"]["six copies back, in a graph"]) == {"gpu_ms", "wall_ms"}  # type: ignore[arg-type]
    assert "50 of 50" in str(steps["threads"]["while another thread allocates and copies"])


def test_without_a_gpu_it_says_so_and_ends_with_4() -> None:
    code, steps, _ = probed("packages", "gpu")
    if "name" in steps["gpu"]:
        pytest.skip("there is a GPU here")
    assert code == 4 and "error" in steps["gpu"] and "numpy" in steps["packages"]


def test_an_unknown_step_is_named() -> None:
    code, _, said = probed("gpus")
    assert code == 2 and "no step 'gpus'; there are packages, gpu, memory" in said


def test_torchs_networks_run_in_half_precision() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (pip install 'rtface[train]')")
    from benchmarks.gpu_probe import networks

    for label, network, shape in networks():
        if label in ("1 faces", "detector"):
            with torch.inference_mode(), torch.autocast("cpu", torch.float16):
                out = network(torch.zeros(shape, dtype=torch.float16))
            first = out[0] if isinstance(out, tuple) else out
            assert len(first) == 1 and first.isfinite().all()

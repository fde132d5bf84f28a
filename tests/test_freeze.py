"""A frozen program runs the demo: PyInstaller finds verbs, networks and the page by the hook in the package."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata

import pytest

pytest.importorskip("PyInstaller", reason="needs pip install pyinstaller")


def test_a_frozen_program_runs_the_demo(tmp_path):
    if not any(point.group == "pyinstaller40" for point in metadata.distribution("rtface").entry_points):
        pytest.skip("rtface has to be installed, for its hook to be found")
    program = tmp_path / "kiosk.py"
    program.write_text("from rtface.cli.app import main\nmain()\n")
    build = [
        "-m",
        "PyInstaller",
        "--noconfirm",
        "--log-level=ERROR",
        "--distpath",
        tmp_path,
        "--workpath",
        tmp_path / "work",
    ]
    subprocess.run([sys.executable, *build, "--specpath", tmp_path, program], check=True, cwd=tmp_path)
    out = tmp_path / "faces.jsonl"
    frozen = [tmp_path / "kiosk" / "kiosk", "run", "demo", "--max-frames", "20", "--threads", "1", "-o", out]
    done = subprocess.run(frozen, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [lines[0]["kind"], lines[-1]["kind"], len(lines)] == ["header", "summary", 22]
    assert lines[10]["faces"]

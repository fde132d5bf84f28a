"""The snippets of docs/api.md, run one after the other as a reader would."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

import rtface
from rtface.capture.open import demo_clip

PAGE = Path(__file__).parents[1] / "docs" / "api.md"


def snippets() -> str:
    return "\n\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), flags=re.S))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files that the page names."""
    video = cv2.VideoCapture(str(demo_clip()))
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (640, 480))
    for _ in range(4):
        picture = video.read()[1]
        writer.write(picture)
    writer.release()
    cv2.imwrite(str(tmp_path / "face.png"), picture)
    return tmp_path


def test_the_snippets_run(files: Path) -> None:
    program = files / "page.py"
    program.write_text("from __future__ import annotations\n" + snippets(), "utf-8")
    env = {**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "RTFACE_THREADS": "1"}
    done = subprocess.run([sys.executable, program], cwd=files, env=env, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "4 []" in done.stdout  # of rtface.run


def test_the_snippets_are_typed(files: Path) -> None:
    mypy = pytest.importorskip("mypy.api", reason="pip install mypy")
    program = files / "page.py"
    program.write_text("from __future__ import annotations\n" + snippets(), "utf-8")
    config = str(PAGE.parents[1] / "pyproject.toml")
    out, err, code = mypy.run(["--strict", "--config-file", config, "--cache-dir", str(files / "cache"), str(program)])
    assert code == 0, out + err


def test_no_signature_shows_the_environment() -> None:
    # help() and documentation print a default's value: passwords and tokens, where it is os.environ.
    for file in sorted(Path(rtface.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                given = [*node.args.defaults, *(one for one in node.args.kw_defaults if one is not None)]
                assert not any("environ" in ast.unparse(one) for one in given), f"{file}:{node.lineno}"

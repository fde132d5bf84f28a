"""A virtual environment with MediaPipe in it, made once and kept in the user's cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from rtface.system.files import cache_dir

MEDIAPIPE = "0.10.21"
#: Pythons that this MediaPipe has wheels for, newest first.
WHEELS = ((3, 12), (3, 11), (3, 10), (3, 9))


def peer_python(cache: Path | None = None) -> Path:
    """The interpreter of the environment; makes it on the first call (some 300 MB, minutes).

    Raises:
        SystemExit: No Python that MediaPipe has a wheel for, or pip failed.
    """
    base, version = find_base(sys.version_info[:2], sys.executable)
    folder = (cache or cache_dir()) / f"mediapipe-{MEDIAPIPE}-py{version}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    done = folder / "installed"
    if done.is_file():
        return python
    print(f"making {folder} with mediapipe {MEDIAPIPE} (once; takes minutes)", file=sys.stderr)
    shutil.rmtree(folder, ignore_errors=True)
    _run([base, "-m", "venv", str(folder)])
    _run([str(python), "-m", "pip", "install", "--quiet", f"mediapipe=={MEDIAPIPE}"])
    done.touch()
    return python


def find_base(running: tuple[int, ...], executable: str) -> tuple[str, str]:
    """A Python that MediaPipe has a wheel for, and its version: the running one, else one on the PATH.

    Raises:
        SystemExit: There is none.
    """
    if tuple(running) in WHEELS:
        return executable, "{}.{}".format(*running)
    for major, minor in WHEELS:
        if found := shutil.which(f"python{major}.{minor}"):
            return found, f"{major}.{minor}"
    names = ", ".join(f"{major}.{minor}" for major, minor in WHEELS)
    raise SystemExit(
        f"mediapipe {MEDIAPIPE} has wheels for Python {names} only, and none of them is on the PATH. Install one, e.g. "
        "apt install python3.11-venv or uv python install 3.11, or give --peer-python an interpreter with mediapipe"
    )


def _run(command: list[str]) -> None:
    result = subprocess.run(command, check=False)
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {result.returncode}")

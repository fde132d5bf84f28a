"""PyInstaller finds its hook for rtface here (entry point `pyinstaller40`)."""

from __future__ import annotations

from pathlib import Path


def hook_dirs() -> list[str]:
    """Where the hook is."""
    return [str(Path(__file__).parent)]

"""Dims the screen when nobody is there, and brightens it before they have sat down.

python examples/kiosk/dim.py [SOURCE]     # Linux: needs write access to /sys/class/backlight
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import rtface


def dim(stream: rtface.Stream, set_brightness: Callable[[float], None]) -> None:
    """Call with 1.0 when somebody comes, 0.1 when the last one has gone."""
    for event in rtface.Audience().events(stream):
        if event.kind in ("someone", "nobody"):
            set_brightness(1.0 if event.kind == "someone" else 0.1)


def backlight(share: float) -> None:
    """Of every screen that has one."""
    for folder in Path("/sys/class/backlight").glob("*"):
        most = int((folder / "max_brightness").read_text())
        (folder / "brightness").write_text(str(round(share * most)))
    print(f"brightness {100 * share:.0f} %", flush=True)


if __name__ == "__main__":
    with rtface.live(sys.argv[1] if len(sys.argv) > 1 else 0, tasks=("pose",)) as stream:
        dim(stream, backlight)

"""``rtface cameras``."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

cameras = typer.Typer(add_completion=False)


@cameras.command(epilog="Examples:\n\n  rtface cameras\n\n  rtface cameras --json")
def cameras_command(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each camera.")] = False,
) -> None:
    """List the cameras that can be opened now, with the picture that each gives by default.

    Below each are names that it keeps when it is plugged in again: rtface live /dev/v4l/by-id/….
    """
    from rtface.capture.camera import list_cameras

    found = list_cameras()
    for camera in found:
        if as_json:
            print(json.dumps(asdict(camera)))
        else:
            size = f"{camera.width_px}x{camera.height_px}"
            print(f"{camera.index}  {size} at {camera.fps:g} fps  {camera.name}".rstrip())
            for link in camera.links:
                print(f"   {link}")
    if not found:
        print("no camera can be opened; `rtface live demo` plays the demo clip instead", file=sys.stderr)
